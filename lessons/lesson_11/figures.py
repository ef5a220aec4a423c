"""Figures of lesson 14, *Learning to adapt*.

Learning to adapt on bowls: where each learner's initialisation lies, and what a learner without Hessians misses.
Waves as tasks: pooled and single, the kernels of two starts, one task before and after adapting, few training tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from metautil.learners import maml
from metautil.models import Model
from metautil.printing import number
from metautil.risks import half_squared_error
from metautil.statistics import Estimate
from metautil.tasks import Task
from metautil.widgets import Handle, Scene

MARKS = {
    "joint": ("o", BLUE, "-"),
    "MAML": ("D", VERMILION, "--"),
    "FOMAML": ("^", ORANGE, "-."),
    "Reptile": ("s", GREEN, ":"),
}
LOOK = 10  # steps of the curves


def _shrinking(curvatures: Tensor, alpha: float, steps: int) -> Tensor:
    """(I − αA_t)^K, shape (T, p, p): what K steps leave of the distance from each task's minimum."""
    return torch.linalg.matrix_power(torch.eye(curvatures.shape[-1]) - alpha * curvatures, steps)


def _initialisations(curvatures: Tensor, optima: Tensor, alpha: float, steps: int) -> dict[str, Tensor]:
    """The stationary point (11.9) of each learner, with the weights (11.10)."""
    left = _shrinking(curvatures, alpha, steps)
    weights = {
        "joint": curvatures,
        "MAML": left @ curvatures @ left,
        "FOMAML": curvatures @ left,
        "Reptile": torch.eye(curvatures.shape[-1]) - left,
    }
    return {
        name: torch.linalg.solve(W.sum(0), (W @ optima.unsqueeze(-1)).sum(0)).squeeze(-1) for name, W in weights.items()
    }


def adaptation_map(curvatures: Tensor, optima: Tensor) -> Scene:
    """Bowls of two parameters, the initialisation of four learners among them, and adaptation from a start of your own.

    Left: the minimum and two contours of each task's risk, the stationary points (11.9) of joint training, MAML, FOMAML
    and Reptile, and the path of K gradient steps into each task from the start. Right: the mean risk over the tasks after
    k steps, from each initialisation and from the start; a line marks k = K.

    Sliders set ``alpha``, the inner step size α, ``steps``, their number K (at most 10), and the coordinates ``u`` and ``v``
    of the start, which can also be dragged on the left.

    Parameters
    ----------
    curvatures : Tensor
        A_t, shape (T, 2, 2), T at most 5.
    optima : Tensor
        c_t, shape (T, 2).
    """
    figure = Figure(figsize=(10.2, 4.9), layout="constrained")
    plane, curves = figure.subplots(1, 2, width_ratios=(1.15, 1))
    grid = torch.linspace(-2, 2, 121)
    points = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), -1)
    for index, (A, c, style) in enumerate(
        zip(curvatures, optima, ("solid", "dashed", "dotted", "dashdot", "solid"), strict=False), start=1
    ):
        risk = 0.5 * ((points - c) @ A * (points - c)).sum(-1)
        plane.contour(grid, grid, risk.numpy(), levels=[0.02, 0.1], colors=GREY, linestyles=style, linewidths=1.1)
        plane.plot(*c.tolist(), "*", color=BLACK, markersize=12, zorder=3)
        plane.annotate(f"$c_{index}$", c.tolist(), (7, 5), textcoords="offset points", fontsize=11)
    plane.set(xlabel="θ₁", ylabel="θ₂", xlim=(-2, 2), ylim=(-1.6, 1.9), aspect="equal")
    plane.set_title("minima ★ with their bowls, K steps from your start", fontsize=10)
    curves.set(
        xlabel="step k of adapting", ylabel="mean risk over the tasks", yscale="log", xlim=(0, LOOK), ylim=(5e-3, 3)
    )
    curves.set_title("what each initialisation becomes", fontsize=10)

    paths = [plane.plot([], [], ".-", color=BLACK, linewidth=1.2, markersize=6, zorder=4)[0] for _ in curvatures]
    size = {"markersize": 9, "markeredgecolor": BLACK, "markeredgewidth": 0.8}
    spots, lines = {}, {}
    for name, (mark, colour, style) in MARKS.items():
        (spots[name],) = plane.plot([], [], mark, color=colour, zorder=5, **size)
        (lines[name],) = curves.plot(
            [], [], style + mark, color=colour, linewidth=1.5, label=name, **{**size, "markersize": 5}
        )
    spots["joint"].set_markersize(14)  # seen around Reptile's square, which lies on it where K = 1
    (spots["yours"],) = plane.plot([], [], "P", color="white", zorder=6, **{**size, "markersize": 12})
    (lines["yours"],) = curves.plot(
        [], [], "-P", color=BLACK, markerfacecolor="white", linewidth=1, label="yours", markersize=7
    )
    curves.legend(loc="lower left", fontsize=9)
    (here,) = curves.plot([0, 0], [1e-9, 1e3], color=GREY, linewidth=1.2)

    def move(alpha: float, steps: int, u: float, v: float) -> str:
        found = {**_initialisations(curvatures, optima, alpha, steps), "yours": torch.tensor([u, v])}
        left = torch.stack([_shrinking(curvatures, alpha, k) for k in range(LOOK + 1)])  # (steps, T, 2, 2)
        after = {}
        for name, phi in found.items():
            away = (left @ (phi - optima).unsqueeze(-1)).squeeze(-1)  # θ_k − c, (steps, T, 2)
            risks = 0.5 * torch.einsum("kti,tij,ktj->kt", away, curvatures, away).mean(1)
            spots[name].set_data(*phi.numpy()[:, None])
            lines[name].set_data(np.arange(LOOK + 1), risks.clamp(min=1e-9).numpy())
            after[name] = risks[steps]
        for path, walked in zip(paths, (away + optima)[: steps + 1].unbind(1), strict=True):  # of "yours", the last
            path.set_data(*walked.T.numpy())
        here.set_xdata([steps, steps])
        place = ", ".join(number(entry, 2) for entry in found["MAML"])
        risks = " · ".join(f"{name} {number(risk)}" for name, risk in after.items())
        return f"mean risk after {steps} step{'s' * (steps > 1)}: {risks} · MAML starts at ({place})"

    alt = (
        "Left: three minima, each with two elliptic contours of its own shape; among them the marks of four learners, joint a "
        "circle, MAML a diamond, FOMAML a triangle and Reptile a square, and paths from a start marked by a plus into each "
        "task. Right: mean risk over the tasks against the number of adaptation steps, a curve for each learner and one for "
        "your start, with a vertical line at the chosen number of steps."
    )
    return Scene(figure, [*paths, *spots.values(), *lines.values(), here], move, alt, Handle(plane, "u", "v"))


