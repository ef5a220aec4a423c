"""Update rules as pure mappings: against torch.optim, without side effects, with refusals."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings, strategies
from torch.optim import SGD, Adam, RMSprop

from metautil import updates
from metautil.updates import UpdateRule, adam, derived, descend, momentum, printed, rmsprop, sgd

ETAS = strategies.floats(1e-4, 1.0)
BETAS = strategies.floats(0.0, 0.99)
SEEDS = strategies.integers(0, 2**31)
EPSILONS = strategies.sampled_from([1e-8, 1e-3])
RULES = {
    "sgd": (sgd, SGD, {}, {}),
    "momentum": (momentum, SGD, {"beta": 0.9}, {"momentum": 0.9}),
    "rmsprop": (rmsprop, RMSprop, {}, {}),
    "adam": (adam, Adam, {}, {}),
}
"""Every inner rule, torch's own, and their settings beside η; the defaults of both sides are the same."""

each_rule = pytest.mark.parametrize("name", RULES)


def test_every_inner_rule_of_the_module_stands_in_the_table():
    """The two rules for two risks, derived and printed, are made of an inner rule or have tests of their own."""
    made = {
        name
        for name, made in vars(updates).items()
        if getattr(made, "__annotations__", {}).get("return") == "UpdateRule"
    }
    assert made - {"derived", "printed"} == RULES.keys()


def ours_of(name: str, eta: float) -> UpdateRule:
    make, _, own, _ = RULES[name]
    return make(eta, **own)


def theirs_of(name: str, eta: float) -> partial:
    _, optimiser, _, own = RULES[name]
    return partial(optimiser, lr=eta, **own)


def reference_path(optimiser, gradient, start, steps):
    """The same walk by a torch.optim optimiser."""
    theta = start.clone().requires_grad_()
    engine, path = optimiser([theta]), [start]
    for _ in range(steps):
        theta.grad = gradient(theta.detach())
        engine.step()
        path.append(theta.detach().clone())
    return torch.stack(path)


def agree(ours, theirs):
    return (ours - theirs).abs().max() <= 1e-10 * max(1.0, theirs.abs().max())


