"""The plane problems of the explorer: derivatives, limit points, stability, and what the printed rule does to λ."""

from __future__ import annotations

import pytest
import torch

from lessons.shared.problems import FAR, OPTIMISERS, PROBLEMS, RULES, outcome, problem, relative_weight, steepest, walk
from metautil.updates import descend, sgd

CONVEX = [name for name in PROBLEMS if problem(name).convex]
WEIGHTS = (0.0, 1e-3, 0.1, 0.5, 1.0, 3.0, 10.0, 100.0, 1e5)


@pytest.fixture(params=PROBLEMS)
def which(request):
    return problem(request.param)


def test_derivatives_are_those_of_autograd(which):
    for theta in 2 * torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64):
        for part in (0, 1):
            first = torch.autograd.functional.jacobian(lambda theta, part=part: which.risks(theta)[part], theta)
            second = torch.autograd.functional.hessian(lambda theta, part=part: which.risks(theta)[part], theta)
            assert torch.allclose(which.gradients(theta)[part], first, rtol=1e-9, atol=1e-11)
            assert torch.allclose(which.hessians(theta)[part], second, rtol=1e-9, atol=1e-11)


def test_linear_regression_is_the_risk_of_a_line():
    """Against the data written out, in numpy."""
    import numpy as np

    x, k = np.linspace(-2, 0.4, 13), np.arange(13)
    y = 0.3 + 0.9 * x + 0.12 * np.cos(7 * k)
    x_T = np.array([0.2, 0.5, 0.8, 1.1])
    y_T = 1.3 + 0.3 * x_T + np.array([0.06, -0.08, 0.05, -0.03])
    for a, b in ((0.0, 0.0), (0.3, -1.0), (1.3, 0.3)):
        risks = problem("linear regression").risks(torch.tensor([a, b], dtype=torch.float64))
        expected = [np.mean((a + b * x - y) ** 2) / 2, np.mean((a + b * x_T - y_T) ** 2) / 2]
        assert np.allclose([float(risk) for risk in risks], expected, rtol=1e-12)


def test_limit_points_are_minima(which):
    for weight in WEIGHTS:
        theta = which.limit(weight)
        (g_D, g_T), (H_D, H_T) = which.gradients(theta), which.hessians(theta)
        assert (g_D + weight * g_T).norm() <= 1e-10 * (1 + weight)
        assert torch.linalg.eigvalsh(H_D + weight * H_T)[0] > 0
    risks = torch.tensor([[float(risk) for risk in which.risks(which.limit(weight))] for weight in WEIGHTS])
    assert (risks[:, 0].diff() >= -1e-9).all() and (risks[:, 1].diff() <= 1e-9).all(), "more weight, less risk on T"


@pytest.mark.parametrize("name", CONVEX)
@pytest.mark.parametrize("rule", RULES)
def test_sgd_converges_to_the_limit_point_of_its_rule(name, rule):
    """By iteration, to 1e-8: argmin L_D + λL_T for the derived rule, argmin L_D + (λ/η)L_T for the printed one."""
    which, eta, lam = problem(name), 0.1, 0.7
    end = walk(which, eta, lam, rule, steps=3000)[-1]
    weight = lam if rule == "derived" else lam / eta
    H, b = [], []
    zero = torch.zeros(2, dtype=torch.float64)
    for hessian, gradient in zip(which.hessians(zero), which.gradients(zero), strict=True):
        H.append(hessian)
        b.append(-gradient)
    assert (end - torch.linalg.solve(H[0] + weight * H[1], b[0] + weight * b[1])).norm() < 1e-8


def test_the_printed_rule_is_the_printed_step(which):
    """−η∇L_D − λ∇L_T, written out here."""
    eta, lam = 0.07, 0.9
    theta, path = which.start, walk(which, eta, lam, "printed", steps=25)
    for k in range(25):
        g_D, g_T = which.gradients(theta)
        theta = theta - eta * g_D - lam * g_T
        assert (theta - path[k + 1]).norm() < 1e-12


def test_rules_agree_where_the_printed_weight_is_eta_times_lambda(which):
    for optimiser in OPTIMISERS:
        derived, printed = walk(which, 0.1, 3.0, "derived", optimiser), walk(which, 0.1, 0.3, "printed", optimiser)
        assert torch.allclose(derived, printed, rtol=1e-6, atol=1e-9)


