"""Two risks on one plane: problems with two parameters, small enough to see everything that λ and η do.

Each problem has a risk L_D of the data, a risk L_T of the new task, and the limit points argmin L_D + w L_T over the
relative weight w. `walk` follows a rule and an optimiser on it; the explorer of `lessons.shared.explorer` draws such walks, and
the challenges judge them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from metautil.updates import UpdateRule, adam, derived, descend, momentum, rmsprop, sgd

RULES = ("derived", "printed")
BETA = 0.9
OPTIMISERS: dict[str, Callable[[float], UpdateRule]] = {
    "sgd": sgd,
    "momentum": lambda eta: momentum(eta, BETA),
    "rmsprop": rmsprop,
    "adam": adam,
}
"""Name → inner rule of the step size η; the other numbers are the usual ones."""

STEPS, FAR = 60, 1e6
"""Length of a walk, and the distance from 0 at which a walk that runs away is held."""

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Problem:
    """Two risks of two parameters θ, in float64.

    Attributes
    ----------
    risks : callable
        θ (..., 2) → (L_D, L_T), each (...).
    gradients, hessians : callable
        θ (2,) → their derivatives for D and for T.
    limit : callable
        Relative weight w ≥ 0 → argmin L_D + w L_T, shape (2,); for a problem that is not convex, the minimiser
        that is reached from D's own by raising w.
    start : Tensor
        θ_0, shape (2,).
    convex : bool
        Whether both risks are quadratic: then H_D and H_T are the same everywhere and decide what a walk does.
    labels, window : tuple
        Names of the two parameters; the part of the plane to look at, ((left, right), (low, high)).
    """

    risks: Callable[[Tensor], Pair]
    gradients: Callable[[Tensor], Pair]
    hessians: Callable[[Tensor], Pair]
    limit: Callable[[float], Tensor]
    start: Tensor
    convex: bool
    labels: tuple[str, str]
    window: tuple[tuple[float, float], tuple[float, float]]


def _tensor(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _quadratics(D: tuple[Tensor, Tensor, float], T: tuple[Tensor, Tensor, float], **rest: object) -> Problem:
    """Risks ½θᵀHθ − bᵀθ + c, each given as (H, b, c)."""
    (H_D, b_D, _), (H_T, b_T, _) = D, T

    def risks(theta: Tensor) -> Pair:
        return tuple(0.5 * ((theta @ H) * theta).sum(-1) - theta @ b + c for H, b, c in (D, T))

    def limit(weight: float) -> Tensor:
        return torch.linalg.solve(H_D + weight * H_T, b_D + weight * b_T)

    return Problem(risks, lambda theta: (H_D @ theta - b_D, H_T @ theta - b_T), lambda theta: (H_D, H_T), limit,
                   convex=True, **rest)  # fmt: skip


def _linear_regression() -> Problem:
    """A line y = θ₁ + θ₂x, half the mean squared error on 13 examples of D and on 4 of T, which lie on another line."""
    x_D = torch.linspace(-2.0, 0.4, 13, dtype=torch.float64)
    y_D = 0.3 + 0.9 * x_D + 0.12 * torch.cos(7 * torch.arange(13, dtype=torch.float64))
    x_T = _tensor(0.2, 0.5, 0.8, 1.1)
    y_T = 1.3 + 0.3 * x_T + _tensor(0.06, -0.08, 0.05, -0.03)

    def half_mean_square(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
        inputs = torch.stack([torch.ones_like(x), x], 1)
        return inputs.T @ inputs / len(x), inputs.T @ y / len(x), float(y @ y / (2 * len(x)))

    return _quadratics(
        half_mean_square(x_D, y_D), half_mean_square(x_T, y_T), start=_tensor(-1.2, -0.7),
        labels=("θ₁, intercept", "θ₂, slope"), window=((-1.5, 2.1), (-1.1, 1.7)),
    )  # fmt: skip


def _quadratic() -> Problem:
    """Two bowls with different centres, whose long axes point in different directions."""

    def bowl(angle: float, steep: float, flat: float, centre: Tensor) -> tuple[Tensor, Tensor, float]:
        c, s = math.cos(angle), math.sin(angle)
        axes = _tensor([c, -s], [s, c])
        H = axes @ torch.diag(_tensor(steep, flat)) @ axes.T
        return H, H @ centre, float(centre @ H @ centre / 2)

    return _quadratics(
        bowl(0.3, 3.0, 0.5, _tensor(-0.5, 0.3)), bowl(1.9, 1.6, 0.3, _tensor(0.6, -0.4)), start=_tensor(-1.1, -1.1),
        labels=("θ₁", "θ₂"), window=((-1.5, 1.5), (-1.4, 1.0)),
    )  # fmt: skip


def _small_network() -> Problem:
    """The network y = θ₂ tanh(θ₁x), half the mean squared error: not convex, and (−θ₁, −θ₂) is the same mapping as θ."""
    x_D = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64)
    x_T = _tensor(-0.9, -0.5, 0.4, 0.8)
    data = ((x_D, 1.4 * torch.tanh(0.8 * x_D)), (x_T, 0.9 * torch.tanh(3 * x_T)))

    def risks(theta: Tensor) -> Pair:
        return tuple(
            0.5 * (theta[..., 1:] * torch.tanh(theta[..., :1] * x) - y).square().mean(-1) for x, y in data
        )  # fmt: skip

    x, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    share = torch.zeros(len(x), 2, dtype=torch.float64)  # 1/N in the rows of D and of T: both means in one product
    share[: len(x_D), 0], share[len(x_D) :, 1] = 1 / len(x_D), 1 / len(x_T)

    def gradients(theta: Tensor) -> Pair:
        h = torch.tanh(theta[0] * x)
        residual = theta[1] * h - y
        return (torch.stack([theta[1] * residual * (1 - h * h) * x, residual * h]) @ share).unbind(1)

    def hessian(theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        h = torch.tanh(theta[0] * x)
        slope, residual = (1 - h * h) * x, theta[1] * h - y
        first = theta[1] * (theta[1] * slope**2 - 2 * residual * h * slope * x)
        mixed = (theta[1] * h + residual) * slope
        return torch.stack([first.sum(), mixed.sum(), mixed.sum(), (h * h).sum()]).reshape(2, 2) / len(x)

    def hessians(theta: Tensor) -> Pair:
        return hessian(theta, *data[0]), hessian(theta, *data[1])

    def newton(theta: Tensor, weight: float, times: int) -> Tensor:
        for _ in range(times):
            (g_D, g_T), (H_D, H_T) = gradients(theta), hessians(theta)
            theta = theta - torch.linalg.solve(H_D + weight * H_T, g_D + weight * g_T)
        return theta

    weights = torch.logspace(-4, 6, 201, dtype=torch.float64).tolist()
    points = [_tensor(0.8, 1.4)]  # D's own minimiser; then step by step, each from the one before
    for weight in weights:
        points.append(newton(points[-1], weight, 4))

    def limit(weight: float) -> Tensor:
        if weight < weights[0]:
            return newton(points[0], weight, 3)
        place = 20 * (math.log10(min(weight, weights[-1])) + 4)
        return newton(points[1 + round(place)], weight, 3)

    return Problem(risks, gradients, hessians, limit, start=_tensor(0.3, 0.3), convex=False,
                   labels=("θ₁, weight inside", "θ₂, weight outside"), window=((-0.2, 3.6), (-0.1, 2.0)))  # fmt: skip


_MAKERS = {"linear regression": _linear_regression, "quadratic": _quadratic, "small network": _small_network}
PROBLEMS = tuple(_MAKERS)


@cache
def problem(name: str) -> Problem:
    """The problem of this name, one of `PROBLEMS`.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in _MAKERS:
        raise ValueError(f"There is no problem {name!r}; expected one of {', '.join(PROBLEMS)}.")
    return _MAKERS[name]()


