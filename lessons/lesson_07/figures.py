"""Figures of lesson 08, *Train the CNN*.

The convolution as a sliding window.
Figures of lesson 07: training as it happens, and what a trained network sees and confuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, ORANGE, VERMILION
from metautil.printing import number
from metautil.statistics import Estimate
from metautil.widgets import Scene


def convolution_window(picture: Tensor, kernels: Mapping[str, Tensor]) -> Scene:
    """A picture with the window that is looked through, the nine products, and the map of all sums.

    The controls set ``kernel``, a key of ``kernels``, and ``row`` and ``column``, counted from 1.

    Parameters
    ----------
    picture : Tensor
        Values in [0, 1], shape (height, width).
    kernels : mapping of str to Tensor
        Weights, each of shape (3, 3), between −1 and 1.
    """
    height, width = picture.shape
    padded = F.pad(picture, (1, 1, 1, 1))
    windows = padded.unfold(0, 3, 1).unfold(1, 3, 1)  # (height, width, 3, 3)
    maps = {name: (windows * kernel).sum((2, 3)) for name, kernel in kernels.items()}
    largest = max(float(sums.abs().max()) for sums in maps.values())
    figure = Figure(figsize=(9.4, 3.2), layout="constrained")
    left, *small, right = figure.subplots(1, 5, width_ratios=(1.6, 1, 1, 1, 1.6))
    left.imshow(padded.numpy(), cmap="gray_r", vmin=0, vmax=1, extent=(-0.5, width + 1.5, height + 1.5, -0.5))
    left.set_title("picture, a rim of zeros around it", fontsize=9)
    left.set(xlabel="column", ylabel="row")
    left.set_xticks(range(1, width + 1))
    left.set_yticks(range(1, height + 1))
    left.grid(False)
    frame = left.add_patch(Rectangle((0, 0), 3, 3, fill=False, edgecolor=VERMILION, linewidth=3))
    squares, entries = [], []
    for axes, title in zip(small, ("window", "weights", "products"), strict=True):
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
        scale = (
            {"cmap": "gray_r", "vmin": 0, "vmax": 1}
            if title == "window"
            else {"cmap": "RdBu", "vmin": -1.6, "vmax": 1.6}
        )
        squares.append(axes.imshow(padded[:3, :3].numpy(), **scale))
        entries.append([axes.text(j, i, "", ha="center", va="center", fontsize=8) for i in range(3) for j in range(3)])
    shown = right.imshow(
        picture.numpy(), cmap="RdBu", vmin=-largest, vmax=largest, extent=(0.5, width + 0.5, height + 0.5, 0.5)
    )
    right.set(xlabel="column", ylabel="row")
    right.set_xticks(range(1, width + 1))
    right.set_yticks(range(1, height + 1))
    right.set_title("map: the sum at each position", fontsize=9)
    right.grid(False)
    figure.colorbar(shown, ax=right, shrink=0.8)
    here = right.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor="black", linewidth=2.5))

    def move(kernel: str, row: int, column: int) -> str:
        window, weights = windows[row - 1, column - 1], kernels[kernel]
        frame.set_xy((column - 1.5, row - 1.5))
        here.set_xy((column - 0.5, row - 0.5))
        for square, texts, values in zip(squares, entries, (window, weights, window * weights), strict=True):
            square.set_data(values.numpy())
            for text, value in zip(texts, values.flatten().tolist(), strict=True):
                text.set_text(f"{value:.2f}".rstrip("0").rstrip(".").replace("-0", "−0", 1).replace("-", "−") or "0")
                text.set_color("white" if square.get_cmap().name == "gray_r" and value > 0.5 else "black")
        shown.set_data(maps[kernel].numpy())
        return (
            f"sum of the nine products {number(maps[kernel][row - 1, column - 1])} · over the whole map from "
            f"{number(maps[kernel].min())} to {number(maps[kernel].max())}"
        )

    alt = (
        "From left to right: a small picture of a digit with a square window of three by three pixels on it; the nine pixels in "
        "the window; the nine weights; their products; and the map of all sums, where the position of the window is marked."
    )
    moving = [frame, *squares, *(text for texts in entries for text in texts), shown, here]
    return Scene(figure, moving, move, alt)


def driven_training(epochs: int) -> Scene:
    """Risks, accuracies and the settings that were driven, over the epochs so far; a scene for `metautil.widgets.drive`.

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
        [
            axes.plot([], [], style, color=colour, label=f"{name}: {what}", **look)[0]
            for name, (style, colour) in styles.items()
        ]
        for axes, what in ((left, "accuracy"), (middle, "risk"))
    )
    settings = [
        right.plot([], [], style, color=colour, label=label, drawstyle="steps-pre", linewidth=1.8)[0]
        for style, colour, label in (("-", BLACK, "λ, weight of T"), ("--", VERMILION, "η, step size"))
    ]
    now = [
        right.plot([], [], marker, color=colour, markersize=7)[0] for marker, colour in (("<", BLACK), ("<", VERMILION))
    ]
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
            line.set_data(
                time[1:], rows[1:, column].clip(7e-4, 200)
            )  # the first row is the start, which nothing led to
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


