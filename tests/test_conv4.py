"""conv4, in the open and fast: the same mapping, PyTorch's own network, and right where PyTorch's fused norms are wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from metautil import fast, learners, models
from metautil.fast import AT_ONCE
from metautil.models import Model
from metautil.risks import Loss, cross_entropy
from metautil.tasks import Data, Task
from tests.small_tasks import directions, error_of_slopes, images, relative, settings_of, single, slope, start, walk

both = pytest.mark.parametrize("make", [models.conv4, fast.conv4], ids=["plain", "fast"])


def with_gains(model: Model, theta: Tensor, gain: float) -> Tensor:
    """θ with that gain in the first channel of every block, which a bias keeps above 0."""
    theta = theta.clone()
    for block in range(1, 5):
        weights = model.unpack(theta)  # views: θ is changed
        weights[f"{block}.gain"][0], weights[f"{block}.bias"][0] = gain, 0.3
    return theta


@pytest.mark.parametrize("shots", [2, 11], ids=["few", "many"])
@pytest.mark.parametrize("referred", [False, True], ids=["own", "reference"])
def test_the_fast_network_is_the_plain_one(referred, shots, generator):
    """Values for one task and for a batch, and meta-gradients, one gain negative; 33 images are more than are stacked."""
    assert (3 * shots > AT_ONCE) == (shots == 11)
    tasks = images(generator, (2, 21, 16), shots, 4)(3, generator)
    reference = torch.randn(3, 3 * shots, 2, 21, 16, generator=generator) if referred else None
    plain, quick = (make(3, (2, 3, 4, 5), (2, 21, 16), reference) for make in (models.conv4, fast.conv4))
    assert plain.shapes == quick.shapes and plain.inputs == quick.inputs
    phi = with_gains(plain, start(plain, generator), -0.7)
    thetas = phi + 0.1 * torch.randn(3, len(phi), generator=generator)
    assert torch.allclose(quick(thetas, tasks.query.x), plain(thetas, tasks.query.x), atol=1e-12)
    (of_plain, risks), (of_quick, others) = (
        learners.maml(model, cross_entropy, 0.3, 2).meta_gradient(phi, tasks) for model in (plain, quick)
    )
    assert relative(of_quick, of_plain) < 1e-10 and torch.allclose(risks, others, atol=1e-12)
    alone = reference[0] if referred else None
    plain, quick = (make(3, (2, 3, 4, 5), (2, 21, 16), alone) for make in (models.conv4, fast.conv4))
    query = single(tasks, 0).query
    assert torch.allclose(quick(phi, query.x), plain(phi, query.x), atol=1e-12)
    assert relative(*(slope(model, cross_entropy, phi, query) for model in (quick, plain))) < 1e-10


@pytest.mark.parametrize(
    ("make", "gain"),
    [(models.conv4, -0.7), (fast.conv4, -0.7), (fast.conv4, 0.0)],
    ids=["plain", "fast", "fast at a kink"],
)
def test_conv4_is_the_network_of_few_shot_papers(make, gain, generator):
    """Values and gradients, with gains of both signs, and of 0, where the maximum has a kink: fast is the slope above it."""
    model = make(3, channels=4, inputs=(2, 21, 16))
    first = model.init(generator) + 0.1 * torch.randn(model.size, generator=generator)
    theta, above = with_gains(model, first, gain), with_gains(model, first, gain or 1e-9)
    data = Data(torch.randn(20, 2, 21, 16, generator=generator), torch.arange(20) % 3)
    peer = network(model, batch_norm)
    assert torch.allclose(model(theta, data.x), peer(theta, data.x), atol=1e-12)
    gradient = slope(model, cross_entropy, theta, data)
    assert torch.allclose(gradient, slope(peer, cross_entropy, above, data), atol=1e-6 if gain == 0 else 1e-12)
    assert all((model.unpack(gradient)[f"{block}.gain"] != 0).all() for block in range(1, 5))


@both
def test_a_reference_gives_batch_norm_its_statistics(make, generator):
    """As PyTorch's own network normalises with means and variances measured on the reference alone, for each task."""
    given, x = (torch.randn(2, count, 1, 16, 16, generator=generator) for count in (4, 6))
    model = make(3, channels=(2, 3, 4, 5), inputs=(1, 16, 16), reference=given)
    thetas = torch.stack([model.init(generator) for _ in range(2)])
    for theta, own, part, scores in zip(thetas, given, x, model(thetas, x), strict=True):
        weights = model.unpack(theta)
        for block in range(1, 5):
            own, part = (F.conv2d(each, weights[f"{block}.weight"], padding=1) for each in (own, part))
            moments = own.mean((0, 2, 3)), own.var((0, 2, 3), correction=0)
            rest = weights[f"{block}.gain"], weights[f"{block}.bias"], False, 0.0, models.EPSILON
            own, part = (F.max_pool2d(F.batch_norm(each, *moments, *rest).relu(), 2) for each in (own, part))
        assert torch.allclose(scores, part.flatten(1) @ weights["head.weight"] + weights["head.bias"], atol=1e-12)
    one = make(3, channels=(2, 3, 4, 5), inputs=(1, 16, 16), reference=given[0])
    assert torch.allclose(one(thetas[0], x[0, :1]), one(thetas[0], x[0])[:1], atol=1e-12)


