"""Figures of lesson 18, *Meta-features*.

Meta-features seen: which centre a divergence chooses, an embedding drawn with its images, and what adapting moves.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from metautil.models import Model
from metautil.printing import number
from metautil.widgets import Scene

DIVERGENCES = {
    "squared distance": (lambda f, c: (f - c) ** 2, BLUE, "-", "o"),
    "relative entropy": (lambda f, c: f * np.log(f / c) - f + c, GREEN, "--", "s"),
    "Itakura and Saito": (lambda f, c: f / c - np.log(f / c) - 1, ORANGE, "-.", "^"),
    "absolute distance": (lambda f, c: np.abs(f - c), VERMILION, ":", "D"),
}
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, BLACK)
CANVAS = 480  # pixels of the drawn plane


def centres(points: Tensor) -> Scene:
    """The mean divergence of some numbers from a centre c, as a function of c, and the c where it is least.

    Three Bregman divergences and the absolute distance, which is none. Each curve is divided by its value at the right
    end. The slider sets ``far``, one more number beside the given ones.

    Parameters
    ----------
    points : Tensor
        Positive numbers, shape (n,), n even: the median of the n + 1 numbers is then one of them.
    """
    grid = np.geomspace(0.3, 12, 1201)
    figure = Figure(figsize=(8.6, 3.9), layout="constrained")
    axes = figure.add_subplot(
        xlabel="centre c", ylabel="mean divergence (1 at the right end)", xlim=(0, 12), ylim=(-0.06, 1.05)
    )
    axes.plot(points.numpy(), np.full(len(points), -0.03), "|", color=BLACK, markersize=10, markeredgewidth=2)
    (last,) = axes.plot([], [], "|", color=BLACK, markersize=16, markeredgewidth=3)
    lines, marks = {}, {}
    for name, (_, colour, style, mark) in DIVERGENCES.items():
        (lines[name],) = axes.plot([], [], style, color=colour, linewidth=1.6)
        (marks[name],) = axes.plot([], [], mark, color=colour, markersize=8, markeredgecolor=BLACK)
        axes.plot([], [], style + mark, color=colour, label=name)
    axes.legend(loc="upper left", bbox_to_anchor=(0.2, 1), fontsize=9)  # where no curve comes

    def move(far: float) -> str:
        f = np.append(points.numpy(), far)
        last.set_data([far], [-0.03])
        found = {}
        for name, (divergence, *_) in DIVERGENCES.items():
            values = divergence(f[:, None], grid).mean(0)
            values = values / values[-1]
            lowest = values.argmin()
            found[name] = grid[lowest]
            lines[name].set_data(grid, values.clip(max=2))
            marks[name].set_data([grid[lowest]], [values[lowest]])
        least = " · ".join(f"{name} {number(c, 2)}" for name, c in found.items())
        return f"mean {number(f.mean(), 2)}, median {number(np.median(f), 2)} · least at: {least}"

    alt = (
        "Four curves over the centre, each with a mark at its lowest point. The marks of squared distance, relative entropy and "
        "Itakura and Saito lie above one another at the mean of the numbers; that of the absolute distance lies at the median."
    )
    return Scene(figure, [last, *lines.values(), *marks.values()], move, alt)


def embedding_map(body: Model, path: dict[int, Tensor], images: Tensor) -> Scene:
    """Images drawn where their meta-features lie in the plane of the two directions in which these vary most.

    The slider ``step`` sets which parameters make the features, ``number`` which classes are shown. The read-out says
    which share of the variance the plane holds, and how many images of the second half of each class lie nearest to the
    mean of their class's first half among those means, with all features.

    Parameters
    ----------
    body : Model
        The embedding.
    path : dict of int to Tensor
        Number of meta-steps → parameters of the embedding.
    images : Tensor
        Shape (sets, 5, n, 1, height, width), n images of each of five classes, values in [0, 1].
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.add_subplot(xlim=(0, CANVAS), ylim=(CANVAS, 0), aspect="equal", xticks=[], yticks=[])
    axes.set(xlabel="first principal direction", ylabel="second principal direction")
    picture = axes.imshow(np.ones((1, 1, 3)), extent=(0, CANVAS, CANVAS, 0), interpolation="nearest")
    rings = [
        axes.plot([], [], "o", color=colour, markersize=17, markerfacecolor="white", alpha=0.9)[0] for colour in COLOURS
    ]
    names = [
        axes.text(0, 0, str(i + 1), color=c, ha="center", va="center", weight="bold") for i, c in enumerate(COLOURS)
    ]
    tints = torch.tensor([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLOURS], dtype=torch.float64)

    def move(step: float, number: float) -> str:
        shown = images[int(number) - 1]
        classes, count, _, side, _ = shown.shape
        features = body(path[int(step)], shown.flatten(0, 1)).double()
        centred = features - features.mean(0)
        _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
        places = (centred @ directions[:2].T).reshape(classes, count, 2)
        places = places * torch.where(places[0].mean(0) < 0, -1.0, 1.0)  # a direction has no sign of its own
        places = places / places.abs().max() * (CANVAS - side - 4) / 2 + CANVAS / 2
        canvas = torch.ones(CANVAS, CANVAS, 3, dtype=torch.float64)
        for places_of, images_of, tint in zip(places, shown[:, :, 0].double(), tints, strict=True):
            for (column, row), ink in zip((places_of - side / 2).long().tolist(), images_of, strict=True):
                canvas[row : row + side, column : column + side].lerp_(tint.expand(side, side, 3), ink.unsqueeze(2))
        picture.set_data(canvas.numpy())
        for ring, name, (x, y) in zip(rings, names, places.mean(1).tolist(), strict=True):
            ring.set_data([x], [y])
            name.set_position((x, y))
        halves = features.reshape(classes, count, -1).split(count // 2, 1)
        nearest = torch.cdist(halves[1].flatten(0, 1), halves[0].mean(1)).argmin(1).reshape(classes, -1)
        right = (nearest == torch.arange(classes).unsqueeze(1)).double().mean()
        share = sizes[:2].square().sum() / sizes.square().sum()
        return f"after {int(step)} meta-steps: variance in the plane {share:.0%}, nearest to their own mean {right:.0%}"

    alt = (
        "Images of five characters that no training saw, each class in a colour of its own, spread over a plane; a numbered ring "
        "lies at the mean of each class. The images of a class lie together, and most of the classes apart from one another."
    )
    return Scene(figure, [picture, *rings, *names], move, alt)


def layer_changes(changes: dict[str, Tensor], alike: dict[str, Tensor], unrelated: dict[str, float]) -> Scene:
    """What inner steps do to each layer: how far its parameters move, and how alike its outputs stay.

    The slider sets ``steps``, the number of inner steps k.

    Parameters
    ----------
    changes : dict of str to Tensor
        Layer → ‖θ_k − θ_0‖ / ‖θ_0‖ after k = 0, 1, ... steps, shape (K + 1,).
    alike : dict of str to Tensor
        Layer → linear CKA of its outputs before and after k steps, shape (K + 1,).
    unrelated : dict of str to float
        Layer → linear CKA of its outputs before adapting and those of a random network.
    """
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    bars = {}
    for axes, values, colour in ((left, changes, ORANGE), (right, alike, SKY)):
        bars[axes] = axes.bar(list(values), [0.0] * len(values), color=colour, edgecolor=BLACK, linewidth=0.8)
        axes.set_xlabel("layer")
    left.set(ylabel="relative change of the parameters", ylim=(0, 1.1 * max(float(v.max()) for v in changes.values())))
    right.set(ylabel="linear CKA, before and after", ylim=(0, 1.05))
    (diamonds,) = right.plot(
        range(len(unrelated)), list(unrelated.values()), "D", color=VERMILION, markersize=7, markeredgecolor=BLACK,
        label="with a random network", zorder=4,
    )  # fmt: skip
    legend = right.legend(loc="lower left", fontsize=9, frameon=True, framealpha=1)
    left.grid(axis="y", color=GREY, alpha=0.3)

    def move(steps: float) -> str:
        told = []
        for axes, values in ((left, changes), (right, alike)):
            for bar, value in zip(bars[axes], values.values(), strict=True):
                bar.set_height(float(value[int(steps)]))
            told.append(", ".join(f"{layer} {float(value[int(steps)]):.2f}" for layer, value in values.items()))
        return f"relative change {told[0]} · CKA {told[1]}"

    alt = (
        "Left: bars of the relative change of each layer's parameters, the head's by far the highest. Right: bars of the "
        "similarity of each layer's outputs before and after adapting, near 1 for the blocks and lower for the head, with a "
        "diamond for a random network's similarity."
    )
    return Scene(figure, [*bars[left], *bars[right], diamonds, legend], move, alt)
