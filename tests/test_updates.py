"""Update rules as pure mappings: against torch.optim, without side effects, with refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies

from metautil.updates import UpdateRule, adam, derived, descend, momentum, printed, rmsprop, sgd

ETAS = strategies.floats(1e-4, 1.0)
BETAS = strategies.floats(0.0, 0.99)
SEEDS = strategies.integers(0, 2**31)
EPSILONS = strategies.sampled_from([1e-8, 1e-3])
WALKS = {
    "sgd": (sgd, lambda parameters, eta: torch.optim.SGD(parameters, lr=eta)),
    "momentum": (
        lambda eta: momentum(eta, 0.9),
        lambda parameters, eta: torch.optim.SGD(parameters, lr=eta, momentum=0.9),
    ),
    "rmsprop": (rmsprop, lambda parameters, eta: torch.optim.RMSprop(parameters, lr=eta)),
    "adam": (adam, lambda parameters, eta: torch.optim.Adam(parameters, lr=eta)),
}
"""Every inner rule with the defaults of both sides, which are the same."""


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


@settings(max_examples=25)
@given(eta=ETAS, beta=BETAS, seed=SEEDS)
def test_rules_walk_as_torch_optim_does(eta, beta, seed):
    gradient, start = bowl(seed)
    for rule, optimiser in (
        (sgd(eta), lambda parameters: torch.optim.SGD(parameters, lr=eta)),
        (momentum(eta, beta), lambda parameters: torch.optim.SGD(parameters, lr=eta, momentum=beta)),
        (rmsprop(eta), lambda parameters: torch.optim.RMSprop(parameters, lr=eta)),
        (adam(eta), lambda parameters: torch.optim.Adam(parameters, lr=eta)),
    ):
        ours = descend(rule, gradient, start, 100)
        theirs = reference_path(optimiser, gradient, start, 100)
        assert (ours - theirs).abs().max() <= 1e-10 * max(1.0, theirs.abs().max())


@settings(max_examples=25)
@given(eta=ETAS, beta_1=BETAS, beta_2=strategies.floats(0.0, 0.9999), epsilon=EPSILONS, seed=SEEDS)
def test_adaptive_rules_answer_any_gradients_as_torch_optim_does(eta, beta_1, beta_2, epsilon, seed):
    """100 gradients that do not depend on the walk: with β₂ near 0 a step is nearly η times a sign, and a walk is chaotic."""
    gradients = torch.randn(100, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for rule, optimiser in (
        (
            rmsprop(eta, beta_2, epsilon),
            lambda parameters: torch.optim.RMSprop(parameters, lr=eta, alpha=beta_2, eps=epsilon),
        ),
        (
            adam(eta, beta_1, beta_2, epsilon),
            lambda parameters: torch.optim.Adam(parameters, lr=eta, betas=(beta_1, beta_2), eps=epsilon),
        ),
    ):
        ours, theirs = iter(gradients), iter(gradients)
        path = descend(rule, lambda theta, ours=ours: next(ours), torch.zeros(5, dtype=torch.float64), 100)
        other = reference_path(optimiser, lambda theta, theirs=theirs: next(theirs), path[0], 100)
        assert (path - other).abs().max() <= 1e-10


@settings(max_examples=25)
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


@pytest.mark.parametrize("name", WALKS)
@settings(max_examples=15, derandomize=True, deadline=None)
@given(eta=ETAS, lam=strategies.just(0.0) | strategies.floats(0.01, 100), seed=SEEDS)
def test_derived_rule_walks_as_torch_optim_on_the_weighted_objective(name, eta, lam, seed):
    """Learning rate × λ: ours is handed the pair of gradients, torch's optimiser the gradient of L_D + λ L_T."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.rand(2, 5, generator=generator, dtype=torch.float64) / (1 + lam)
    goals, start = torch.randn(2, 5, generator=generator, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    make, optimiser = WALKS[name]

    def objective_gradient(theta):
        theta = theta.requires_grad_()
        risk_D, risk_T = 0.5 * (factors * (theta - goals) ** 2).sum(1)
        return torch.autograd.grad(risk_D + lam * risk_T, theta)[0]

    ours = descend(derived(lam, make(eta)), lambda theta: tuple(factors * (theta - goals)), start, 100)
    theirs = reference_path(lambda parameters: optimiser(parameters, eta), objective_gradient, start, 100)
    assert (ours - theirs).abs().max() <= 1e-10 * max(1.0, theirs.abs().max())


def test_adam_begins_with_a_step_of_eta_and_forgets_the_unit_of_the_risk():
    """Bias correction: without it the first step would be (1 − β₁)/√(1 − β₂) = 3.2 times as long."""
    gradient = torch.tensor([1e-3, -2.0, 5e4], dtype=torch.float64)
    rule = adam(0.1, epsilon=1e-12)
    step, (mean, square, k) = rule(gradient, rule.init(gradient))
    assert torch.allclose(step, -0.1 * gradient.sign(), rtol=1e-8) and k == 1
    assert torch.allclose(mean, 0.1 * gradient) and torch.allclose(square, 0.001 * gradient**2)
    assert torch.allclose(rule(1000 * gradient, rule.init(gradient))[0], step, rtol=1e-8)


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    """A constant gradient ends in steps of length η in each entry."""
    gradient = torch.tensor([1e-2, -3.0], dtype=torch.float64)
    path = descend(rmsprop(0.1, 0.5), lambda theta: gradient, torch.zeros(2, dtype=torch.float64), 60)
    assert torch.allclose(path[-1] - path[-2], -0.1 * gradient.sign(), rtol=1e-5)
    assert torch.allclose(path[1], -0.1 * gradient.sign() / 0.5**0.5, rtol=1e-5)


@pytest.mark.parametrize("rule", [rmsprop(0.1), adam(0.1)])
def test_a_gradient_of_zero_is_a_step_of_zero(rule):
    path = descend(rule, torch.zeros_like, torch.ones(2), 3)
    assert torch.equal(path, torch.ones(4, 2))


def test_single_precision_stays_single():
    for make, _ in WALKS.values():
        assert descend(make(0.1), lambda theta: theta, torch.ones(2, dtype=torch.float32), 3).dtype == torch.float32


def test_momentum_without_memory_is_gradient_descent():
    gradient, start = bowl(3)
    assert torch.equal(descend(momentum(0.3, 0.0), gradient, start, 20), descend(sgd(0.3), gradient, start, 20))


def test_a_rule_changes_nothing_it_is_given():
    rule, gradient = momentum(0.1, 0.9), torch.ones(3)
    state = torch.full((3,), 2.0)
    first, second = rule(gradient, state), rule(gradient, state)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert torch.equal(state, torch.full((3,), 2.0)) and torch.equal(gradient, torch.ones(3))


@pytest.mark.parametrize("rule", [rmsprop(0.1), adam(0.1)])
def test_an_adaptive_rule_changes_nothing_it_is_given(rule):
    gradient = torch.tensor([1.0, -2.0])
    state = rule(gradient, rule.init(gradient))[1]
    kept = [part.clone() for part in state]
    first, second = rule(gradient, state), rule(gradient, state)
    assert torch.equal(first[0], second[0]) and all(map(torch.equal, first[1], second[1]))
    assert all(map(torch.equal, state, kept)) and torch.equal(gradient, torch.tensor([1.0, -2.0]))


@pytest.mark.parametrize("rule", [rmsprop(0.1), adam(0.1)])
def test_a_gradient_passes_through_an_adaptive_rule(rule):
    """The step is differentiable in the gradient: autograd's derivative is the difference quotient."""
    gradient = torch.tensor([0.7, -2.0], dtype=torch.float64)
    state = rule(torch.tensor([1.0, 0.5], dtype=torch.float64), rule.init(gradient))[1]
    assert torch.autograd.gradcheck(lambda g: rule(g, state)[0], gradient.requires_grad_())


def test_a_gradient_passes_through_a_rule():
    """Hypergradients need it: the step is differentiable in the gradient and the state."""
    gradient = torch.ones(2, requires_grad=True)
    step, velocity = momentum(0.1, 0.9)(gradient, torch.zeros(2))
    (step.sum() + velocity.sum()).backward()
    assert torch.allclose(gradient.grad, torch.full((2,), 0.9))


@pytest.mark.parametrize("eta", [0.0, -0.1, float("nan"), float("inf")])
def test_a_step_size_must_be_positive(eta):
    for make in (sgd, lambda eta: momentum(eta, 0.9), rmsprop, adam):
        with pytest.raises(ValueError, match="η"):
            make(eta)


@pytest.mark.parametrize("beta", [-0.1, 1.0, float("nan")])
def test_a_share_must_lie_below_one(beta):
    for make in (momentum, rmsprop, adam, lambda eta, beta: adam(eta, 0.9, beta)):
        with pytest.raises(ValueError, match="β"):
            make(0.1, beta)


@pytest.mark.parametrize("epsilon", [0.0, -1e-8, float("nan"), float("inf")])
def test_an_addend_must_be_positive(epsilon):
    for make in (rmsprop, adam):
        with pytest.raises(ValueError, match="ε"):
            make(0.1, epsilon=epsilon)


@pytest.mark.parametrize("lam", [-1.0, float("nan")])
def test_a_weight_must_not_be_negative(lam):
    with pytest.raises(ValueError, match="λ"):
        derived(lam, sgd(0.1))


@settings(max_examples=25)
@given(eta=ETAS, lam=strategies.floats(0, 100), seed=SEEDS)
def test_printed_rule_weighs_by_lambda_over_eta(eta, lam, seed):
    """Its step is the derived one with the weight λ/η; halving η halves D's part and leaves T's."""
    g_D, g_T = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    step, state = printed(eta, lam)((g_D, g_T), ())
    assert state == ()
    assert torch.allclose(step, derived(lam / eta, sgd(eta))((g_D, g_T), ())[0], rtol=1e-10, atol=1e-10)
    assert torch.allclose(printed(eta, eta * lam)((g_D, g_T), ())[0], derived(lam, sgd(eta))((g_D, g_T), ())[0])
    nothing = torch.zeros(4, dtype=torch.float64)
    halved = printed(eta / 2, lam)
    assert torch.allclose(halved((g_D, nothing), ())[0], printed(eta, lam)((g_D, nothing), ())[0] / 2)
    assert torch.equal(halved((nothing, g_T), ())[0], printed(eta, lam)((nothing, g_T), ())[0])


def test_printed_rule_refuses_what_the_others_refuse():
    for eta in (0.0, -0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="η"):
            printed(eta, 1.0)
    for lam in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="λ"):
            printed(0.1, lam)


def test_a_rule_says_what_it_is():
    assert momentum(0.1, 0.9).text == "momentum, η = 0.1, β = 0.9"
    assert sgd(0.1).text == "gradient descent, η = 0.1"
    assert rmsprop(0.1).text == "RMSprop, η = 0.1, β = 0.99, ε = 1e-08"
    assert adam(0.1).text == "Adam, η = 0.1, β₁ = 0.9, β₂ = 0.999, ε = 1e-08"
    assert derived(3.0, sgd(0.1)).text == "gradient descent, η = 0.1, λ = 3.0"
    assert printed(0.1, 3.0).text == "printed rule, η = 0.1, λ = 3.0"
    assert UpdateRule(torch.zeros_like, lambda gradient, state: (-gradient, state)).text == "an update rule"
