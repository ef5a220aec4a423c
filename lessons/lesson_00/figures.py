"""Figures of lesson 00, *Start here*.

Sweeps over a setting, with a slider: scenes for `metautil.widgets.show`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, ORANGE, VERMILION
from metautil.printing import number
from metautil.statistics import Estimate
from metautil.widgets import Scene


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
    axes = left.add_subplot(xlabel="λ, weight of the new task (not to scale)", ylabel="accuracy (%)", ylim=(45, 102))
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
        cell.imshow(scan[0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        cell.set_xticks([])
        cell.set_yticks([])
        titles.append(cell.text(0.5, 1.06, "0 is right", transform=cell.transAxes, ha="center", fontsize=9))
        titles[-1].set_gid(str(index))

    def move(lam: float) -> str:
        chosen = min(range(len(lams)), key=lambda index: abs(lams[index] - lam))
        line.set_xdata([chosen, chosen])
        mark.set_data([chosen], [mean[chosen]])
        for title, guess, label in zip(titles, guesses[chosen].tolist(), labels.tolist(), strict=True):
            title.set_text(f"{guess} ✓" if guess == label else f"{guess} ✗ is {label}")
            title.set_color(BLACK if guess == label else VERMILION)
        right_ones = int((guesses[chosen] == labels).sum())
        estimate = on_T[chosen]
        return (
            f"accuracy on T {100 * estimate.mean:.1f}% (interval {100 * estimate.low:.1f} to {100 * estimate.high:.1f}) · "
            f"on D {100 * on_D[chosen]:.1f}% · {right_ones} of {len(labels)} scans shown are read right"
        )

    alt = (
        "Left: accuracy on the new task's real scans, with intervals, and on font digits, against λ. The first rises from λ = 0 "
        "and levels off, the second is level and then falls. Right: twelve real scans, each under the digit that the network "
        "reads in it."
    )
    return Scene(figure, [line, mark, *titles], move, alt)