def stored_sweep(lams: Sequence[float], on_T: Sequence[Estimate], on_D: Sequence[Estimate]) -> Figure:
    """Accuracy on T and on D over λ, means over seeds with their intervals; call `still` on it.

    Parameters
    ----------
    lams : sequence of float
        Ascending, n of them; the first may be 0. Drawn at equal distances.
    on_T, on_D : sequence of Estimate
        As fractions, n each.
    """
    figure = Figure(figsize=(6.6, 3.6), layout="constrained")
    axes = figure.add_subplot(
        xlabel="λ, weight of the new task (not to scale)", ylabel="accuracy, held out (%)", ylim=(60, 100)
    )
    place = np.arange(len(lams))
    axes.set_xticks(place, [number(lam) for lam in lams])
    looks = {"D: font digits": (on_D, "s--", ORANGE), "T: real scans": (on_T, "o-", BLUE)}
    for label, (estimates, style, colour) in looks.items():
        mean, low, high = 100 * np.array(estimates).T
        axes.errorbar(
            place, mean, [mean - low, high - mean], fmt=style, color=colour, capsize=4, markersize=5, label=label
        )
    axes.legend(loc="lower right")
    return figure


def confusion(counts: np.ndarray) -> Figure:
    """How often each true class (row) was read as each class (column); call `still` on it.

    Parameters
    ----------
    counts : ndarray
        Shape (C, C), as from scikit-learn's ``confusion_matrix``.
    """
    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = figure.add_subplot(xlabel="class that was read", ylabel="true class")
    shares = counts / counts.sum(1, keepdims=True)
    drawn = axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, label="share of the true class")
    axes.set_xticks(range(len(counts)))
    axes.set_yticks(range(len(counts)))
    axes.grid(False)
    for true, row in enumerate(counts):
        for read, count in enumerate(row):
            if count:
                dark = shares[true, read] > 0.5
                axes.text(
                    read, true, str(count), ha="center", va="center", fontsize=8, color="white" if dark else BLACK
                )
    return figure


def filters(kernels: Tensor, scan: Tensor, responses: Tensor) -> Figure:
    """The kernels of a first layer above what each makes of one picture; call `still` on it.

    Parameters
    ----------
    kernels : Tensor
        Shape (F, 1, 3, 3).
    scan : Tensor
        The picture, shape (1, height, width).
    responses : Tensor
        Its maps after the ReLU, shape (F, height', width').
    """
    count = len(kernels)
    figure = Figure(figsize=(1.1 * (count + 1), 2.6), layout="constrained")
    axes = figure.subplots(2, count + 1)
    largest = float(kernels.abs().max())
    axes[0, 0].set_title("the scan", fontsize=9)
    axes[0, 0].imshow(scan[0].numpy(), cmap="gray_r", vmin=0, vmax=1)
    for index in range(count):
        axes[0, index + 1].imshow(kernels[index, 0].numpy(), cmap="RdBu", vmin=-largest, vmax=largest)
        axes[0, index + 1].set_title(f"kernel {index + 1}", fontsize=9)
        axes[1, index + 1].imshow(responses[index].numpy(), cmap="gray_r", vmin=0, vmax=float(responses.max()))
    for cell in axes.flat:
        cell.set_axis_off()
    return figure
