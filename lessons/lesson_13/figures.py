"""Figures of lesson 16, *Few-shot images*.

Few-shot images: stored accuracies over ways, shots and inner steps, the supply of tasks, disturbed support sets; and
what batch norm makes of an unbalanced query set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from metautil.statistics import Estimate
from metautil.widgets import Scene

Results = Mapping[str, Mapping[str, Estimate]]
"""Case → metric → estimate, as `lessons.shared.results.stored` reads them."""

WAYS, SHOTS = (2, 5, 10, 20), (1, 2, 5, 10)
WITHOUT_HEAD = {
    "prototypes": ("o", BLUE, "-"),
    "pretrained and nearest centroid": ("s", ORANGE, "--"),
}
WITH_HEAD = {
    "MAML": ("D", VERMILION, "-"),
    "FOMAML": ("^", ORANGE, "--"),
    "ANIL": ("v", GREEN, "-."),
    "Reptile": ("P", SKY, ":"),
    "Meta-SGD": ("X", BLACK, (0, (6, 1))),
}
STEPS = tuple(range(11))


def _percent(estimate: Estimate, digits: int = 1) -> str:
    return f"{100 * estimate.mean:.{digits}f}%"


def _band(axes: Axes, places: Sequence[float], values: Sequence[Estimate], **style) -> None:
    """A curve with its 95% interval, in percent."""
    mean, low, high = 100 * np.array(values).T
    axes.plot(places, mean, **style)
    axes.fill_between(places, low, high, color=style["color"], alpha=0.15)


def _redraw(line, band, places: Sequence[float], values: Sequence[Estimate]) -> None:
    """Move a curve and the end marks of its intervals."""
    mean, low, high = 100 * np.array(values).T
    line.set_data(places, mean)
    band.set_segments([[(place, bottom), (place, top)] for place, bottom, top in zip(places, low, high, strict=True)])


def ways_and_shots(results: Results) -> Scene:
    """Accuracy of learners that need no head, over ways at the chosen shots and over shots at the chosen ways.

    The sliders set ``ways`` N, one of `WAYS`, and ``shots`` K, one of `SHOTS`. Learners that adapt parameters are marked
    where they were measured.

    Parameters
    ----------
    results : mapping
        Of ``benchmarks/ways_shots.py``.
    """
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.set(xlabel="ways N", ylabel="query images read right (%)", xscale="log", xlim=(1.8, 22), ylim=(0, 103))
    right.set(xlabel="shots K", xscale="log", xlim=(0.9, 11))
    left.set_xticks(WAYS, [str(ways) for ways in WAYS], minor=False)
    right.set_xticks(SHOTS, [str(shots) for shots in SHOTS], minor=False)
    for axes in (left, right):
        axes.minorticks_off()
    left.plot(WAYS, [100 / ways for ways in WAYS], ":", color=GREY, label="chance, 1/N")
    (chance,) = right.plot([], [], ":", color=GREY)
    moving, lines = [chance], {}
    for name, (mark, colour, style) in WITHOUT_HEAD.items():
        for axes in (left, right):
            (line,) = axes.plot([], [], linestyle=style, marker=mark, color=colour, markersize=6, label=name)
            band = axes.vlines([], 0, 1, color=colour, linewidth=4, alpha=0.3)
            lines[name, axes] = (line, band)
            moving += [line, band]
    others = {"MAML": ("D", VERMILION), "Meta-SGD": ("X", BLACK), "pretrained and fine-tuned": ("*", GREEN)}
    points = {}
    for name, (mark, colour) in others.items():
        for axes in (left, right):
            (points[name, axes],) = axes.plot([], [], mark, color=colour, markersize=9, linestyle="none", label=name)
            moving.append(points[name, axes])
    rings = [axes.plot([], [], color=BLACK, linewidth=1)[0] for axes in (left, right)]
    moving += rings
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)

    def accuracy(name: str, ways: int, shots: int) -> Estimate | None:
        case = results.get(f"{name}, {ways}-way {shots}-shot")
        return case and case["accuracy"]

    def move(ways: float, shots: float) -> str:
        N, K = int(ways), int(shots)
        chance.set_data(SHOTS, [100 / N] * len(SHOTS))
        rings[0].set_data([N, N], [0, 103])
        rings[1].set_data([K, K], [0, 103])
        for name in WITHOUT_HEAD:
            _redraw(*lines[name, left], WAYS, [accuracy(name, ways, K) for ways in WAYS])
            _redraw(*lines[name, right], SHOTS, [accuracy(name, N, shots) for shots in SHOTS])
        for name in others:
            at_shots = [(n, 100 * e.mean) for n in WAYS if (e := accuracy(name, n, K))]
            at_ways = [(k, 100 * e.mean) for k in SHOTS if (e := accuracy(name, N, k))]
            for axes, found in ((left, at_shots), (right, at_ways)):
                points[name, axes].set_data([x for x, _ in found], [y for _, y in found])
        parts = [f"{name} {_percent(e)}" for name in (*WITHOUT_HEAD, *others) if (e := accuracy(name, N, K))]
        return f"chance {100 / N:.0f}% · " + " · ".join(parts)

    alt = (
        "Two panels of accuracy with logarithmic axes: over ways at the chosen number of shots, where the curves of prototypes "
        "and of the pretrained network, all but one on the other, fall far more slowly than the dotted line of chance; and over "
        "shots at the chosen number of ways, where they rise and flatten. Single marks show learners measured at few settings."
    )
    return Scene(figure, moving, move, alt)


def inner_steps(results: Results) -> Scene:
    """Accuracy after k inner steps of the learners that adapt parameters, at five ways.

    ``shots`` chooses "1" or "5" images a class, the slider ``steps`` sets k, one of `STEPS`.

    Parameters
    ----------
    results : mapping
        Of ``benchmarks/ways_shots.py``.
    """
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    axes = figure.add_subplot(
        xlabel="inner steps k", ylabel="query images read right (%)", xlim=(-0.2, 10.2), ylim=(0, 103)
    )
    axes.axhline(20, color=GREY, linestyle=":", linewidth=1.2, label="chance")
    styles = {**WITH_HEAD, "pretrained and fine-tuned": ("*", GREY, "-")}
    lines = {}
    for name, (mark, colour, style) in styles.items():
        (line,) = axes.plot([], [], linestyle=style, marker=mark, color=colour, markersize=6, linewidth=1.5, label=name)
        band = axes.vlines([], 0, 1, color=colour, linewidth=4, alpha=0.25)
        lines[name] = (line, band)
    (here,) = axes.plot([], [], color=BLACK, linewidth=1.5)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)

    def move(shots: str, steps: float) -> str:
        step, parts = int(steps), []
        for name, pair in lines.items():
            found = results[f"{name}, 5-way {shots}-shot"]
            _redraw(*pair, STEPS, [found[f"accuracy after {k} steps"] for k in STEPS])
            parts.append(f"{name} {_percent(found[f'accuracy after {step} steps'])}")
        here.set_data([step, step], [0, 103])
        return " · ".join(parts)

    alt = (
        "Accuracy on the query sets against the number of inner steps, 0 to 10, one curve for each learner with its intervals. "
        "A line marks the chosen number of steps."
    )
    return Scene(figure, [*(artist for pair in lines.values() for artist in pair), here], move, alt)


def companions(support: Tensor, queries: Sequence[Tensor], answers: Sequence[tuple[Tensor, Tensor]],
               accuracies: Sequence[tuple[Estimate, Estimate]], counts: Sequence[int]) -> Scene:  # fmt: skip
    """One task whose query set holds more and more images of one class, read with and without the query set's statistics.

    The slider sets ``count``, how many of the query images are of the first class, one of ``counts``.

    Parameters
    ----------
    support : Tensor
        The task's support images, one of each of five classes, shape (5, 1, h, w).
    queries : sequence of Tensor
        Query images at each count, shape (15, 1, h, w).
    answers : sequence of (Tensor, Tensor)
        Whether each was read right, bool (15,): with the query set's own mean and variance, and with the support set's.
    accuracies : sequence of (Estimate, Estimate)
        The same two over many tasks.
    counts : sequence of int
        Ascending.
    """
    figure = Figure(figsize=(9.8, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
    grid = left.subplots(4, 5)
    for cell, picture in zip(grid[0], support, strict=True):
        cell.imshow(picture[0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        for spine in cell.spines.values():
            spine.set(color=ORANGE, linewidth=2, visible=True)
    images, texts = [], []
    for cell in grid[1:].flat:
        images.append(cell.imshow(np.zeros(support.shape[-2:]), cmap="gray_r", vmin=0, vmax=1))
        place = {"transform": cell.transAxes, "ha": "center", "va": "top", "fontsize": 9}
        texts.append([cell.text(x, -0.04, "✗", color=colour, **place) for x, colour in ((0.3, VERMILION), (0.7, BLUE))])
    for cell in grid.flat:
        cell.set_xticks([])
        cell.set_yticks([])
    left.suptitle("support set in boxes; query set below\nleft sign: transductive, right sign: by itself", fontsize=9)
    axes = right.add_subplot(xlabel=f"query images of the first class, of {len(queries[0])}",
                             ylabel="read right (%)", ylim=(0, 103))  # fmt: skip
    names = ("transductive", "query-independent")
    for place, (name, colour, style) in enumerate(zip(names, (VERMILION, BLUE), ("-o", "--s"), strict=True)):
        values = [pair[place] for pair in accuracies]
        _band(axes, counts, values, linestyle=style[:-1], marker=style[-1], color=colour, label=name)
    axes.set_xticks(counts)
    axes.axhline(20, color=GREY, linestyle=":", linewidth=1.2, label="chance")
    axes.legend(loc="lower left", fontsize=9)
    (line,) = axes.plot([], [], color=BLACK, linewidth=1.5)

    def move(count: float) -> str:
        index = min(range(len(counts)), key=lambda index: abs(counts[index] - count))
        line.set_data([counts[index]] * 2, [0, 103])
        for image, picture in zip(images, queries[index], strict=True):
            image.set_data(picture[0].numpy())
        for pair, verdicts in zip(texts, zip(*answers[index], strict=True), strict=True):
            for text, verdict in zip(pair, verdicts, strict=True):
                text.set_text("✓" if verdict else "✗")
        means = [_percent(estimate, 0) for estimate in accuracies[index]]
        hits = [int(verdicts.sum()) for verdicts in answers[index]]
        return (
            f"over many tasks: transductive {means[0]}, query-independent {means[1]} · in this one {hits[0]} and {hits[1]} "
            f"of {len(queries[index])}"
        )

    alt = (
        "Left: five support images and fifteen query images of one task, each with two signs. Right: accuracy against the number "
        "of query images of the first class. The query-independent curve is level; the transductive one starts a little above "
        "it and falls far below as the query set loses its balance."
    )
    return Scene(figure, [*images, *(text for pair in texts for text in pair), line], move, alt)


def task_supply(results: Results, learner: str) -> Scene:
    """Accuracy on training classes and on held-out alphabets, over the classes and the alphabets of meta-training.

    The slider sets ``training``, one of the numbers of classes that were measured.

    Parameters
    ----------
    results : mapping
        Of ``benchmarks/task_supply.py``.
    learner : str
        Such as "prototypes".
    """

    def counts(unit: str) -> dict[int, str]:
        """Number → case, of the cases "<learner>, <number> <unit>"."""
        found = [case.removeprefix(f"{learner}, ").split() for case in results if case.startswith(f"{learner}, ")]
        return {
            int(words[0]): f"{learner}, {' '.join(words)}" for words in found if words[1:] in ([unit], [unit + "s"])
        }

    classes, alphabets = dict(sorted(counts("classe").items())), dict(sorted(counts("alphabet").items()))
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
    for axes, places, label in (
        (left, classes, "training classes"),
        (right, alphabets, "alphabets of 84 training classes"),
    ):
        axes.set(xlabel=label, xscale="log", ylim=(15, 103))
        axes.set_xticks(list(places), [str(count) for count in places])
        axes.minorticks_off()
        axes.axhline(20, color=GREY, linestyle=":", linewidth=1.2, label="chance")
    left.set_ylabel("query images read right (%)")
    looks = {
        ("training", ""): ("--", "o", GREY, "training classes"),
        ("held out", ""): ("-", "o", BLUE, "held-out alphabets"),
        ("training", ", augmented"): ("--", "s", ORANGE, "training classes, turned ones added"),
        ("held out", ", augmented"): ("-", "s", VERMILION, "held-out alphabets, turned ones added"),
    }
    for (metric, turned), (style, mark, colour, label) in looks.items():
        look = {"linestyle": style, "marker": mark, "color": colour, "markersize": 5, "label": label}
        _band(left, list(classes), [results[case + turned][metric] for case in classes.values()], **look)
        if not turned:
            _band(right, list(alphabets), [results[case][metric] for case in alphabets.values()], **look)
    (here,) = left.plot([], [], color=BLACK, linewidth=1.5)
    left.legend(loc="lower right", fontsize=8)

    def move(training: float) -> str:
        count = int(training)
        here.set_data([count, count], [0, 103])
        parts = []
        for turned, words in (("", "as they are"), (", augmented", "turned ones added")):
            found = results[classes[count] + turned]
            gap = 100 * (found["training"].mean - found["held out"].mean)
            line = f"{words}: training {_percent(found['training'])}, held out {_percent(found['held out'])}, gap {gap:.1f}"
            parts.append(line.replace("-", "−"))
        return " · ".join(parts)

    alt = (
        "Left: accuracy against the number of training classes, dashed on the training classes and solid on held-out alphabets, "
        "each with and without turned classes. With few classes the dashed curves lie far above the solid ones; with many they "
        "come close. Right: the same against the number of alphabets that 84 training classes come from."
    )
    return Scene(figure, [here], move, alt)


def disturbed_support(results: Results, learners: Sequence[str]) -> Figure:
    """Accuracy with wrong labels, and with a shifted writer, in the support set; call `still` on it.

    Parameters
    ----------
    results : mapping
        Of ``benchmarks/support_noise.py``.
    learners : sequence of str
        At most four.
    """
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    wrong, strengths = (0, 1, 2), (0, 1, 2, 3)
    looks = zip(learners, ("-o", "--D", "-.*", ":s"), (BLUE, VERMILION, GREEN, BLACK), strict=False)
    for name, style, colour in looks:
        clean = results[f"{name}, 0 of 5 labels wrong"]["accuracy"]
        look = {"linestyle": style[:-1], "marker": style[-1], "color": colour, "label": name}
        _band(left, wrong, [results[f"{name}, {count} of 5 labels wrong"]["accuracy"] for count in wrong], **look)
        shifts = [results[f"{name}, writer shifted by {strength}"]["accuracy"] for strength in strengths[1:]]
        _band(right, strengths, [clean, *shifts], **look)
    left.set(
        xlabel="wrong labels, of 5 in each class", ylabel="query images read right (%)", ylim=(15, 103), xticks=wrong
    )
    right.set(xlabel="strength of the shifted writer", xticks=strengths)
    for axes in (left, right):
        axes.axhline(20, color=GREY, linestyle=":", linewidth=1.2)
    left.legend(loc="lower left", fontsize=8)
    return figure