def first_order_error(alphas: Tensor, errors: dict[int, Tensor], dropped: Tensor) -> Figure:
    """Relative error of FOMAML's gradient against α on two logarithmic axes; call `still` on it.

    Parameters
    ----------
    alphas : Tensor
        Inner step sizes α, shape (n,).
    errors : dict of int to Tensor
        Number of inner steps K → ‖FOMAML − MAML‖ / ‖MAML‖ at each α, shape (n,).
    dropped : Tensor
        The first-order prediction for one step, shape (n,); a straight line of slope 1.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="inner step size α", ylabel="relative error of FOMAML", xscale="log", yscale="log")
    for (steps, values), mark, colour in zip(errors.items(), "o^sD", (BLUE, VERMILION, GREEN, ORANGE), strict=False):
        axes.plot(alphas.numpy(), values.numpy(), "-" + mark, color=colour, markersize=5, markevery=3, linewidth=1.5,
                  label=f"K = {steps}")  # fmt: skip
    axes.plot(alphas.numpy(), dropped.numpy(), "--", color=BLACK, linewidth=1.2, label="K = 1, to first order in α")
    axes.legend()
    return figure


TALL = 12.0
"""Outputs beyond this are drawn here, at the edge and outside the frame."""
LEAST = 0.01
"""Errors below this are drawn here."""
FAR = 1000.0
"""Errors beyond this are reported as divergence, whose digits would differ from machine to machine."""


def pooled_waves(tasks: Task, x: Tensor, mean: Tensor, wave: Tensor, blends: dict[float, Tensor]) -> Figure:
    """Left: points of many tasks thrown together, and their mean. Right: what λ makes of the mean and one new wave.

    Parameters
    ----------
    tasks : Task
        T tasks, inputs and labels (T, N, 1); the support points are drawn.
    x : Tensor
        Grid, shape (n,).
    mean, wave : Tensor
        Conditional mean of the pooled tasks, and the new task's function, shape (n,).
    blends : dict of float to Tensor
        λ to the minimiser of the weighted risk, shape (n,); at most three.
    """
    figure = Figure(figsize=(9.4, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    points = tasks.support.x.flatten().numpy(), tasks.support.y.flatten().numpy()
    left.plot(*points, ".", color=SKY, markersize=3, label=f"points of {len(tasks.support.x)} tasks")
    for axes in (left, right):
        axes.plot(x.numpy(), mean.numpy(), color=BLACK, label="conditional mean")
        axes.set(xlabel="input x")
    left.set(ylabel="label y", ylim=(-5.2, 7.8))
    right.plot(x.numpy(), wave.numpy(), "--", color=ORANGE, label="new task T")
    for (lam, values), style in zip(blends.items(), (":", "-.", (0, (6, 1))), strict=False):
        right.plot(x.numpy(), values.numpy(), linestyle=style, color=BLUE, label=f"λ = {number(lam)}")
    left.set_title("all tasks as one data set", fontsize=10)
    right.set_title("weighted towards one task", fontsize=10)
    left.legend(loc="upper right", fontsize=9, frameon=True)
    right.legend(loc="upper right", fontsize=8, frameon=True, ncols=2, handlelength=4)
    return figure


def kernels(named: dict[str, Tensor], x: Tensor) -> Figure:
    """Heat maps of α k(x, x′), one panel each: how far a unit error at x′ moves the output at x in one step.

    Parameters
    ----------
    named : dict of str to Tensor
        Title to values, shape (n, n), x′ to the right and x upwards.
    x : Tensor
        Grid, shape (n,).
    """
    figure = Figure(figsize=(3.3 * len(named), 3.3), layout="constrained")
    panels = figure.subplots(1, len(named), sharey=True)
    ends = float(x[0]), float(x[-1])
    for (name, values), axes in zip(named.items(), panels, strict=True):
        drawn = axes.imshow(values.numpy(), origin="lower", extent=(*ends, *ends), cmap="PuOr", vmin=-4, vmax=4)
        # signs without colour: both ends of the map are equally dark
        axes.contour(x, x, values, levels=[-1, 1], colors=BLACK, linewidths=0.7, linestyles=["dashed", "solid"])
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("input x′ of the error")
        axes.grid(visible=False)
    panels[0].set_ylabel("input x that moves")
    figure.colorbar(drawn, ax=panels, label="α k(x, x′)", shrink=0.85)
    return figure


def adapting(model: Model, starts: dict[str, Tensor], task: Task, wave: Tensor, x: Tensor) -> Scene:
    """One task, two starts beside one another: the curve before adapting and after K steps of step size α.

    Sliders set ``alpha``, the step size α, and ``steps``, the number of steps K.

    Parameters
    ----------
    model : Model
        One input, one output.
    starts : dict of str to Tensor
        Title to θ, shape (p,).
    task : Task
        One task, without the axis of tasks: x and y of shape (N, 1). Its query set gives the errors.
    wave : Tensor
        The task's function on the grid, shape (n,).
    x : Tensor
        Grid, shape (n,).
    """
    grid = x.unsqueeze(1)
    figure = Figure(figsize=(9.4, 3.7), layout="constrained")
    moving = {}
    for (name, theta), axes in zip(starts.items(), figure.subplots(1, len(starts), sharey=True), strict=True):
        axes.plot(x.numpy(), wave.numpy(), "-", color=GREY, linewidth=4, alpha=0.5, label="the task")
        axes.plot(x.numpy(), model(theta, grid)[:, 0].numpy(), "--", color=BLUE, label="before adapting")
        axes.plot(*(part[:, 0].numpy() for part in task.support), "s", color=BLACK, markersize=6, label="support set")
        (moving[name],) = axes.plot([], [], "-", color=VERMILION, label="after adapting")
        axes.set(xlabel="input x", xlim=(float(x[0]), float(x[-1])), ylim=(-7, 7))
        axes.set_title(name, fontsize=10)
    figure.axes[0].set_ylabel("output y")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)

    def move(alpha: float, steps: int) -> str:
        parts = []
        learner = maml(model, half_squared_error, alpha, steps)
        for name, theta in starts.items():
            predictor = learner.adapt(theta, task.support)
            seen = predictor(grid)[:, 0].detach().nan_to_num(TALL).clamp(-TALL, TALL)
            moving[name].set_data(x.numpy(), seen.numpy())
            before = float((model(theta, task.query.x) - task.query.y).square().mean())
            after = float((predictor(task.query.x) - task.query.y).square().mean())
            reached = number(after) if after < FAR else "diverged"
            parts.append(f"{name}: MSE {number(before)} before, {reached} after")
        return " · ".join(parts)

    alt = (
        "Two panels with the same high wave and the same ten support points, all left of the middle or near it. Dashed, the two "
        "starts: nearly the same low wave. Solid, after one step: from the meta-learned start it follows the task over the "
        "whole range, from the joint start it has hardly moved."
    )
    return Scene(figure, list(moving.values()), move, alt)


def few_tasks(counts: Sequence[int], panels: dict[str, dict[str, Sequence[Estimate]]], endless: Estimate) -> Figure:
    """Error after adapting against the number of training tasks, on them and on new ones, with 95% intervals.

    Parameters
    ----------
    counts : sequence of int
        Numbers of training tasks, ascending.
    panels : dict of str to dict
        Title of a panel to its curves: "new tasks" and "training tasks" to one MSE per count.
    endless : Estimate
        MSE on new tasks where every task of the training was new.
    """
    figure = Figure(figsize=(9.0, 3.7), layout="constrained")
    for (title, curves), axes in zip(panels.items(), figure.subplots(1, len(panels), sharey=True), strict=True):
        for (label, values), style, colour in zip(curves.items(), ("o-", "s--"), (VERMILION, BLUE), strict=True):
            mean, low, high = np.array(values).T.clip(min=LEAST)
            axes.plot(counts, mean, style, color=colour, label=label)
            axes.fill_between(counts, low, high, color=colour, alpha=0.15)
        axes.axhline(endless.mean, color=GREEN, linestyle=":", label="new tasks, no training task twice")
        axes.set(xlabel="training tasks", xscale="log", yscale="log")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set_title(title, fontsize=10)
    figure.axes[0].set_ylabel(f"MSE after one step, at least {LEAST}")
    figure.axes[0].legend(fontsize=9)
    return figure
