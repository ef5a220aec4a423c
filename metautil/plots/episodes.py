"""Episodes seen: the support and query images of a task, and what comparing pixels makes of tasks of its kind."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from metautil.plots.base import BLACK, BLUE, GREEN, GREY, VERMILION
from metautil.sliders import Scene
from metautil.statistics import mean_interval
from metautil.tasks import Alphabets, Task, few_shot_tasks

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
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    left.set_axis_off()
    cell, gap = side + 4, side // 2
    first_query = SHOTS[-1] * cell + gap
    height = first_query + QUERIES * (cell + gap // 2)
    image = left.imshow(torch.zeros(height, WAYS[-1] * cell).numpy(), cmap="gray_r", vmin=0, vmax=1)
    for text, row, anchor in (("support set: K rows", first_query - gap, "bottom"), ("query set", first_query, "top")):
        left.text(-gap, row, text, rotation=90, ha="right", va=anchor, fontsize=9)
    (hits,) = left.plot([], [], "o", color=GREEN, markersize=4)
    (misses,) = left.plot([], [], "x", color=VERMILION, markersize=5, markeredgewidth=1.5)
    left.set_title("one column a class; ● read right, × read wrong by the nearest neighbour", fontsize=9)

    right.set(xlabel="ways N", ylabel="query images read right (%)", xlim=(1.7, 10.3), ylim=(0, 100))
    for shots in SHOTS:
        right.plot(WAYS, [100 * judged[ways, shots].mean for ways in WAYS], color=GREY, linewidth=0.8, alpha=0.7,
                   label="at the other K" if shots == 1 else None)  # fmt: skip
    right.plot(WAYS, [100 / ways for ways in WAYS], "--", color=BLACK, linewidth=1.2, label="chance, 1/N")
    (curve,) = right.plot([], [], "o-", color=BLUE, markersize=4, label="nearest neighbour at this K")
    (ring,) = right.plot([], [], "o", color=BLACK, markersize=12, markerfacecolor="none", markeredgewidth=2)
    right.legend(loc="upper right", fontsize=8)

    def move(ways: float, shots: float, number: float) -> str:
        N, K = int(ways), int(shots)
        task = families[N, K](1, torch.Generator().manual_seed(int(number)))
        canvas = torch.zeros(height, WAYS[-1] * cell)
        canvas[first_query - gap // 2 - 2] = 0.4  # the line between the two sets
        for place, picture in enumerate(task.support.x[0, :, 0]):
            row, column = cell * (SHOTS[-1] - K + place % K), cell * (place // K)
            canvas[row : row + side, column : column + side] = picture
        marks = []
        for place, picture in enumerate(task.query.x[0, :, 0]):
            row, column = first_query + (cell + gap // 2) * (place % QUERIES), cell * (place // QUERIES)
            canvas[row : row + side, column : column + side] = picture
            marks.append((column + side / 2, row + side + 4))
        image.set_data(canvas.numpy())
        verdicts = _read_right(task)[0].tolist()
        for line, wanted in ((hits, True), (misses, False)):
            some = [mark for mark, verdict in zip(marks, verdicts, strict=True) if verdict == wanted]
            line.set_data([x for x, _ in some], [y for _, y in some])
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
        "cross under each query image. Right: share of query images that the nearest neighbour reads right, falling with the "
        "number of ways and rising with the shots, above the dashed curve of chance."
    )
    return Scene(figure, [image, hits, misses, curve, ring], move, alt)


def _read_right(tasks: Task) -> Tensor:
    """Whether the nearest support image of each query image is of its class, bool, shape (tasks, queries)."""
    nearest = torch.cdist(tasks.query.x.flatten(2), tasks.support.x.flatten(2)).argmin(2)
    return tasks.support.y.gather(1, nearest) == tasks.query.y
