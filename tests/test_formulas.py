"""The formula registry: every numbered formula of the lessons, checked by machine.

A formula is listed with its exact LaTeX and its kind. A *definition* names the package function that implements it; a
*claim* (gradient, update, closed form, bound, condition, optimum) states that two things agree. Both are computed twice on
random inputs, by two functions that share no code of the package, and a near miss, a plausible wrong version, has to fail.
A lesson's formula that is not listed here, or is listed in other words, fails.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies
from scipy.optimize import minimize_scalar
from torch.func import grad

from metautil.gradients import central_differences
from metautil.models import mlp
from metautil.risks import (
    cross_entropy,
    empirical_risk,
    half_squared_error,
    joint_risk,
    normalised_joint_risk,
)
from metautil.tasks import Data
from metautil.updates import derived, descend, momentum, sgd

LESSONS = sorted((Path(__file__).parent.parent / "lessons").glob("*.md"))
FORMULA = re.compile(r"^\$\$\n(.*?)\n\\tag\{([^}]*)\}\n\$\$$", re.MULTILINE | re.DOTALL)


class Formula(NamedTuple):
    """One registered formula; ``holds(left, right)`` must be true and ``holds(left, near_miss)`` false."""

    latex: str
    kind: str
    draw: Callable[[torch.Generator], tuple]
    left: Callable[..., Any]
    right: Callable[..., Any]
    near_miss: Callable[..., Any]
    implementation: Any = None
    holds: Callable[[Any, Any], bool] = None


def equal(left: Any, right: Any) -> bool:
    """Agreement to nine digits of the largest entry."""
    left, right = (np.asarray(value, dtype=float) for value in (left, right))
    assert left.shape == right.shape, f"shapes {left.shape} and {right.shape}"
    return bool(np.abs(left - right).max() <= 1e-9 * max(1.0, np.abs(left).max()))


def nearly_equal(left: Any, right: Any) -> bool:
    """Agreement to six digits, where one side is a difference quotient or a numerical search."""
    left, right = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    return bool(np.abs(left - right).max() <= 1e-6 * max(1.0, np.abs(left).max()))


def at_most(left: Any, right: Any) -> bool:
    """left ≤ right entry by entry, but for rounding."""
    left, right = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    return bool((left <= right + 1e-12 * np.abs(right).max()).all())


# Random inputs


def real(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def positive(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return 0.1 + 2 * torch.rand(*shape, generator=generator, dtype=torch.float64)


def sizes(generator: torch.Generator, count: int) -> list[int]:
    """Random axis lengths, 2 to 8."""
    return torch.randint(2, 9, (count,), generator=generator).tolist()


def draw_pair(generator):
    shape = sizes(generator, 2)
    return real(generator, *shape), real(generator, *shape)


def draw_scores(generator):
    N, C = sizes(generator, 2)
    return real(generator, N, C), torch.randint(0, C, (N,), generator=generator)


def draw_line(generator):
    N, p = sizes(generator, 2)
    return real(generator, p), real(generator, N, p), real(generator, N)


def draw_network(generator):
    """W1 (d, h), b1 (h,), W2 (h, C), b2 (C,), inputs (N, d), labels (N, C)."""
    N, d, h, C = sizes(generator, 4)
    return tuple(real(generator, *shape) for shape in ((d, h), (h,), (h, C), (C,), (N, d), (N, C)))


def draw_risks(generator):
    return (*positive(generator, 2).tolist(), positive(generator, 1).item())


def draw_bowls(generator):
    """θ (3,), two curvature vectors and centres (3,), λ, η."""
    vectors = [real(generator, 3)] + [f(generator, 3) for f in (positive, real, positive, real)]
    return (*vectors, 0.3 + positive(generator, 1).item(), 0.1 * positive(generator, 1).item())


def draw_parabola(generator):
    return (*positive(generator, 2).tolist(), real(generator, 1).item())


def draw_matrix(generator):
    (p,) = sizes(generator, 1)
    root = real(generator, p, p)
    return root @ root.T + 0.1 * torch.eye(p, dtype=torch.float64), real(generator, p)


def draw_curvatures(generator):
    """Curvatures in ascending order, (12,), with a condition number well above 1."""
    return (torch.sort(positive(generator, 12) ** 2).values.numpy() + 0.01,)


# Left sides go through the package (or autograd), right sides through numpy and plain loops


def package_network(W1, b1, W2, b2):
    """The package's network of these sizes, and its θ."""
    theta = torch.cat([piece.reshape(-1) for piece in (W1, b1, W2, b2)])
    return mlp((*W1.shape, W2.shape[1])), theta