def relative_weight(eta: float, lam: float, rule: str) -> float:
    """The weight w of T against D that acts: λ under the derived rule, λ/η under the printed one (lesson 04).

    Raises
    ------
    ValueError
        If the rule is neither ``"derived"`` nor ``"printed"``.
    """
    if rule not in RULES:
        raise ValueError(f"There is no rule {rule!r}; expected one of {', '.join(RULES)}.")
    return lam if rule == "derived" else lam / eta


def walk(
    which: Problem, eta: float, lam: float, rule: str = "derived", optimiser: str = "sgd", steps: int = STEPS
) -> Tensor:
    """Descend from ``which.start`` and return θ_0, θ_1, ..., shape (steps + 1, 2), all finite.

    The optimiser is handed ∇L_D + w∇L_T with w = λ under the derived rule and w = λ/η under the printed one. With sgd
    the latter is the printed step itself, −η(∇L_D + (λ/η)∇L_T) = −η∇L_D − λ∇L_T. A walk that leaves the square
    |θ_i| ≤ `FAR` is held at its edge from there on.

    Raises
    ------
    ValueError
        If rule or optimiser is unknown, η is not positive or λ is negative.
    """
    if optimiser not in OPTIMISERS:
        raise ValueError(f"There is no optimiser {optimiser!r}; expected one of {', '.join(OPTIMISERS)}.")
    inner = OPTIMISERS[optimiser](eta)
    path = descend(derived(relative_weight(eta, lam, rule), inner), which.gradients, which.start, steps)
    inside = (path.abs() <= FAR).all(1)  # not a number is not inside
    if not inside.all():
        first = int((~inside).nonzero()[0])
        path[first:] = path[first].nan_to_num(FAR, FAR, -FAR).clamp(-FAR, FAR)
    return path