@both
def test_widths_of_the_blocks_are_four(make):
    with pytest.raises(ValueError, match=r"channels = \(8, 16\).*four"):
        make(channels=(8, 16))


# Norms: PyTorch's fused ones, differentiated twice from outside vmap, are wrong; conv4's are not


def unchecked(y: Tensor, y_star: Tensor) -> Tensor:
    """`cross_entropy`, whose check of the labels cannot run under vmap."""
    return F.cross_entropy(y, y_star, reduction="none")


def naive(model, loss: Loss, tasks: Task, alpha: float, steps: int):
    """The composition that one writes first: inner steps by torch.func.grad, vmap over tasks; φ → mean query risk."""

    def adapted(phi, support_x, support_y, query_x, query_y):
        theta = walk(model, loss, phi, Data(support_x, support_y), alpha, steps)
        return loss(model(theta, query_x), query_y).mean()

    over_tasks = torch.func.vmap(adapted, (None, 0, 0, 0, 0))
    return lambda phi: over_tasks(phi, *tasks.support, *tasks.query).mean()


def one_by_one(model, loss: Loss, tasks: Task, alpha: float, steps: int):
    """The same risk without vmap."""
    parts = [single(tasks, t) for t in range(len(tasks.query.y))]

    def risk(phi, part):
        return loss(model(walk(model, loss, phi, part.support, alpha, steps), part.query.x), part.query.y).mean()

    return lambda phi: torch.stack([risk(phi, part) for part in parts]).mean()


def batch_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, gain, bias, training=True)


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    gain, bias = (v[:, None, None].expand(x.shape[1:]) for v in (gain, bias))
    return F.layer_norm(x, x.shape[1:], gain, bias)


def instance_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=gain, bias=bias)


def network(model: Model, norm, activation=torch.relu):
    """The network of a conv4 model, from PyTorch's own pieces and with any norm."""

    def forward(theta: Tensor, x: Tensor) -> Tensor:
        weights = model.unpack(theta)
        for block in range(1, 5):
            kernel, gain, bias = (weights[f"{block}.{name}"] for name in ("weight", "gain", "bias"))
            x = F.max_pool2d(activation(norm(F.conv2d(x, kernel, padding=1), gain, bias)), 2)
        return x.flatten(1) @ weights["head.weight"] + weights["head.bias"]

    return forward


def reverse_mode(objective, phi: Tensor) -> Tensor:
    phi = phi.clone().requires_grad_()
    return torch.autograd.grad(objective(phi), phi)[0]


def functional(objective, phi: Tensor) -> Tensor:
    return torch.func.grad(objective)(phi)


@pytest.mark.parametrize("differentiate", [reverse_mode, functional])
@pytest.mark.parametrize("norm", [batch_norm, instance_norm, layer_norm])
def test_fused_norms_are_silently_wrong_in_the_naive_composition(norm, differentiate, generator):
    """If this fails on a new PyTorch, the error is repaired: conv4 could then use the fused norm."""
    (model, _, family), loss = settings_of("conv4", generator), unchecked
    fused, tasks = network(model, norm, torch.tanh), family(2, generator)
    phi = start(model, generator)
    along = directions(model, phi, generator)
    right, wrong = one_by_one(fused, loss, tasks, 0.5, 1), naive(fused, loss, tasks, 0.5, 1)
    assert torch.allclose(wrong(phi), right(phi), rtol=1e-12)  # the value shows nothing
    assert error_of_slopes(differentiate(right, phi), right, phi, along, 1e-6) < 1e-6
    assert error_of_slopes(differentiate(wrong, phi), right, phi, along, 1e-6) > 1e-3


@pytest.mark.parametrize("at_once", [AT_ONCE, 1, None], ids=["few", "many", "plain"])
@pytest.mark.parametrize("steps", [1, 2])
def test_conv4_is_right_where_the_same_network_with_the_fused_norm_is_wrong(steps, at_once, generator, monkeypatch):
    """Both ways through the fast one, few images and many; and the plain one."""
    (model, _, family), loss = settings_of("conv4", generator), unchecked
    if at_once is None:
        model = models.conv4(3, channels=3, inputs=(1, 16, 16))
    else:
        monkeypatch.setattr(fast, "AT_ONCE", at_once)
    fused, tasks = network(model, batch_norm), family(2, generator)
    phi = start(model, generator)
    truth = one_by_one(fused, loss, tasks, 0.5, steps)
    exact = reverse_mode(truth, phi)
    assert error_of_slopes(exact, truth, phi, directions(model, phi, generator), 1e-6) < 1e-6
    assert relative(torch.func.grad(naive(fused, loss, tasks, 0.5, steps))(phi), exact) > 1e-3
    assert relative(torch.func.grad(naive(model, loss, tasks, 0.5, steps))(phi), exact) < 1e-9
    assert relative(learners.maml(model, cross_entropy, 0.5, steps).meta_gradient(phi, tasks)[0], exact) < 1e-9
