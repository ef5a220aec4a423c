"""Figures of lesson 07, *Images and tasks*.

Episodes seen: the support and query images of a task, and what comparing pixels makes of tasks of its kind.
Augmented digits, and at which strength of the augmentation they stop looking like what they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, GREEN, GREY, VERMILION
from metautil.augmentation import seeded
from metautil.statistics import mean_interval, share_interval
from metautil.tasks import Alphabets, Data, Task, few_shot_tasks
from metautil.widgets import Scene

WAYS, SHOTS, QUERIES, TASKS = tuple(range(2, 11)), tuple(range(1, 6)), 3, 200


def episodes(data: Alphabets) -> Scene:
    """One task with its images, and the accuracy of the nearest neighbour on pixels over 200 tasks of its kind.

    The sliders set ``ways`` N, 2 to 10, ``shots`` K, 1 to 5, and ``number``, the seed of the generator that draws the task.

    Parameters
    ----------
    data : Alphabets
        At least ten classes of eight square images.
    """
    side = data.x.shape[-1]
    families = {(ways, shots): few_shot_tasks(data, ways, shots, QUERIES) for ways in WAYS for shots in SHOTS}
    judged = {
        kind: mean_interval(_read_right(family(TASKS, torch.Generator().manual_seed(0))).double().mean(1).tolist())
        for kind, family in families.items()
    }

    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    cell, gap = side + 4, side // 2

    def extent(ways: int, shots: int) -> tuple[int, int, int]:
        """Width of a task's picture, row of its first query images, height."""
        first_query = shots * cell + gap
        return ways * cell - 4, first_query, first_query + QUERIES * (cell + gap // 2)

    widest, _, highest = extent(WAYS[-1], SHOTS[-1])
    margin = side  # for the names of the two sets
    left.set(xlim=(-margin, widest), ylim=(highest, 0), aspect="equal")
    left.set_axis_off()
    left.set_title("a column for each class; the nearest neighbour: ● right, × wrong", fontsize=9)
    grid = Affine2D()  # from pixels of the task's picture to the panel: every task fills it
    place = {"transform": grid + left.transData}
    image = left.imshow([[0]], cmap="gray_r", vmin=0, vmax=1, interpolation="nearest", **place)
    names = [
        left.text(-gap / 2, 0, name, rotation=90, ha="right", va="center", fontsize=9, **place)
        for name in ("support set", "query set")
    ]
    (border,) = left.plot([], [], color=GREY, linewidth=1.2, **place)
    (hits,) = left.plot([], [], "o", color=GREEN, markersize=5, **place)
    (misses,) = left.plot([], [], "x", color=VERMILION, markersize=5, markeredgewidth=1.5, **place)

    right.set(xlabel="ways N", ylabel="query images read right (%)", xlim=(1.7, 11.3), ylim=(0, 100), xticks=WAYS)
    level = -math.inf
    for shots in sorted(SHOTS, key=lambda shots: judged[WAYS[-1], shots].mean):
        means = [100 * judged[ways, shots].mean for ways in WAYS]
        right.plot(WAYS, means, color=GREY, linewidth=0.8, alpha=0.7)
        level = max(means[-1], level + 4)  # names of lines that end close together stay apart
        right.text(WAYS[-1] + 0.4, level, f"K = {shots}", color=GREY, va="center", fontsize=8)
    right.plot(WAYS, [100 / ways for ways in WAYS], "--", color=BLACK, linewidth=1.2, label="chance, 1/N")
    (curve,) = right.plot([], [], "o-", color=BLUE, markersize=4, label="nearest neighbour at this K")
    (ring,) = right.plot([], [], "o", color=BLACK, markersize=12, markerfacecolor="none", markeredgewidth=2)
    right.legend(loc="upper right", fontsize=8)

    def move(ways: float, shots: float, number: float) -> str:
        N, K = int(ways), int(shots)
        task = families[N, K](1, torch.Generator().manual_seed(int(number)))
        width, first_query, height = extent(N, K)
        scale = min(widest / width, highest / height)
        grid.clear().scale(scale).translate((widest - scale * width) / 2, (highest - scale * height) / 2)
        canvas, marks = torch.zeros(height, width), []
        for index, picture in enumerate(task.support.x[0, :, 0]):
            row, column = cell * (index % K), cell * (index // K)
            canvas[row : row + side, column : column + side] = picture
        for index, picture in enumerate(task.query.x[0, :, 0]):
            row, column = first_query + (cell + gap // 2) * (index % QUERIES), cell * (index // QUERIES)
            canvas[row : row + side, column : column + side] = picture
            marks.append((column + side / 2, row + side + 4))
        image.set_data(canvas.numpy())
        image.set_extent((0, width, height, 0))
        line = first_query - gap / 2 - 2
        border.set_data([0, width], [line, line])
        for name, middle in zip(names, (line / 2, (first_query + height) / 2), strict=True):
            name.set_y(middle)
        verdicts = _read_right(task)[0].tolist()
        for points, wanted in ((hits, True), (misses, False)):
            some = [mark for mark, verdict in zip(marks, verdicts, strict=True) if verdict == wanted]
            points.set_data([x for x, _ in some], [y for _, y in some])
        curve.set_data(WAYS, [100 * judged[n, K].mean for n in WAYS])
        seen = judged[N, K]
        ring.set_data([N], [100 * seen.mean])
        return (
            f"chance {100 / N:.1f}% · {N * K} support and {N * QUERIES} query images · nearest neighbour: {sum(verdicts)} of "
            f"{N * QUERIES} right in this task, {100 * seen.mean:.1f}% over {TASKS} tasks "
            f"(interval {100 * seen.low:.1f} to {100 * seen.high:.1f})"
        )

    alt = (
        "Left: the images of one task, a column for each class, support images above and query images below, with a dot or a "
        "cross under each query image. Right: share of query images that the nearest neighbour reads right, one curve for each "
        "number of shots, falling with the number of ways and rising with the shots, above the dashed curve of chance."
    )
    return Scene(figure, [image, *names, border, hits, misses, curve, ring], move, alt)


def _read_right(tasks: Task) -> Tensor:
    """Whether the nearest support image of each query image is of its class, bool, shape (tasks, queries)."""
    nearest = torch.cdist(tasks.query.x.flatten(2), tasks.support.x.flatten(2)).argmin(2)
    return tasks.support.y.gather(1, nearest) == tasks.query.y


STRENGTHS = tuple(range(13))
EXACT = "donot_use_mm_for_euclid_dist"  # equal distances between flipped scans are equal on every machine
Strength = Callable[[int], tuple[str, Callable[[Tensor], Tensor]]]
"""A kind of augmentation: strength 0..12 → (what it does, in words; the transform)."""


def augmentations(scans: Data, others: Data, kinds: dict[str, Strength]) -> Scene:
    """Digits before and after, and the share whose nearest neighbour still is of their class, over the strength.

    The controls set ``kind``, one of ``kinds``, and ``strength``, 0 to 12. The same draws are used at every strength.

    Parameters
    ----------
    scans : Data
        Square images to augment, two or more of each of ten classes; the first two of each are shown.
    others : Data
        Images among which the nearest neighbour is looked for.
    kinds : dict of str to Strength
        Strength 0 leaves an image as it is.
    """
    side, shown = scans.x.shape[-1], torch.cat([(scans.y == label).nonzero()[:2, 0] for label in range(10)])
    read, pictures = {}, {}
    for kind, at in kinds.items():
        for strength in STRENGTHS:
            x = seeded(at(strength)[1])(scans.x, torch.Generator().manual_seed(0))
            nearest = torch.cdist(x.flatten(1), others.x.flatten(1), compute_mode=EXACT).argmin(1)
            read[kind, strength], pictures[kind, strength] = others.y[nearest], x[shown, 0]
    share = {key: (labels == scans.y).double().mean().item() for key, labels in read.items()}

    figure = Figure(figsize=(9.6, 3.1), layout="constrained")
    left, right = (part.subplots() for part in figure.subfigures(1, 2, width_ratios=(1.7, 1)))  # each fills its height
    left.set_axis_off()
    left.set_title("two scans of each digit; below each, augmented, and what it is read as", fontsize=9, pad=8)
    wide, high = side + 2, 2 * side + 8  # a cell: the scan, the augmented one below, and room for a label

    def mosaic(augmented: Tensor) -> Tensor:
        canvas = torch.zeros(2 * high, 10 * wide)
        for place, (before, after) in enumerate(zip(scans.x[shown, 0], augmented, strict=True)):
            row, column = high * (place % 2), wide * (place // 2)
            canvas[row : row + side, column : column + side] = before
            canvas[row + side + 1 : row + 2 * side + 1, column : column + side] = after
        return canvas

    image = left.imshow(mosaic(scans.x[shown, 0]).numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    words = [
        left.text(wide * (place // 2) + side / 2, high * (place % 2) + 2 * side + 2.8, "0", ha="center", va="center",
                  fontsize=9)
        for place in range(20)
    ]  # fmt: skip
    right.set(xlabel="strength k", ylabel="still read as their own digit (%)", xlim=(-0.6, 12.6), ylim=(0, 103))
    right.set_xticks(STRENGTHS[::2])
    curves = {kind: [100 * share[kind, k] for k in STRENGTHS] for kind in kinds}
    for heights in curves.values():
        (thin,) = right.plot(STRENGTHS, heights, color=GREY, linewidth=0.7, alpha=0.6, label="the other kinds")
    right.axhline(90, color=BLACK, linewidth=1, linestyle="--")
    right.text(12.3, 91, "90%", ha="right", va="bottom", fontsize=8)
    (curve,) = right.plot([], [], "o-", color=BLUE, linewidth=1.8, markersize=4, label="this kind")
    name = right.set_title(next(iter(kinds)), fontsize=9, pad=8)
    right.legend(handles=[curve, thin], fontsize=8, loc="lower left")
    (ring,) = right.plot([], [], "o", color=BLACK, markersize=12, markerfacecolor="none", markeredgewidth=2)

    def move(kind: str, strength: float) -> str:
        k = int(strength)
        image.set_data(mosaic(pictures[kind, k]).numpy())
        answers, labels = read[kind, k][shown].tolist(), scans.y[shown].tolist()
        for text, answer, label in zip(words, answers, labels, strict=True):
            text.set_text(f"{answer} ✓" if answer == label else f"{answer} ✗")
            text.set_color(BLACK if answer == label else VERMILION)
        curve.set_data(STRENGTHS, curves[kind])
        ring.set_data([k], [curves[kind][k]])
        name.set_text(f"{kind} {kinds[kind](k)[0]}")
        kept, count = round(share[kind, k] * len(scans.y)), len(scans.y)
        seen = share_interval(kept, count)
        lost = scans.y[read[kind, k] != scans.y].bincount(minlength=10)
        return (
            f"{kind} {kinds[kind](k)[0]}: {kept} of {count} scans are still read as their own digit, {100 * seen.mean:.1f}% "
            f"(interval {100 * seen.low:.1f} to {100 * seen.high:.1f}) · lost of 0 to 9: {' '.join(map(str, lost.tolist()))}"
        )

    alt = (
        "Left: two handwritten scans of each digit, each with its augmented version below it and the digit that the nearest "
        "neighbour reads. Right: the share still read right against the strength, one curve for each kind of augmentation, "
        "the chosen one with markers; all fall, from nearly all scans at strength 0, and a dashed line marks 90%."
    )
    return Scene(figure, [image, *words, name, curve, ring], move, alt)
