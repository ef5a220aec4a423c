"""Augmented digits, and at which strength of the augmentation they stop looking like what they are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor

from metautil.augmentation import seeded
from metautil.plots.base import BLACK, BLUE, GREY, VERMILION
from metautil.sliders import Scene
from metautil.statistics import share_interval
from metautil.tasks import Data

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
