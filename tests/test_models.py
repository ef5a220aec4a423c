"""Models on one flat parameter vector. What is special about conv4 is in test_conv4.py."""

from __future__ import annotations

import pytest
import torch
import torch.nn as nn
from torch.func import grad, vmap

from metautil.gradients import central_differences
from metautil.models import conv4, embedding, halved, mlp, small_cnn
from metautil.risks import cross_entropy, empirical_risk, half_squared_error
from metautil.tasks import Data

CNN = small_cnn(classes=4, channels=(3, 5), side=8)
PEERS = {
    "mlp": (mlp((3, 4, 2)), (3,), lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))),
    "small_cnn": (CNN, (1, 8, 8), lambda: nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(20, 4)),
    )),
}  # fmt: skip
"""Model, shape of an input, the network that torch builds (its pooling comes after the ReLU)."""


@pytest.mark.parametrize("name", PEERS)
def test_a_model_is_the_network_that_torch_builds(name, generator):
    """Same weights, same outputs; and with many parameter vectors at once, those of each alone."""
    model, shape, make = PEERS[name]
    peer, x = make(), torch.randn(5, 7, *shape, generator=generator)
    theta = torch.cat(
        [(p.T if p.ndim == 2 else p).detach().reshape(-1) for p in peer.parameters()]
    )  # (inputs, outputs)
    assert model.size == len(theta)
    assert torch.allclose(model(theta, x[0]), peer(x[0]), atol=1e-12)
    thetas = torch.stack([model.init(generator) for _ in range(5)])
    alone = torch.stack([model(thetas[task], x[task]) for task in range(5)])
    assert torch.allclose(model(thetas, x), alone, atol=1e-12)


def test_a_halved_model_reads_averages_of_four_pixels(generator):
    """Against PyTorch's pooling, with one θ and with a batch of tasks; the shapes of images are named as ever."""
    twice, theta = halved(CNN), CNN.init(generator)
    x = torch.rand(2, 6, 1, 16, 16, generator=generator)
    small = torch.nn.functional.avg_pool2d(x.flatten(0, 1), 2).unflatten(0, (2, 6))
    assert torch.allclose(twice(theta, x[0]), CNN(theta, small[0]), atol=1e-12)
    assert torch.allclose(twice(theta.expand(2, -1), x), CNN(theta.expand(2, -1), small), atol=1e-12)
    body = embedding(twice)
    assert torch.allclose(body(theta[: body.size], x[0]), embedding(CNN)(theta[: body.size], small[0]), atol=1e-12)
    with pytest.raises(ValueError, match=r"\(6, 1, 8, 8\).*\(N, 1, 16, 16\)"):
        twice(theta, small[0])
    with pytest.raises(ValueError, match=r"inputs = \(2,\)"):
        halved(mlp((2, 1)))
    with pytest.raises(ValueError, match="input and an output"):
        mlp((3,))


@pytest.mark.parametrize("model", [CNN, conv4(3, channels=2, inputs=(1, 16, 16))])
def test_embedding_is_the_model_without_its_head(model, generator):
    theta, x = model.init(generator), torch.randn(5, *model.inputs, generator=generator)
    body, weights = embedding(model), model.unpack(theta)
    features = body(theta[: body.size], x)
    assert features.shape == (5, len(weights["head.weight"])) and body.inputs == model.inputs
    assert torch.equal(features @ weights["head.weight"] + weights["head.bias"], model(theta, x))
    assert embedding(mlp((2, 1))).init(generator).shape == (0,)  # without parameters an empty start


@pytest.mark.parametrize("model", [mlp((2, 5, 3)), small_cnn(3, (2, 3)), conv4(3, 2, (1, 16, 16))])
def test_gradient_arrives_in_every_parameter(model, generator):
    theta = model.init(generator) + 0.01 * torch.randn(model.size, generator=generator)
    data = Data(torch.rand(8, *model.inputs, generator=generator), torch.arange(8) % 3)

    def risk(theta):
        return empirical_risk(model, theta, data, cross_entropy)

    automatic, differences = grad(risk)(theta), central_differences(risk, theta, 1e-6)
    assert all((piece != 0).any() for piece in model.unpack(automatic).values())
    assert torch.allclose(automatic, differences, atol=1e-8)


def test_a_start_is_drawn_with_the_stated_spread_from_the_seed(generator):
    for model, name, spread in ((mlp((400, 500, 1)), "1", 2 / 400), (small_cnn(2, (64, 128)), "2", 2 / (64 * 9))):
        first, second = (model.init(torch.Generator().manual_seed(4)) for _ in range(2))
        weights = model.unpack(first)
        assert abs(weights[f"{name}.weight"].std() - spread**0.5) < 0.002
        assert (weights[f"{name}.bias"] == 0).all() and torch.equal(first, second)


@pytest.mark.parametrize(
    ("model", "size", "shape", "words"),
    [
        (small_cnn(), None, (5, 8, 8), r"\(5, 8, 8\).*\(N, 1, 8, 8\).*x.unsqueeze\(1\)"),
        (small_cnn(), None, (1, 8, 8), r"\(1, 8, 8\).*\(N, 1, 8, 8\)"),
        (small_cnn(), None, (5, 3, 8, 8), r"\(5, 3, 8, 8\).*\(N, 1, 8, 8\)\.$"),
        (small_cnn(side=28), None, (5, 1, 8, 8), r"\(5, 1, 8, 8\).*\(N, 1, 28, 28\)\.$"),
        (small_cnn(), None, (5, 1, 9, 9), r"\(5, 1, 9, 9\)"),  # a side of 9 would pass through all layers unseen
        (mlp((2, 1)), None, (5, 3), r"\(5, 3\).*\(N, 2\)\.$"),
        (mlp((2, 1)), None, (2,), r"\(2,\).*\(N, 2\)\.$"),
        (mlp((2, 3, 1)), 5, (1, 2), r"\(5,\).*p = 13"),
    ],
)
def test_wrong_shapes_are_named(model, size, shape, words):
    with pytest.raises(ValueError, match=words):
        model(torch.zeros(size or model.size), torch.zeros(shape))


def test_the_check_of_shapes_lets_torch_func_pass(generator):
    model = small_cnn(3, (2,))
    thetas = torch.stack([model.init(generator) for _ in range(4)])
    x, y = torch.rand(4, 6, 1, 8, 8, generator=generator), torch.arange(6) % 3

    def risk(theta, x):
        return torch.nn.functional.cross_entropy(model(theta, x), y)

    alone = torch.stack([grad(risk)(theta, x[task]) for task, theta in enumerate(thetas)])
    assert torch.allclose(vmap(grad(risk))(thetas, x), alone, atol=1e-12)
    with pytest.raises(ValueError, match=r"\(6, 8, 8\)"):
        vmap(grad(risk))(thetas, x.squeeze(2))


def test_central_differences_err_by_the_square_of_the_width():
    theta = torch.tensor([0.3, -0.7], dtype=torch.float64)

    def wavy(theta):
        return (3 * theta).sin().sum() + theta.prod()

    error = [(central_differences(wavy, theta, width) - grad(wavy)(theta)).abs().max() for width in (1e-2, 1e-3)]
    assert error[0] < 1e-2 and 90 < error[0] / error[1] < 110
    with pytest.raises(ValueError, match="float64"):
        central_differences(wavy, theta.float())


def test_risk_of_a_line_needs_no_hidden_layer(generator):
    """mlp((1, 1)) is y = wx + b."""
    data = Data(torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    assert empirical_risk(mlp((1, 1)), torch.tensor([3.0, 0.5]), data, half_squared_error) == 0.5 * 5.5**2