def network_autograd(W1, b1, W2, b2, x, y_star):
    """Gradient by (W1, b1, W2, b2) of the mean of ½ Σ (y − y*)², by torch alone."""

    def risk(W1, b1, W2, b2):
        return (torch.tanh(x @ W1 + b1) @ W2 + b2 - y_star).square().sum(1).div(2).mean()

    return grad(risk, argnums=(0, 1, 2, 3))(W1, b1, W2, b2)


def numpy_network(W1, b1, W2, b2, x, y_star):
    W1, b1, W2, b2, x, y_star = (value.numpy() for value in (W1, b1, W2, b2, x, y_star))
    h = np.tanh(x @ W1 + b1)
    return h, h @ W2 + b2 - y_star, W2, x


def head_gradients(*arguments, factor=1.0):
    h, delta, _, _ = numpy_network(*arguments)
    N = len(h)
    by_W2 = sum(np.outer(h[i], delta[i]) for i in range(N)) / N * factor
    return np.concatenate([by_W2.ravel(), sum(delta) / N])


def hidden_gradients(*arguments, slope=lambda h: 1 - h**2):
    h, delta, W2, x = numpy_network(*arguments)
    N = len(h)
    epsilon = [(delta[i] @ W2.T) * slope(h[i]) for i in range(N)]
    by_W1 = sum(np.outer(x[i], epsilon[i]) for i in range(N)) / N
    return np.concatenate([by_W1.ravel(), sum(epsilon) / N])


def line_loops(theta, x, y_star, count=None):
    total = 0.0
    for row, label in zip(x.tolist(), y_star.tolist(), strict=True):
        total += 0.5 * (sum(a * b for a, b in zip(row, theta.tolist(), strict=True)) - label) ** 2
    return total / (count or len(y_star))


def line_risk(theta, x, y_star):
    return empirical_risk(
        lambda theta, x: (x @ theta).unsqueeze(1), theta, Data(x, y_star.unsqueeze(1)), half_squared_error
    )


def line_sums(theta, x, y_star, scale=1.0):
    theta, x, y_star = theta.numpy(), x.numpy(), y_star.numpy()
    N = len(y_star)
    by_sum = sum((x[i] @ theta - y_star[i]) * x[i] for i in range(N)) / N
    by_matrix = x.T @ (x @ theta - y_star) / N
    return scale * np.concatenate([by_sum, by_matrix])


def bowl_gradients(theta, c_D, m_D, c_T, m_T):
    return c_D * (theta - m_D), c_T * (theta - m_T)


def updated_by_rule(theta, c_D, m_D, c_T, m_T, lam, eta):
    step, _ = derived(lam, sgd(eta))(bowl_gradients(theta, c_D, m_D, c_T, m_T), ())
    return theta + step


def updated_by_differences(theta, c_D, m_D, c_T, m_T, lam, eta, outside=False):
    """θ − η · (numerical gradient of L_D + λ L_T), or with λ outside the bracket as near miss."""
    theta, c_D, m_D, c_T, m_T = (value.numpy() for value in (theta, c_D, m_D, c_T, m_T))

    def slope(c, m):
        width, unit = 1e-4, np.eye(len(theta))
        risk = lambda t: 0.5 * float(c @ (t - m) ** 2)  # noqa: E731
        return np.array([(risk(theta + width * e) - risk(theta - width * e)) / (2 * width) for e in unit])

    if outside:
        return theta - eta * slope(c_D, m_D) - lam * slope(c_T, m_T)
    return theta - eta * (slope(c_D, m_D) + lam * slope(c_T, m_T))


def smooth(theta):
    return (theta**3).sum() + (theta[0] * theta[1]).sin()


def one_by_one(function, theta, width, sided=False):
    values = []
    for j in range(len(theta)):
        up, down = theta.clone(), theta.clone()
        up[j] += width
        down[j] -= 0 if sided else width
        values.append((function(up).item() - function(down).item()) / (width if sided else 2 * width))
    return values


def bowl_values(H, theta, share, curvature_term=0.5):
    """Both sides of (3.9) on ½θᵀHθ at η = share/L: (risk after the step, bound)."""
    H, theta = H.numpy(), theta.numpy()
    L = np.linalg.eigvalsh(H)[-1]
    risk, slope = lambda t: 0.5 * t @ H @ t, H @ theta
    eta = share / L
    return risk(theta) - eta * (1 - curvature_term * eta * L) * slope @ slope