class Outcome(NamedTuple):
    """What a walk came to: its path, the risks along it, the relative weight w, the limit point, and words for it.

    ``exact`` says whether the words follow from eigenvalues; if not, from the steps that were made.
    """

    path: Tensor
    risk_D: Tensor
    risk_T: Tensor
    weight: float
    limit: Tensor
    verdict: str
    exact: bool


def outcome(
    which: Problem, eta: float, lam: float, rule: str = "derived", optimiser: str = "sgd", steps: int = STEPS
) -> Outcome:
    """Walk, and say whether it converges, oscillates or diverges.

    On quadratic risks the eigenvalues c of η(H_D + w H_T) decide this for sgd (c < 1 from one side, c < 2 at all) and
    for momentum (c < 2(1 + β)); otherwise the walk itself is judged, as far as it goes. Raises what `walk` raises.
    """
    path, weight = walk(which, eta, lam, rule, optimiser, steps), relative_weight(eta, lam, rule)
    (risk_D, risk_T), limit = which.risks(path), which.limit(weight)
    exact = which.convex and optimiser in ("sgd", "momentum")
    if exact:
        verdict = _by_eigenvalues(eta * steepest(which, weight), BETA if optimiser == "momentum" else 0.0)
    else:
        verdict = _by_path(path, (risk_D + weight * risk_T) / (1 + weight), limit)
    return Outcome(path, risk_D, risk_T, weight, limit, verdict, exact)


def steepest(which: Problem, weight: float) -> float:
    """λmax(H_D + w H_T) at the limit point: sgd with the step size η converges there if η times it is below 2."""
    H_D, H_T = which.hessians(which.limit(weight))
    return float(torch.linalg.eigvalsh(H_D + weight * H_T)[-1])


def _by_eigenvalues(c: float, beta: float) -> str:
    edge = 2 * (1 + beta)
    if abs(c - edge) < 1e-9:
        return "hops for ever"
    if c > edge:
        return "diverges"
    return "converges" if c <= (1 - beta**0.5) ** 2 else "oscillates and converges"


def _by_path(path: Tensor, objective: Tensor, limit: Tensor) -> str:
    last = path[-1].abs().max()
    quarter = len(path) // 4
    if last >= FAR or (
        objective[-quarter:].max() > objective[0] and objective[-quarter:].max() > 2 * objective[:-quarter].max()
    ):
        return "diverges"
    steps = path.diff(dim=0)
    lengths = steps.norm(dim=1)
    moved = lengths > 1e-9 * (1 + last)
    back = ((steps[1:] * steps[:-1]).sum(1) < 0) & moved[1:] & moved[:-1]
    uphill = (objective.diff() > 1e-9 * objective[1:]) & moved
    if max(back[-2 * quarter :].sum(), uphill[-2 * quarter :].sum()) >= 3:
        fades = lengths[-quarter:].mean() < 0.5 * lengths[-3 * quarter : -2 * quarter].mean()
        return "oscillates less and less" if fades else "keeps oscillating"
    away = (path[-1] - limit).norm()
    if away <= 0.05 * (path[0] - limit).norm():
        return "comes close to the limit point"
    return "comes to rest elsewhere" if lengths[-quarter:].max() < 1e-4 else "still under way"
