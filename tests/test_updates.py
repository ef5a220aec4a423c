"""Update rules as pure mappings: against torch.optim, without side effects, with refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies

from metautil.updates import derived, descend, momentum, sgd

ETAS = strategies.floats(1e-4, 1.0)
BETAS = strategies.floats(0.0, 0.99)
SEEDS = strategies.integers(0, 2**31)


def reference_path(optimiser, gradient, start, steps):
    """The same walk by a torch.optim optimiser."""
    theta = start.clone().requires_grad_()
    engine, path = optimiser([theta]), [start]
    for _ in range(steps):
        theta.grad = gradient(theta.detach())
        engine.step()
        path.append(theta.detach().clone())
    return torch.stack(path)


def bowl(seed):
    generator = torch.Generator().manual_seed(seed)
    curvatures = torch.rand(5, generator=generator, dtype=torch.float64)
    return lambda theta: curvatures * theta, torch.randn(5, generator=generator, dtype=torch.float64)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(eta=ETAS, beta=BETAS, seed=SEEDS)
def test_rules_walk_as_torch_optim_does(eta, beta, seed):
    gradient, start = bowl(seed)
    for rule, optimiser in (
        (sgd(eta), lambda parameters: torch.optim.SGD(parameters, lr=eta)),
        (momentum(eta, beta), lambda parameters: torch.optim.SGD(parameters, lr=eta, momentum=beta)),
    ):
        ours = descend(rule, gradient, start, 100)
        theirs = reference_path(optimiser, gradient, start, 100)
        assert (ours - theirs).abs().max() <= 1e-10 * max(1.0, theirs.abs().max())


@settings(max_examples=25, derandomize=True, deadline=None)
@given(eta=ETAS, lam=strategies.floats(0, 100), seed=SEEDS)
def test_derived_rule_is_the_rule_on_the_weighted_gradient(eta, lam, seed):
    """With any inner rule, and with η multiplying both gradients: twice η is twice the step."""
    g_D, g_T = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    step, _ = derived(lam, sgd(eta))((g_D, g_T), ())
    assert torch.allclose(step, -eta * g_D - eta * lam * g_T, rtol=1e-12, atol=1e-12)
    assert torch.allclose(derived(lam, sgd(2 * eta))((g_D, g_T), ())[0], 2 * step, rtol=1e-12)
    rule = derived(lam, momentum(eta, 0.5))
    state = rule.init(g_D)
    assert torch.allclose(rule((g_D, g_T), state)[0], step, rtol=1e-12, atol=1e-12)


def test_momentum_without_memory_is_gradient_descent():
    gradient, start = bowl(3)
    assert torch.equal(descend(momentum(0.3, 0.0), gradient, start, 20), descend(sgd(0.3), gradient, start, 20))


def test_a_rule_changes_nothing_it_is_given():
    rule, gradient = momentum(0.1, 0.9), torch.ones(3)
    state = torch.full((3,), 2.0)
    first, second = rule(gradient, state), rule(gradient, state)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert torch.equal(state, torch.full((3,), 2.0)) and torch.equal(gradient, torch.ones(3))


def test_a_gradient_passes_through_a_rule():
    """Hypergradients need it: the step is differentiable in the gradient and the state."""
    gradient = torch.ones(2, requires_grad=True)
    step, velocity = momentum(0.1, 0.9)(gradient, torch.zeros(2))
    (step.sum() + velocity.sum()).backward()
    assert torch.allclose(gradient.grad, torch.full((2,), 0.9))


@pytest.mark.parametrize("eta", [0.0, -0.1, float("nan"), float("inf")])
def test_a_step_size_must_be_positive(eta):
    for make in (sgd, lambda eta: momentum(eta, 0.9)):
        with pytest.raises(ValueError, match="η"):
            make(eta)


@pytest.mark.parametrize("beta", [-0.1, 1.0, float("nan")])
def test_a_share_must_lie_below_one(beta):
    with pytest.raises(ValueError, match="β"):
        momentum(0.1, beta)


@pytest.mark.parametrize("lam", [-1.0, float("nan")])
def test_a_weight_must_not_be_negative(lam):
    with pytest.raises(ValueError, match="λ"):
        derived(lam, sgd(0.1))