def risk_after_step(H, theta, share):
    eta = share / torch.linalg.eigvalsh(H)[-1].item()
    after = theta + sgd(eta)(H @ theta, ())[0]
    return (0.5 * after @ H @ after).item()


SHARES = (0.1, 0.5, 1.0, 1.5, 2.0, 2.5)


def converges(L, _, start, factor=2.0):
    """For step sizes around the border: does a long path shrink?"""
    return [eta < factor / L for eta in np.array([0.05, 0.5, 0.95, 1.05, 1.5, 1.95, 2.05, 3.0]) / L]


def simulated(L, _, start):
    verdicts = []
    for eta in np.array([0.05, 0.5, 0.95, 1.05, 1.5, 1.95, 2.05, 3.0]) / L:
        path = descend(sgd(float(eta)), lambda theta: L * theta, torch.tensor([start], dtype=torch.float64), 400)
        verdicts.append(bool(path[-1].abs() < 1e-6 * abs(start)))
    return verdicts


def along_eigenvectors(H, start):
    eta = 1.5 / torch.linalg.eigvalsh(H)[-1].item()
    path = descend(sgd(eta), lambda theta: H @ theta, start, 6)
    return path.numpy() @ np.linalg.eigh(H.numpy())[1]


def along_closed_form(H, start, reverse=False):
    curvatures, vectors = np.linalg.eigh(H.numpy())
    eta, a_0 = 1.5 / curvatures[-1], start.numpy() @ vectors
    curvatures = curvatures[::-1] if reverse else curvatures
    return [(1 - eta * curvatures) ** k * a_0 for k in range(7)]


