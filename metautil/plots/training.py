"""Figures of lesson 06: training as it happens, and what a trained network sees and confuses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from torch import Tensor

from metautil.plots.base import BLACK, BLUE, GREY, ORANGE, VERMILION
from metautil.printing import number
from metautil.sliders import Scene
from metautil.statistics import Estimate


def driven_training(epochs: int) -> Scene:
    """Risks, accuracies and the settings that were driven, over the epochs so far; a scene for `metautil.driving.drive`.

    The state has a field ``history``: rows (epoch, L_D, L_T, accuracy on D, accuracy on T, λ, η) with accuracies in
    [0, 1], the settings being those that led to the row. The settings are ``lam`` and ``eta``.

    Parameters
    ----------
    epochs : int
        Right end of the time axis.
    """
    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 1.15, 1))
    for axes in (left, middle, right):
        axes.set(xlim=(0, epochs), xlabel="epochs")
    left.set(ylim=(0, 102), ylabel="accuracy, held out (%)")
    middle.set(ylim=(1e-4, 10), yscale="log", ylabel="risk, trained on")
    right.set(ylim=(6e-4, 200), yscale="log", ylabel="setting (0 at the edge)")
    styles = {"D": ("s--", ORANGE), "T": ("o-", BLUE)}
    look = {"markersize": 3, "markevery": 4, "linewidth": 1.5}
    accuracies, risks = (
        [axes.plot([], [], style, color=colour, label=f"{name}: {what}", **look)[0] for name, (style, colour) in styles.items()]
        for axes, what in ((left, "accuracy"), (middle, "risk"))
    )
    settings = [
        right.plot([], [], style, color=colour, label=label, drawstyle="steps-pre", linewidth=1.8)[0]
        for style, colour, label in (("-", BLACK, "λ, weight of T"), ("--", VERMILION, "η, step size"))
    ]
    now = [right.plot([], [], marker, color=colour, markersize=7)[0] for marker, colour in (("<", BLACK), ("<", VERMILION))]
    left.legend(loc="lower right")
    middle.legend(loc="lower left")
    right.legend(loc="upper right")

    def move(state: object, lam: float, eta: float) -> str:
        rows = np.array(state.history, dtype=float).reshape(-1, 7)
        time = rows[:, 0]
        for line, column in zip(risks, (1, 2), strict=True):
            line.set_data(time, rows[:, column].clip(1e-4, 10))
        for line, column in zip(accuracies, (3, 4), strict=True):
            line.set_data(time, 100 * rows[:, column])
        for line, column in zip(settings, (5, 6), strict=True):
            line.set_data(time[1:], rows[1:, column].clip(7e-4, 200))  # the first row is the start, which nothing led to
        for mark, value in zip(now, (lam, eta), strict=True):
            mark.set_data([time[-1]], [max(value, 7e-4)])
        epoch, risk_D, risk_T, on_D, on_T, _, _ = rows[-1]
        return (
            f"after {number(epoch)} epochs: accuracy on D {100 * on_D:.1f}%, on T {100 * on_T:.1f}% · "
            f"risk of D {number(risk_D)}, of T {number(risk_T)}"
        )

    alt = (
        "Three panels over the epochs trained so far. Left: accuracy on held-out font digits and on other scans. Middle: the "
        "risks of D and of T on what is trained on, on a logarithmic axis. Right: λ and η as they were set, as steps, each with "
        "a mark at its present value."
    )
    return Scene(figure, [*accuracies, *risks, *settings, *now], move, alt)
