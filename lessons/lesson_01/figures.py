"""Figures of lesson 01, *Everything is a mapping*.

Many small classes: all alphabets in one picture, and a new task adapted to, with a slider.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, GREY, ORANGE, VERMILION
from metautil.statistics import mean_interval
from metautil.tasks import Alphabets, Data
from metautil.widgets import Scene


def alphabets(data: Alphabets, columns: int = 24) -> Figure:
    """One row an alphabet, under the heading of its part: some of its characters, its name and their number.

    Call `still` on it. Characters are spread evenly over the alphabet, each by another writer.

    Parameters
    ----------
    data : Alphabets
    columns : int
        Characters shown of each alphabet, at most.
    """
    side = data.x.shape[-1]
    held = {part: data.part(part) for part in data.parts}
    ordered = [row for part in held for row in [(part, None), *((part, name) for name in held[part].names)]]
    figure = Figure(figsize=(9.2, 0.3 * len(ordered)), layout="none")
    axes = figure.add_axes((0.3, 0.01, 0.69, 0.98))
    axes.set_axis_off()
    picture = np.zeros((0, columns * side))
    for line, (part, name) in enumerate(ordered):
        strip = np.zeros((side, columns * side))
        if name is None:
            axes.text(-0.43, 1 - (line + 0.75) / len(ordered), f"meta-{part} alphabets", weight="bold",
                      transform=axes.transAxes, va="center", fontsize=9)  # fmt: skip
        else:
            mine = held[part]
            classes = (mine.alphabet == mine.names.index(name)).nonzero().squeeze(1)
            spread = torch.linspace(0, len(classes) - 1, min(columns, len(classes))).long()
            for place, label in enumerate(classes[spread].tolist()):
                written = (mine.y == label).nonzero().squeeze(1)
                strip[:, place * side : (place + 1) * side] = mine.x[written[place % len(written)], 0]
            axes.text(-0.41, 1 - (line + 0.5) / len(ordered), f"{name}, {len(classes)} characters",
                      transform=axes.transAxes, va="center", fontsize=9)  # fmt: skip
        picture = np.concatenate([picture, strip])
    axes.imshow(picture, cmap="gray_r", vmin=0, vmax=255, aspect="auto", interpolation="antialiased")
    return figure


def adaptation_explorer(
    on_support: dict[str, Tensor],
    on_query: dict[str, Tensor],
    floor: float,
    support: Data,
    query: Data,
    guesses: dict[str, Tensor],
) -> Scene:
    """Two learners on new tasks, step by step: what they read right, and one task as they see it.

    The slider sets ``steps``, the number of steps taken on the support set.

    Parameters
    ----------
    on_support, on_query : dict of str to Tensor
        Learner to the share read right in each task after each step, shape (tasks, steps + 1); two learners.
    floor : float
        Share that a method without a network reads right.
    support : Data
        Support set of the task shown: five images, one of each class.
    query : Data
        Ten query images of that task.
    guesses : dict of str to Tensor
        Learner to the class it reads in them after each step, int64, shape (steps + 1, 10).
    """
    names, letters = list(on_query), "ABCDE"
    last = on_query[names[0]].shape[1] - 1
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    axes = left.add_subplot(xlabel="steps on the support set", ylabel="read right (%)", xlim=(0, last), ylim=(0, 103))
    for name, colour, style, mark in zip(names, (BLUE, VERMILION), ("-", "--"), "os", strict=True):
        seen = [mean_interval(column.tolist()) for column in on_query[name].T]
        axes.fill_between(
            range(last + 1), [100 * e.low for e in seen], [100 * e.high for e in seen], color=colour, alpha=0.15
        )
        axes.plot([100 * e.mean for e in seen], style + mark, color=colour, markevery=5, label=f"{name}: query set")
        axes.plot(100 * on_support[name].mean(0), ":" + mark, color=colour, linewidth=1.2, markevery=5, markersize=4,
                  markerfacecolor="white", label=f"{name}: support set")  # fmt: skip
    axes.axhline(100 * floor, color=GREY, linestyle="-.", linewidth=1.2, label="nearest neighbour on pixels")
    axes.legend(loc="lower right", fontsize=8)
    (line,) = axes.plot([0, 0], [0, 103], color=BLACK, linewidth=1.5)
    grid = right.subplots(3, 5)
    words = f"with the answers of {names[0]} (left) and {names[1]} (right)"
    right.suptitle(f"one of the tasks: support set in boxes, query images below\n{words}", fontsize=9)
    texts = []
    for index, (cell, picture) in enumerate(zip(grid.flat, [*support.x, *query.x], strict=True)):
        cell.imshow(picture[0], cmap="gray_r", vmin=0, vmax=1)
        cell.set_xticks([])
        cell.set_yticks([])
        if index < 5:
            cell.set_title(letters[int(support.y[index])], fontsize=10, weight="bold")
            for spine in cell.spines.values():
                spine.set(color=ORANGE, linewidth=2, visible=True)
        else:
            cell.set_title(f"is {letters[int(query.y[index - 5])]}", fontsize=8)
            for row, colour in enumerate((BLUE, VERMILION)):
                place = {"transform": cell.transAxes, "ha": "center", "va": "top", "fontsize": 8}
                texts.append(cell.text(0.25 + 0.5 * row, -0.06, "A ✗", color=colour, **place))

    def move(steps: float) -> str:
        step = int(steps)
        line.set_xdata([step, step])
        for index, text in enumerate(texts):
            guess = int(guesses[names[index % 2]][step][index // 2])
            right_one = guess == int(query.y[index // 2])
            text.set_text(f"{letters[guess]} {'✓' if right_one else '✗'}")
        parts = [
            f"{name}: support {100 * on_support[name][:, step].mean():.1f}%, query {100 * on_query[name][:, step].mean():.1f}%"
            for name in names
        ]
        return f"after {step} steps " + " · ".join(parts)

    alt = (
        "Left: shares read right against the number of steps on the support set, with intervals. On the support set both "
        "learners soon reach the top; on the query set the one from scratch stays well below the pretrained one. Right: the "
        "five support images of one task, and ten query images with both learners' answers."
    )
    return Scene(figure, [line, *texts], move, alt)