def searched_step(curvatures):
    found = minimize_scalar(
        lambda eta: np.abs(1 - eta * curvatures).max(),
        bounds=(0, 2 / curvatures[-1]),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return [found.x, found.fun]


def best_step(curvatures, extra=1.0):
    low, high = curvatures[0], curvatures[-1]
    return [2 / (extra * low + high), (high / low - 1) / (high / low + 1)]


def heavy_ball_radius(curvatures, eta, beta):
    """Largest root of z² − (1 + β − ηc) z + β over the curvatures: the long-run factor of the rule, without the rule."""
    return max(np.abs(np.roots([1, -(1 + beta - eta * c), beta])).max() for c in curvatures)


def best_ball(curvatures):
    """Radius at the formula's (η, β); 1 in its place if a nearby pair does better."""
    low, high = curvatures[0], curvatures[-1]
    eta = 4 / (math.sqrt(high) + math.sqrt(low)) ** 2
    beta = ((math.sqrt(high / low) - 1) / (math.sqrt(high / low) + 1)) ** 2
    here = heavy_ball_radius(curvatures, eta, beta)
    rng = np.random.default_rng(0)
    for scale in (0.003, 0.03, 0.3):
        for bend in rng.normal(size=(40, 2)):
            other = heavy_ball_radius(
                curvatures, eta * math.exp(scale * bend[0]), min(beta * math.exp(scale * bend[1]), 1)
            )
            if other < here - 1e-6:
                return 1.0
    return here


def constant_pull(rule, gradients):
    theta = torch.zeros(len(gradients[0]), dtype=torch.float64)
    state, path = rule.init(theta), []
    for gradient in gradients:
        step, state = rule(gradient, state)
        theta = theta + step
        path.append(theta)
    return torch.stack(path)


def ball_loops(gradients, eta, beta, fresh=1.0):
    theta, v, path = np.zeros(len(gradients[0])), np.zeros(len(gradients[0])), []
    for g in gradients.numpy():
        v = beta * v + fresh * g
        theta = theta - eta * v
        path.append(theta)
    return path


def draw_gradients(generator):
    return real(generator, 5, 3), 0.3, 0.8


def softmax_loops(scores, labels, base=math.e):
    losses = []
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        losses.append(-math.log(math.exp(row[label]) / sum(map(math.exp, row)), base))
    return losses


def squares_loops(y, y_star, half=0.5):
    return [
        half * sum((a - b) ** 2 for a, b in zip(row, labels, strict=True))
        for row, labels in zip(y.tolist(), y_star.tolist(), strict=True)
    ]


def network_loops(*arguments, mean=True):
    _, delta, _, _ = numpy_network(*arguments)
    losses = [0.5 * float(row @ row) for row in delta]
    return sum(losses) / (len(losses) if mean else 1)


FORMULAS = {
    "0.1": Formula(
        r"\ell(y, y^*) = \tfrac{1}{2} \sum_{c=1}^{C} (y_c - y_c^*)^2",
        "definition", draw_pair, half_squared_error, squares_loops,
        lambda y, y_star: squares_loops(y, y_star, half=1.0), half_squared_error,
    ),
    "0.2": Formula(
        r"\ell(y, y^*) = -\log \frac{e^{y_{y^*}}}{\sum_{c=1}^{C} e^{y_c}}",
        "definition", draw_scores, cross_entropy, softmax_loops,
        lambda y, y_star: softmax_loops(y, y_star, base=2), cross_entropy,
    ),
    "0.3": Formula(
        r"\mathcal{L}_D(\theta) = \frac{1}{N} \sum_{i=1}^{N} \ell(M_\theta(x_i), y_i)",
        "definition", draw_network,
        lambda W1, b1, W2, b2, x, y: empirical_risk(
            *package_network(W1, b1, W2, b2), Data(x, y), half_squared_error
        ),
        network_loops, lambda *arguments: network_loops(*arguments, mean=False), empirical_risk,
    ),
    "0.4": Formula(
        r"\min_\theta\; \mathcal{L}_D(\theta) + \lambda\, \mathcal{L}_T(\theta)",
        "definition", draw_risks, joint_risk,
        lambda a, b, lam: float(np.dot([1, lam], [a, b])),
        lambda a, b, lam: float(np.dot([lam, 1], [a, b])), joint_risk,
    ),
    "0.5": Formula(
        r"\frac{\mathcal{L}_D(\theta) + \lambda\, \mathcal{L}_T(\theta)}{1 + \lambda}",
        "definition", draw_risks, normalised_joint_risk,
        lambda a, b, lam: float(np.average([a, b], weights=[1, lam])),
        lambda a, b, lam: float(np.average([a, b], weights=[lam, 1])), normalised_joint_risk,
    ),
    "0.6": Formula(
        r"\theta \leftarrow \theta - \eta \left( \nabla \mathcal{L}_D(\theta) + \lambda \nabla \mathcal{L}_T(\theta) \right)",
        "update", draw_bowls, updated_by_rule, updated_by_differences,
        lambda *arguments: updated_by_differences(*arguments, outside=True), derived, nearly_equal,
    ),
    "3.1": Formula(
        r"\mathcal{L}_D(\theta) = \frac{1}{N} \sum_{i=1}^{N} \tfrac{1}{2} \left( x_i \theta - y_i^* \right)^2",
        "definition", draw_line, line_risk, line_loops,
        lambda *arguments: line_loops(*arguments, count=1), empirical_risk,
    ),
    "3.2": Formula(
        r"\frac{\partial \ell}{\partial y} = y - y^*",
        "gradient", draw_pair,
        lambda y, y_star: grad(lambda y: half_squared_error(y, y_star).sum())(y),
        lambda y, y_star: y.numpy() - y_star.numpy(),
        lambda y, y_star: 2 * (y.numpy() - y_star.numpy()),
    ),
    "3.3": Formula(
        r"\nabla \mathcal{L}_D(\theta) = \frac{1}{N} \sum_{i=1}^{N} (x_i\theta - y_i^*)\, x_i^\top"
        r" = \frac{1}{N} X^\top (X\theta - y^*)",
        "gradient", draw_line,
        lambda theta, x, y_star: grad(line_risk)(theta, x, y_star).repeat(2),
        line_sums, lambda *arguments: line_sums(*arguments, scale=2.0),
    ),
    "3.4": Formula(
        r"\frac{\partial \mathcal{L}}{\partial \theta_j} \approx \frac{\mathcal{L}(\theta + \epsilon e_j)"
        r" - \mathcal{L}(\theta - \epsilon e_j)}{2\epsilon}",
        "definition", lambda generator: (smooth, real(generator, *sizes(generator, 1))),
        lambda function, theta: central_differences(function, theta, width=1e-2),
        lambda function, theta: one_by_one(function, theta, 1e-2),
        lambda function, theta: one_by_one(function, theta, 1e-2, sided=True), central_differences,
    ),
    "3.5": Formula(
        r"h = \tanh(x W_1 + b_1), \qquad y = h W_2 + b_2",
        "definition", draw_network,
        lambda W1, b1, W2, b2, x, y: (lambda model, theta: model(theta, x))(*package_network(W1, b1, W2, b2)),
        lambda W1, b1, W2, b2, x, y: np.tanh(x.numpy() @ W1.numpy() + b1.numpy()) @ W2.numpy() + b2.numpy(),
        lambda W1, b1, W2, b2, x, y: np.tanh(x.numpy() @ W1.numpy()) @ W2.numpy() + b2.numpy(), mlp,
    ),
    "3.6": Formula(
        r"\frac{\partial \mathcal{L}_D}{\partial W_2} = \frac{1}{N} \sum_{i} h_i^\top \delta_i, \qquad"
        r" \frac{\partial \mathcal{L}_D}{\partial b_2} = \frac{1}{N} \sum_{i} \delta_i",
        "gradient", draw_network,
        lambda *arguments: torch.cat([piece.reshape(-1) for piece in network_autograd(*arguments)[2:]]),
        head_gradients, lambda *arguments: head_gradients(*arguments, factor=2.0),
    ),
    "3.7": Formula(
        r"\varepsilon_i = (\delta_i W_2^\top) \odot (1 - h_i^2), \qquad"
        r" \frac{\partial \mathcal{L}_D}{\partial W_1} = \frac{1}{N} \sum_{i} x_i^\top \varepsilon_i, \qquad"
        r" \frac{\partial \mathcal{L}_D}{\partial b_1} = \frac{1}{N} \sum_{i} \varepsilon_i",
        "gradient", draw_network,
        lambda *arguments: torch.cat([piece.reshape(-1) for piece in network_autograd(*arguments)[:2]]),
        hidden_gradients, lambda *arguments: hidden_gradients(*arguments, slope=lambda h: 1 - h),
    ),
    "3.8": Formula(
        r"\theta \leftarrow \theta - \eta\, \nabla \mathcal{L}_D(\theta)",
        "definition", lambda generator: (real(generator, 1, 3), 0.3),
        lambda gradients, eta: constant_pull(sgd(eta), gradients),
        lambda gradients, eta: [-eta * row for row in gradients.numpy()],
        lambda gradients, eta: [eta * row for row in gradients.numpy()], sgd,
    ),
    "3.9": Formula(
        r"\mathcal{L}(\theta - \eta \nabla \mathcal{L}(\theta)) \le \mathcal{L}(\theta) - \eta"
        r" \left( 1 - \tfrac{1}{2} \eta L \right) \lVert \nabla \mathcal{L}(\theta) \rVert^2",
        "bound", draw_matrix,
        lambda H, theta: [risk_after_step(H, theta, share) for share in SHARES],
        lambda H, theta: [bowl_values(H, theta, share) for share in SHARES],
        lambda H, theta: [bowl_values(H, theta, share, curvature_term=0.0) for share in SHARES], None, at_most,
    ),
    "3.10": Formula(
        r"\theta_k = (1 - \eta L)^k\, \theta_0",
        "closed form", draw_parabola,
        lambda L, eta, start: descend(
            sgd(eta), lambda theta: L * theta, torch.tensor([start], dtype=torch.float64), 8
        )[:, 0],
        lambda L, eta, start: [(1 - eta * L) ** k * start for k in range(9)],
        lambda L, eta, start: [math.exp(-eta * L * k) * start for k in range(9)],
    ),
    "3.11": Formula(
        r"\theta_k \to 0 \text{ for every } \theta_0 \quad \Longleftrightarrow \quad 0 < \eta < \frac{2}{L}",
        "condition", draw_parabola, simulated, converges,
        lambda *arguments: converges(*arguments, factor=1.0),
    ),
    "3.12": Formula(
        r"a_{j,k} = (1 - \eta c_j)^k\, a_{j,0}",
        "closed form", draw_matrix, along_eigenvectors, along_closed_form,
        lambda *arguments: along_closed_form(*arguments, reverse=True),
    ),
    "3.13": Formula(
        r"\eta^* = \frac{2}{\mu + L}, \qquad \min_\eta \max_j |1 - \eta c_j| = \frac{\kappa - 1}{\kappa + 1}",
        "optimum", draw_curvatures, searched_step, best_step,
        lambda curvatures: best_step(curvatures, extra=2.0), None, nearly_equal,
    ),
    "3.14": Formula(
        r"v \leftarrow \beta v + \nabla \mathcal{L}(\theta), \qquad \theta \leftarrow \theta - \eta v",
        "definition", draw_gradients,
        lambda gradients, eta, beta: constant_pull(momentum(eta, beta), gradients),
        ball_loops, lambda gradients, eta, beta: ball_loops(gradients, eta, beta, fresh=1 - beta), momentum,
    ),
    "3.15": Formula(
        r"\eta = \frac{4}{(\sqrt{L} + \sqrt{\mu})^2}, \quad \beta = \left( \frac{\sqrt{\kappa} - 1}{\sqrt{\kappa} + 1}"
        r" \right)^2: \qquad \text{factor } \sqrt{\beta} = \frac{\sqrt{\kappa} - 1}{\sqrt{\kappa} + 1}",
        "optimum", draw_curvatures, best_ball,
        lambda curvatures: 1 - 2 / (math.sqrt(curvatures[-1] / curvatures[0]) + 1),
        lambda curvatures: 1 - 2 / (curvatures[-1] / curvatures[0] + 1), None, nearly_equal,
    ),
}  # fmt: skip

DEFINITIONS = {tag: formula for tag, formula in FORMULAS.items() if formula.kind == "definition"}
SEEDS = range(5)
ANY_SEED = strategies.integers(0, 2**31)


def in_lessons() -> dict[str, str]:
    """Tag → LaTeX with single spaces, of every display formula in the lessons."""
    found = {}
    for lesson in LESSONS:
        text = lesson.read_text(encoding="utf-8")
        matches = FORMULA.findall(text)
        assert text.count("$$") == 2 * len(matches), f"{lesson.name} has display mathematics without a \\tag"
        for latex, tag in matches:
            assert tag not in found, f"({tag}) stands twice"
            found[tag] = " ".join(latex.split())
    return found


def test_every_formula_is_registered_in_its_own_words():
    registered = {tag: " ".join(formula.latex.split()) for tag, formula in FORMULAS.items()}
    assert in_lessons() == registered


@pytest.mark.parametrize("tag", FORMULAS)
@settings(max_examples=20, derandomize=True, deadline=None)
@given(seed=ANY_SEED)
def test_formula_holds(tag, seed):
    """On random shapes and values; a seed draws both."""
    formula = FORMULAS[tag]
    inputs = formula.draw(torch.Generator().manual_seed(seed))
    assert (formula.holds or equal)(formula.left(*inputs), formula.right(*inputs)), f"({tag}) {formula.latex}"


@pytest.mark.parametrize("tag", FORMULAS)
def test_near_miss_fails(tag):
    """At least one of the seeds tells the near miss from the formula; for equations every one must."""
    formula = FORMULAS[tag]
    holds = formula.holds or equal
    verdicts = []
    for seed in SEEDS:
        inputs = formula.draw(torch.Generator().manual_seed(seed))
        verdicts.append(holds(formula.left(*inputs), formula.near_miss(*inputs)))
    assert not any(verdicts), f"({tag}): the near miss passes"


@pytest.mark.parametrize("tag", DEFINITIONS)
def test_definition_names_its_implementation(tag):
    """The docstring of the implementation names the formula (3.1 names the general function, whose formula is 0.3)."""
    implementation = FORMULAS[tag].implementation
    named = "(0.3)" if tag == "3.1" else f"({tag})"
    assert named in implementation.__doc__, f"{implementation.__name__} does not say that it is {named}"


@pytest.mark.parametrize("tag", FORMULAS)
def test_sides_share_no_code(tag):
    """The two sides use disjoint sets of functions of the package, this file's helpers included."""
    left, right = (reach(side) for side in FORMULAS[tag][3:5])
    shared = left & right - {real, positive}
    assert not shared, f"({tag}): both sides use {sorted(f.__name__ for f in shared)}"


def reach(function: Callable) -> set[Callable]:
    """Functions of this file and of metautil that ``function`` uses, directly or through this file's helpers."""
    found: set[Callable] = set()

    def visit(item: Any) -> None:
        module = getattr(item, "__module__", "") or ""
        if not callable(item) or item in found or not (module == __name__ or module.startswith("metautil")):
            return
        if getattr(item, "__name__", "") != "<lambda>":
            found.add(item)
        if module == __name__ and hasattr(item, "__code__"):
            for name in names(item.__code__):
                if name in globals():
                    visit(globals()[name])

    def names(code) -> set[str]:
        inner = (constant for constant in code.co_consts if hasattr(constant, "co_names"))
        return reduce(set.union, map(names, inner), set(code.co_names))

    visit(function)
    return found
