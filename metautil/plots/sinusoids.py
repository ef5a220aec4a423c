"""Waves as tasks: pooled and single, the kernels of two starts, one task before and after adapting, few training tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from metautil.learners import maml
from metautil.models import Model
from metautil.plots.base import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from metautil.printing import number
from metautil.risks import half_squared_error
from metautil.sliders import Scene
from metautil.statistics import Estimate
from metautil.tasks import Task

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