def test_the_optimiser_is_handed_the_weighted_gradient(which):
    """Under both rules and with each optimiser, against torch.optim on L_D + wL_T."""
    engines = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.05),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05),
    }
    for name, make in engines.items():
        for rule, weight in (("derived", 0.4), ("printed", 8.0)):
            theta = which.start.clone().requires_grad_()
            engine = make([theta])
            for _ in range(20):
                engine.zero_grad()
                risk_D, risk_T = which.risks(theta)
                (risk_D + weight * risk_T).backward()
                engine.step()
            assert (walk(which, 0.05, 0.4, rule, name, 20)[-1] - theta).norm() < 1e-8


@pytest.mark.parametrize("name", CONVEX)
@pytest.mark.parametrize("rule", RULES)
def test_the_edge_of_the_map_is_where_simulation_turns(name, rule):
    """Just inside the line a long walk shrinks, just outside it grows; under the printed rule λ = wη goes along."""
    which = problem(name)
    for weight in (0.0, 0.2, 1.0, 5.0, 50.0):
        edge = 2 / steepest(which, weight)
        for factor, stable in ((0.98, True), (1.02, False)):
            eta = factor * edge
            lam = weight if rule == "derived" else weight * eta
            gradients = lambda theta, eta=eta, lam=lam: (  # noqa: E731
                which.gradients(theta)[0] + (lam if rule == "derived" else lam / eta) * which.gradients(theta)[1]
            )
            path = descend(sgd(eta), gradients, which.start, 400)
            distance = (path - which.limit(weight)).norm(dim=1)
            assert (distance[-1] < distance[-100]) == stable
            assert (outcome(which, eta, lam, rule).verdict == "oscillates and converges") == stable


@pytest.mark.parametrize("name", CONVEX)
def test_momentum_turns_at_two_times_one_plus_beta(name):
    which = problem(name)
    edge = 2 * (1 + 0.9) / steepest(which, 1.0)
    for factor, verdict in ((0.98, "oscillates and converges"), (1.02, "diverges")):
        assert outcome(which, factor * edge, 1.0, "derived", "momentum").verdict == verdict
        distance = (walk(which, factor * edge, 1.0, "derived", "momentum", 300) - which.limit(1.0)).norm(dim=1)
        assert (distance[-20:].max() < distance[80:100].max()) == (factor < 1)
    flat = 0.9 * (1 - 0.9**0.5) ** 2 / steepest(which, 1.0)
    assert outcome(which, flat, 1.0, "derived", "momentum").verdict == "converges"


def test_halving_eta_moves_the_limit_point_under_the_printed_rule_alone(which):
    """It doubles λ/η, and the limit point comes closer to T's minimum; under the derived rule it stays."""
    to_T = []
    for eta in (0.2, 0.1, 0.05, 0.025):
        assert outcome(which, eta, 0.3, "derived").weight == 0.3
        found = outcome(which, eta, 0.3, "printed")
        assert found.weight == pytest.approx(0.3 / eta)
        to_T.append(float((found.limit - which.limit(1e6)).norm()))
    assert to_T == sorted(to_T, reverse=True) and to_T[-1] < 0.8 * to_T[0]


def test_a_walk_that_runs_away_is_held_and_said(which):
    for optimiser in ("sgd", "momentum"):
        path = walk(which, 3.0, 100.0, "derived", optimiser)
        assert torch.isfinite(path).all() and path.abs().max() <= FAR
        assert outcome(which, 3.0, 100.0, "derived", optimiser).verdict == "diverges"


def test_words_for_walks_that_are_judged_by_their_steps():
    network = problem("small network")
    assert outcome(network, 0.01, 1.0).verdict == "still under way"
    assert outcome(network, 1.0, 1.0).verdict == "comes close to the limit point"
    assert outcome(network, 3.0, 0.0).verdict == "keeps oscillating"
    assert outcome(problem("quadratic"), 0.1, 1.0, "derived", "adam").verdict == "oscillates less and less"
    assert not outcome(network, 0.1, 1.0).exact and outcome(problem("quadratic"), 0.1, 1.0).exact


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: problem("rosenbrock"), "expected one of linear regression, quadratic, small network"),
        (lambda: relative_weight(0.1, 1.0, "guessed"), "expected one of derived, printed"),
        (lambda: walk(problem("quadratic"), 0.1, 1.0, "derived", "lbfgs"), "expected one of sgd, momentum"),
        (lambda: walk(problem("quadratic"), 0.0, 1.0), "η"),
        (lambda: walk(problem("quadratic"), 0.1, -1.0), "λ"),
    ],
)
def test_what_makes_no_sense_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
