"""Figures of lesson 03, *The gradient update*.

Descent on quadratics.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from lessons.shared.colours import BLACK, BLUE, GREEN, GREY, ORANGE
from metautil.printing import number
from metautil.updates import descend, momentum, sgd
from metautil.widgets import Scene


def parabola_descent(curvature: float = 4.0, start: float = 1.0, steps: int = 12) -> Scene:
    """Gradient descent on the parabola ½Lθ²: the path on the curve, and θ_k beside its closed form (3.10).

    The slider sets ``eta``, the step size η.
    """
    edge = 2.2 * abs(start)
    grid = np.linspace(-edge, edge, 201)
    figure = Figure(figsize=(8.4, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(grid, curvature * grid**2 / 2, color=GREY, linewidth=1.5)
    left.set(xlabel="parameter θ", ylabel="risk ½Lθ²", xlim=(-edge, edge), ylim=(-0.4, curvature * edge**2 / 2))
    left.set_title(f"the path on the parabola, L = {number(curvature)}", fontsize=10)
    right.axhline(0, color=GREY, linewidth=1)
    right.set(xlabel="step k", ylabel="parameter θₖ", xlim=(-0.5, steps + 0.5), ylim=(-edge, edge))
    right.set_title("measured beside closed form", fontsize=10)
    (path,) = left.plot([], [], "o-", color=BLUE, markersize=5, linewidth=1)
    (closed,) = right.plot([], [], "-", color=ORANGE, label="(1 − ηL)ᵏ θ₀")
    (measured,) = right.plot([], [], "o", color=BLUE, markersize=5, label="θₖ, measured")
    right.legend(loc="upper right", ncols=2, fontsize=9)

    def move(eta: float) -> str:
        factor = 1 - eta * curvature
        theta = descend(sgd(eta), lambda theta: curvature * theta, torch.tensor([start]), steps)[:, 0].numpy()
        seen = theta.clip(-1.5 * edge, 1.5 * edge)  # beyond the frame: leave it, at a finite place
        path.set_data(seen, curvature * seen**2 / 2)
        closed.set_data(range(steps + 1), (factor ** np.arange(steps + 1) * start).clip(-1.5 * edge, 1.5 * edge))
        measured.set_data(range(steps + 1), seen)
        kind = _kind(factor)
        return f"1 − ηL = {number(factor)} · θ after {steps} steps: {number(theta[-1])} · {kind}"

    alt = (
        "Left: a parabola with the points that gradient descent visits, joined by lines. Right: the parameter against the "
        "step number, measured points on the closed-form line. At the start position the points approach zero from one side."
    )
    return Scene(figure, [path, closed, measured], move, alt)


def _kind(factor: float) -> str:
    """What θ_k = factorᵏ θ_0 does."""
    if abs(abs(factor) - 1) < 1e-9:
        return "hops between two points" if factor < 0 else "stands still"
    if abs(factor) > 1:
        return "diverges"
    if abs(factor) < 1e-9:
        return "arrives in one step"
    return "converges from one side" if factor > 0 else "oscillates and converges"


def bowl_descent(low: float = 0.1, high: float = 2.0, steps: int = 150, goal: float = 1e-4) -> Scene:
    """Heavy ball on the bowl ½(μθ₁² + Lθ₂²), formulas (3.12) and (3.14): the path over contours, and the risk.

    Sliders set ``eta``, the step size η, and ``beta``, the share β of the velocity that is kept (0 is gradient descent).
    ``goal`` is the share of the starting risk to reach.
    """
    curvatures = torch.tensor([low, high])
    start = torch.tensor([-1.8, 0.9])
    first = 0.5 * (curvatures * start**2).sum()
    x, y = np.meshgrid(np.linspace(-2.2, 2.2, 121), np.linspace(-1.3, 1.3, 121))
    figure = Figure(figsize=(8.4, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.contour(x, y, (low * x**2 + high * y**2) / 2, levels=np.array([0.02, 0.08, 0.2, 0.4, 0.7, 1.1, 1.6]), colors=GREY,
                 linewidths=0.8)  # fmt: skip
    left.plot(*start.tolist(), "s", color=BLACK, markersize=6)
    left.plot(0, 0, "*", color=BLACK, markersize=10)
    left.set(xlabel=f"θ₁, curvature μ = {number(low)}", ylabel=f"θ₂, curvature L = {number(high)}")
    left.set_title("path from the square to the star", fontsize=10)
    right.axhline(goal, color=GREEN, linestyle="--", linewidth=1.2, label="goal")
    right.set(xlabel="step k", ylabel="risk, share of its start", yscale="log", xlim=(0, steps), ylim=(1e-8, 1e2))
    right.legend(loc="upper right")
    right.set_title("how fast the risk falls", fontsize=10)
    (path,) = left.plot([], [], "o-", color=BLUE, markersize=3, linewidth=1)
    (falling,) = right.plot([], [], color=BLUE)

    def move(eta: float, beta: float) -> str:
        theta = descend(momentum(eta, beta), lambda theta: curvatures * theta, start, steps)
        share = (0.5 * (curvatures * theta**2).sum(1) / first).numpy()
        seen = theta.numpy().clip([-4.4, -2.6], [4.4, 2.6])
        path.set_data(seen[:, 0], seen[:, 1])
        falling.set_data(range(steps + 1), share.clip(1e-10, 1e4))
        above = np.flatnonzero(share > goal)[-1] + 1
        reached = (
            f"stays below the goal from step {above}" if above <= steps else f"not below the goal in {steps} steps"
        )
        return f"κ = L/μ = {number(high / low)} · risk after 30 steps: {number(share[30])} of its start · {reached}"

    alt = (
        "Left: contours of a narrow bowl with the path of the descent from a square at the left to a star in the middle. "
        "Right: the risk as a share of its start against the step number on a logarithmic axis, with a dashed goal line."
    )
    return Scene(figure, [path, falling], move, alt)
