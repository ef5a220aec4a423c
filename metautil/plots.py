"""Figures: one function a figure. Still ones are shown with `still`, those with sliders are scenes for `sliders.show`.

Colours are from the colour-blind safe palette of Okabe and Ito (2008); what a colour says, a marker or a line style says
too.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
import torch
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from metautil.printing import number
from metautil.sliders import Scene
from metautil.statistics import Estimate
from metautil.updates import descend, momentum, sgd

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, GREY = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#777777",
)  # fmt: skip


def still(figure: Figure, text: str, alt: str) -> None:
    """Show a figure that has no sliders: a picture, and ``text`` with the numbers behind it.

    Parameters
    ----------
    figure : Figure
    text : str
        One line with the numbers that the figure draws; tests compare it, screen readers read it.
    alt : str
        What the picture shows, for those who do not see it.

    Raises
    ------
    ValueError
        If ``text`` or ``alt`` is empty.
    """
    if not text.strip() or not alt.strip():
        raise ValueError("still: both the line of numbers and the alternative text are needed; one is empty.")
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    faces = {"image/png": b64encode(file.getvalue()).decode("ascii"), "text/plain": text}
    display(faces, raw=True, metadata={"image/png": {"alt": alt}})


def images(pictures: Tensor, labels: Sequence[str], columns: int = 10) -> Figure:
    """Draw grey images (N, 1, height, width) with values in [0, 1] in a grid, each under its label; call `still` on it."""
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(0.75 * columns, 0.95 * rows))
    for index, picture in enumerate(pictures):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(picture[0], cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(labels[index], fontsize=9)
        axes.set_axis_off()
    return figure


def curves(named: dict[str, Tensor], x_label: str, y_label: str) -> Figure:
    """Draw curves on a logarithmic axis over the step, one line style each; call `still` on it.

    Parameters
    ----------
    named : dict of str to Tensor
        Legend entry to values, shape (steps + 1,), positive.
    x_label, y_label : str
        With units where there are any.
    """
    figure = Figure(figsize=(6.4, 3.4))
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label, yscale="log")
    for (name, values), colour, style in zip(
        named.items(), (BLUE, VERMILION, GREEN, BLACK), ("-", "--", ":", "-."), strict=False
    ):
        axes.plot(values, style, color=colour, label=name)
    axes.legend()
    return figure


# Lesson 03: one step size on quadratics


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
    left.plot(*start, "s", color=BLACK, markersize=6)
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


# Lesson 00: what λ does


def sweep_explorer(
    lams: Sequence[float],
    on_T: Sequence[Estimate],
    on_D: Sequence[float],
    scans: Tensor,
    guesses: Tensor,
    labels: Tensor,
) -> Scene:
    """Accuracy on T and on D over λ, and what the network of the chosen λ reads in some scans.

    The slider sets ``lam``, one of ``lams``.

    Parameters
    ----------
    lams : sequence of float
        Values of λ, ascending, the first may be 0; n of them.
    on_T : sequence of Estimate
        Accuracy on the new task's unseen scans with its interval, n.
    on_D : sequence of float
        Accuracy on held-out examples of D, n.
    scans : Tensor
        Scans to show, shape (12, 1, height, width).
    guesses : Tensor
        What the network of each λ reads in them, shape (n, 12).
    labels : Tensor
        What they are, shape (12,).
    """
    place = np.arange(len(lams))
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.35, 1))
    axes = left.add_subplot(xlabel="λ, weight of the new task", ylabel="accuracy (%)", ylim=(45, 102))
    axes.set_xticks(place, [number(lam) for lam in lams])
    mean = [100 * estimate.mean for estimate in on_T]
    spread = [[100 * (e.mean - e.low) for e in on_T], [100 * (e.high - e.mean) for e in on_T]]
    axes.errorbar(place, mean, spread, fmt="o-", color=BLUE, capsize=3, markersize=5, label="T: other real scans")
    axes.plot(place, [100 * share for share in on_D], "s--", color=ORANGE, markersize=4, label="D: other font digits")
    axes.legend(loc="lower right")
    (line,) = axes.plot([0, 0], [45, 102], ":", color=BLACK, linewidth=1.5)
    (mark,) = axes.plot([], [], "o", color=BLACK, markersize=11, markerfacecolor="none", markeredgewidth=2)
    titles = []
    for index, (cell, scan) in enumerate(zip(right.subplots(3, 4).flat, scans, strict=True)):
        cell.imshow(scan[0], cmap="gray_r", vmin=0, vmax=1)
        cell.set_xticks([])
        cell.set_yticks([])
        titles.append(cell.text(0.5, 1.06, "0 is right", transform=cell.transAxes, ha="center", fontsize=9))
        titles[-1].set_gid(str(index))

    def move(lam: float) -> str:
        chosen = min(range(len(lams)), key=lambda index: abs(lams[index] - lam))
        line.set_xdata([chosen, chosen])
        mark.set_data([chosen], [mean[chosen]])
        for title, guess, label in zip(titles, guesses[chosen].tolist(), labels.tolist(), strict=True):
            title.set_text(f"{guess} ✓" if guess == label else f"{guess} ✗ not {label}")
            title.set_color(BLACK if guess == label else VERMILION)
        right_ones = int((guesses[chosen] == labels).sum())
        estimate = on_T[chosen]
        return (
            f"accuracy on T {100 * estimate.mean:.1f}% (interval {100 * estimate.low:.1f} to {100 * estimate.high:.1f}) · "
            f"on D {100 * on_D[chosen]:.1f}% · {right_ones} of {len(labels)} scans shown are read right"
        )

    alt = (
        "Left: accuracy on the new task's real scans, with intervals, and on font digits, against λ. The first rises from λ = 0 "
        "to about λ = 1, the second falls slowly. Right: twelve real scans, each under the digit the network reads in it."
    )
    return Scene(figure, [line, mark, *titles], move, alt)
