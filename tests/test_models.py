"""Models on one flat parameter vector."""

from __future__ import annotations

import pytest
import torch
import torch.nn as nn
from torch.func import grad, vmap
from torch.nn.utils import parameters_to_vector

from metautil.gradients import central_differences
from metautil.models import embedding, halved, mlp, small_cnn
from metautil.risks import cross_entropy, empirical_risk, half_squared_error
from metautil.tasks import Data


@pytest.fixture
def generator():
    torch.set_default_dtype(torch.float64)
    yield torch.Generator().manual_seed(0)
    torch.set_default_dtype(torch.float32)


def test_small_cnn_is_the_network_that_torch_builds(generator):
    """Same weights, same outputs as nn.Sequential, whose pooling comes after the ReLU."""
    model = small_cnn(classes=4, channels=(3, 5), side=8)
    peer = nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(20, 4)),
    )
    theta = parameters_to_vector(peer.parameters()).detach()
    head = peer[-1].weight.detach()
    theta[-(80 + 4) : -4] = head.T.reshape(-1)  # ours is (inputs, outputs)
    x = torch.rand(6, 1, 8, 8, generator=generator)
    assert model.size == len(theta)
    assert torch.allclose(model(theta, x), peer(x), atol=1e-12)


def test_a_halved_model_reads_averages_of_four_pixels(generator):
    """Against PyTorch's pooling, with one θ and with a batch of tasks; the shapes of images are named as ever."""
    model = small_cnn(classes=4, channels=(3, 5), side=8)
    twice, theta = halved(model), model.init(generator)
    x = torch.rand(2, 6, 1, 16, 16, generator=generator)
    small = torch.nn.functional.avg_pool2d(x.flatten(0, 1), 2).unflatten(0, (2, 6))
    assert torch.allclose(twice(theta, x[0]), model(theta, small[0]), atol=1e-12)
    assert torch.allclose(twice(theta.expand(2, -1), x), model(theta.expand(2, -1), small), atol=1e-12)
    body = embedding(twice)
    assert torch.allclose(body(theta[: body.size], x[0]), embedding(model)(theta[: body.size], small[0]), atol=1e-12)
    with pytest.raises(ValueError, match=r"\(6, 1, 8, 8\).*\(N, 1, 16, 16\)"):
        twice(theta, small[0])
    with pytest.raises(ValueError, match=r"inputs = \(2,\)"):
        halved(mlp((2, 1)))


def test_mlp_is_the_network_that_torch_builds(generator):
    model, peer = mlp((3, 4, 2)), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    pieces = [p.detach().T.reshape(-1) if p.ndim == 2 else p.detach() for p in peer.parameters()]
    x = torch.randn(5, 3, generator=generator)
    assert torch.allclose(model(torch.cat(pieces), x), peer(x), atol=1e-12)


def test_mlp_takes_many_parameter_vectors_at_once(generator):
    model = mlp((3, 4, 2))
    theta = torch.stack([model.init(generator) for _ in range(5)])
    x = torch.randn(5, 7, 3, generator=generator)
    alone = torch.stack([model(theta[task], x[task]) for task in range(5)])
    assert torch.allclose(model(theta, x), alone, atol=1e-12)


@pytest.mark.parametrize(("model", "shape"), [(mlp((2, 5, 3)), (8, 2)), (small_cnn(3, (2, 3)), (8, 1, 8, 8))])
def test_gradient_arrives_in_every_parameter(model, shape, generator):
    theta = model.init(generator) + 0.01 * torch.randn(model.size, generator=generator)
    data = Data(torch.rand(*shape, generator=generator), torch.arange(8) % 3)

    def risk(theta):
        return empirical_risk(model, theta, data, cross_entropy)

    automatic, differences = grad(risk)(theta), central_differences(risk, theta)
    assert all((piece != 0).any() for piece in model.unpack(automatic).values())
    assert torch.allclose(automatic, differences, atol=1e-8)


def test_starting_weights_have_the_stated_spread(generator):
    model = mlp((400, 500, 1))
    weights = model.unpack(model.init(generator))
    assert abs(weights["1.weight"].std() - (2 / 400) ** 0.5) < 0.001
    assert (weights["1.bias"] == 0).all()
    kernel = small_cnn(2, (64, 128))
    weights = kernel.unpack(kernel.init(generator))
    assert abs(weights["2.weight"].std() - (2 / (64 * 9)) ** 0.5) < 0.002


def test_same_seed_same_start():
    model = mlp((2, 3, 1))
    first, second = (model.init(torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_model_without_parameters_has_an_empty_start(generator):
    assert embedding(mlp((2, 1))).init(generator).shape == (0,)


def test_wrong_sizes_are_named():
    model = mlp((2, 3, 1))
    with pytest.raises(ValueError, match=r"\(5,\).*p = 13"):
        model(torch.zeros(5), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="input and an output"):
        mlp((3,))


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (small_cnn(), (5, 8, 8), r"\(5, 8, 8\).*\(N, 1, 8, 8\).*x.unsqueeze\(1\)"),
        (small_cnn(), (1, 8, 8), r"\(1, 8, 8\).*\(N, 1, 8, 8\)"),
        (small_cnn(), (5, 3, 8, 8), r"\(5, 3, 8, 8\).*\(N, 1, 8, 8\)\.$"),
        (small_cnn(side=28), (5, 1, 8, 8), r"\(5, 1, 8, 8\).*\(N, 1, 28, 28\)\.$"),
        (small_cnn(), (5, 1, 9, 9), r"\(5, 1, 9, 9\)"),  # a side of 9 would pass through all layers unseen
        (mlp((2, 1)), (5, 3), r"\(5, 3\).*\(N, 2\)\.$"),
        (mlp((2, 1)), (2,), r"\(2,\).*\(N, 2\)\.$"),
    ],
)
def test_inputs_of_another_shape_are_named(model, shape, words):
    with pytest.raises(ValueError, match=words):
        model(torch.zeros(model.size), torch.zeros(shape))


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


def test_central_differences_want_64_bits():
    with pytest.raises(ValueError, match="float64"):
        central_differences(lambda theta: theta.sum(), torch.zeros(2, dtype=torch.float32))


def test_risk_of_a_line_needs_no_hidden_layer(generator):
    """mlp((1, 1)) is y = wx + b."""
    data = Data(torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    assert empirical_risk(mlp((1, 1)), torch.tensor([3.0, 0.5]), data, half_squared_error) == 0.5 * 5.5**2
