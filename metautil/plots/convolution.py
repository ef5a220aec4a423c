"""The convolution as a sliding window, with sliders: a scene for `metautil.sliders.show`."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from metautil.plots.base import VERMILION
from metautil.printing import number
from metautil.sliders import Scene


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