@each_rule
@settings(max_examples=15)
@given(eta=ETAS, lam=strategies.just(0.0) | strategies.floats(0.01, 100), beta=BETAS, seed=SEEDS)
def test_rules_walk_as_torch_optim_does(name, eta, lam, beta, seed):
    """Alone, and by `derived` on a pair of gradients where torch's optimiser has the gradient of L_D + λ L_T."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.rand(2, 5, generator=generator, dtype=torch.float64) / (1 + lam)
    goals, start = torch.randn(2, 5, generator=generator, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)

    def pair(theta):
        return tuple(factors * (theta - goals))

    def objective_gradient(theta):
        theta = theta.requires_grad_()
        risk_D, risk_T = 0.5 * (factors * (theta - goals) ** 2).sum(1)
        return torch.autograd.grad(risk_D + lam * risk_T, theta)[0]

    rule, optimiser = ours_of(name, eta), theirs_of(name, eta)
    assert agree(
        descend(derived(lam, rule), pair, start, 100), reference_path(optimiser, objective_gradient, start, 100)
    )
    if name == "momentum":
        rule, optimiser = momentum(eta, beta), partial(SGD, lr=eta, momentum=beta)
    alone = lambda theta: pair(theta)[0]  # noqa: E731
    assert agree(descend(rule, alone, goals[1], 100), reference_path(optimiser, alone, goals[1], 100))


@settings(max_examples=25)
@given(eta=ETAS, beta_1=BETAS, beta_2=strategies.floats(0.0, 0.9999), epsilon=EPSILONS, seed=SEEDS)
def test_adaptive_rules_answer_any_gradients_as_torch_optim_does(eta, beta_1, beta_2, epsilon, seed):
    """100 gradients that do not depend on the walk: with β₂ near 0 a step is nearly η times a sign, and a walk is chaotic."""
    gradients = torch.randn(100, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    start = torch.zeros(5, dtype=torch.float64)
    for rule, optimiser in (
        (rmsprop(eta, beta_2, epsilon), partial(RMSprop, lr=eta, alpha=beta_2, eps=epsilon)),
        (adam(eta, beta_1, beta_2, epsilon), partial(Adam, lr=eta, betas=(beta_1, beta_2), eps=epsilon)),
    ):
        ours, theirs = iter(gradients), iter(gradients)
        path = descend(rule, lambda theta, ours=ours: next(ours), start, 100)
        other = reference_path(optimiser, lambda theta, theirs=theirs: next(theirs), start, 100)
        assert (path - other).abs().max() <= 1e-10


@settings(max_examples=25)
@given(eta=ETAS, lam=strategies.floats(0, 100), seed=SEEDS)
def test_derived_and_printed_rules_weigh_the_two_gradients(eta, lam, seed):
    """η multiplies both gradients of the derived rule, with any inner rule; the printed one weighs by λ/η: halving η
    halves D's part and leaves T's."""
    g_D, g_T = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    step, state = derived(lam, sgd(eta))((g_D, g_T), ())
    assert torch.allclose(step, -eta * g_D - eta * lam * g_T, rtol=1e-12, atol=1e-12) and state == ()
    assert torch.allclose(derived(lam, sgd(2 * eta))((g_D, g_T), ())[0], 2 * step, rtol=1e-12)
    rule = derived(lam, momentum(eta, 0.5))
    assert torch.allclose(rule((g_D, g_T), rule.init(g_D))[0], step, rtol=1e-12, atol=1e-12)
    assert torch.allclose(printed(eta, eta * lam)((g_D, g_T), ())[0], step)
    step, state = printed(eta, lam)((g_D, g_T), ())
    assert torch.allclose(step, derived(lam / eta, sgd(eta))((g_D, g_T), ())[0], rtol=1e-10, atol=1e-10) and state == ()
    nothing, halved = torch.zeros(4, dtype=torch.float64), printed(eta / 2, lam)
    assert torch.allclose(halved((g_D, nothing), ())[0], printed(eta, lam)((g_D, nothing), ())[0] / 2)
    assert torch.equal(halved((nothing, g_T), ())[0], printed(eta, lam)((nothing, g_T), ())[0])


def parts_of(state) -> tuple:
    return state if isinstance(state, tuple) else (state,)


@each_rule
def test_a_rule_is_a_pure_and_differentiable_mapping(name):
    """It changes nothing it is given and answers alike twice; no gradient, no step at first; single precision stays so.

    Hypergradients need the step differentiable in the gradient and the state: autograd's derivative is the difference
    quotient.
    """
    rule, given = ours_of(name, 0.1), torch.tensor([0.7, -2.0], dtype=torch.float64)
    gradient, state = given.clone(), rule(torch.tensor([1.0, 0.5], dtype=torch.float64), rule.init(given))[1]
    kept = [part.clone() for part in parts_of(state)]
    first, second = rule(gradient, state), rule(gradient, state)
    assert torch.equal(first[0], second[0]) and all(map(torch.equal, parts_of(first[1]), parts_of(second[1])))
    assert torch.equal(gradient, given) and all(map(torch.equal, parts_of(state), kept))
    assert torch.equal(descend(rule, torch.zeros_like, torch.ones(2), 3), torch.ones(4, 2))
    assert descend(rule, lambda theta: theta, torch.ones(2, dtype=torch.float32), 3).dtype == torch.float32
    assert torch.autograd.gradcheck(lambda g: rule(g, state)[0], gradient.requires_grad_())
    if name == "momentum":
        assert torch.autograd.gradcheck(lambda v: rule(given, v), state.requires_grad_())


NUMBERS = (0.0, -0.1, math.nan, math.inf)
WRONG = {
    "η": (NUMBERS, (sgd, partial(momentum, beta=0.9), rmsprop, adam, partial(printed, lam=1.0))),
    "β": ((-0.1, 1.0, math.nan), (partial(momentum, 0.1), partial(rmsprop, 0.1), partial(adam, 0.1), partial(adam, 0.1, 0.9))),
    "ε": (NUMBERS, (partial(rmsprop, 0.1, 0.9), partial(adam, 0.1, 0.9, 0.9))),
    "λ": (NUMBERS[1:], (partial(derived, rule=sgd(0.1)), partial(printed, 0.1))),
}  # fmt: skip
"""Values of a setting that cannot be, and all that take it."""


@pytest.mark.parametrize("symbol", WRONG)
def test_settings_out_of_range_are_refused(symbol):
    values, makers = WRONG[symbol]
    for make in makers:
        for value in values:
            with pytest.raises(ValueError, match=symbol):
                make(value)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (sgd(0.1), "gradient descent, η = 0.1"),
        (momentum(0.1, 0.9), "momentum, η = 0.1, β = 0.9"),
        (rmsprop(0.1), "RMSprop, η = 0.1, β = 0.99, ε = 1e-08"),
        (adam(0.1), "Adam, η = 0.1, β₁ = 0.9, β₂ = 0.999, ε = 1e-08"),
        (derived(3.0, sgd(0.1)), "gradient descent, η = 0.1, λ = 3.0"),
        (printed(0.1, 3.0), "printed rule, η = 0.1, λ = 3.0"),
        (UpdateRule(torch.zeros_like, lambda gradient, state: (-gradient, state)), "an update rule"),
    ],
)
def test_a_rule_says_what_it_is(rule, text):
    assert rule.text == text
