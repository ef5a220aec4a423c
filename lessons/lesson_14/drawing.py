"""Draw your own: five new characters, one example of each, and a sixth drawing that a learner is to name.

A drawing is a list of strokes, a stroke a list of points (x, y): shares of the cell's width, from the left, and of its
height, from the top. `ink` makes of it the picture that a learner sees, `shares` adapts to five examples and reads the
sixth, and `draw_your_own` puts both behind six cells to draw in. Where there is no mouse, the saved `drawings` stand in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLUE, GREY, VERMILION
from metautil.learners import Predictor
from metautil.tasks import Data
from metautil.widgets import Scene
from metautil.widgets.pad import Pad
from metautil.widgets.panels import Panel
from metautil.widgets.scenes import LIVE

Stroke = Sequence[Sequence[float]]
Drawing = Sequence[Stroke]

WAYS = 5
NAMES = (*(f"character {number}" for number in range(1, WAYS + 1)), "the sixth drawing")
TITLES = (*map(str, range(1, WAYS + 1)), "the sixth: which?")
SIDE = 28
LARGER = 18.0
"""Pixels of the larger side of a drawing's ink: the median over the meta-training letters of `font_alphabets`."""
PEN = 2.0
"""Pixels of the pen's width: with it 2 · ink / length of the outline has about the same median here as over these letters."""
SMALLEST = 0.15
"""Share of the cell below which a drawing is not enlarged any further: a dot stays a dot."""


class Drawings(NamedTuple):
    """Saved drawings of five characters.

    Attributes
    ----------
    examples, queries : tuple of Drawing
        Each character drawn once by one hand, and once by another one.
    """

    examples: tuple[Drawing, ...]
    queries: tuple[Drawing, ...]


def ink(drawing: Drawing) -> Tensor:
    """The picture of a drawing, in the style of `metautil.datasets.font_alphabets`.

    The drawing is moved and enlarged so that its ink is centred and its larger side `LARGER` pixels: where in the cell
    and how large somebody draws says nothing about the character, and the letters that the learner knows fill their images
    in this way. Then each pixel is inked by the distance d from its centre to the nearest segment of a stroke,

        ink = clip(PEN / 2 + 1/2 − d, 0, 1),

    black inside the pen's line, with an edge one pixel wide, and rounded to 255 shades as stored images are. It is
    elementwise arithmetic: the same picture on every machine.

    Parameters
    ----------
    drawing : Drawing
        Strokes with points in [0, 1]². A stroke of one point is a dot, one without points is nothing.

    Returns
    -------
    Tensor
        Shape (1, 28, 28), torch's default dtype, paper 0, ink up to 1; all 0 if there are no points.

    Raises
    ------
    ValueError
        If a stroke is not a list of pairs of finite numbers from 0 to 1.
    """
    strokes = [_points(stroke, number) for number, stroke in enumerate(drawing, start=1) if len(stroke)]
    if not strokes:
        return torch.zeros(1, SIDE, SIDE)
    points = torch.cat(strokes)
    low, high = points.amin(0), points.amax(0)
    scale = (LARGER - PEN) / max(float((high - low).max()), SMALLEST)
    strokes = [(stroke - (low + high) / 2) * scale + SIDE / 2 for stroke in strokes]
    # A stroke of one point is a segment that ends where it begins.
    start = torch.cat([stroke[:-1] if len(stroke) > 1 else stroke for stroke in strokes])
    end = torch.cat([stroke[1:] if len(stroke) > 1 else stroke for stroke in strokes])
    distance = _distance(start, end)
    shade = (PEN / 2 + 0.5 - distance).clamp(0, 1)
    return ((255 * shade).round() / 255).to(torch.get_default_dtype())[None]


def _points(stroke: Stroke, number: int) -> Tensor:
    """A stroke's points, float64, shape (n, 2)."""
    for point in stroke:
        if len(point) != 2 or not all(math.isfinite(share) and 0 <= share <= 1 for share in point):
            raise ValueError(
                f"Stroke {number} has the point {tuple(point)}; expected (x, y), two finite numbers from 0 to 1: shares of "
                f"the cell's width, from the left, and of its height, from the top."
            )
    return torch.tensor([list(map(float, point)) for point in stroke], dtype=torch.float64)


def _distance(start: Tensor, end: Tensor) -> Tensor:
    """Distance of each pixel's centre from the nearest of S segments, shape (28, 28); ends of shape (S, 2), in pixels."""
    centre = torch.arange(SIDE, dtype=torch.float64) + 0.5
    right, down = centre - start[:, :1], centre - start[:, 1:]  # (S, 28): from a segment's start to columns and rows
    along, across = (end - start)[:, 0, None, None], (end - start)[:, 1, None, None]
    squared = along.square() + across.square()
    right, down = right[:, None, :], down[:, :, None]
    share = ((right * along + down * across) / squared.clamp(min=1e-12)).clamp(0, 1)  # of the way, to the nearest point
    return ((right - share * along).square() + (down - share * across).square()).amin(0).sqrt()


def missing(cells: Sequence[Drawing]) -> list[int]:
    """Positions, from 0, of the cells in which nothing is drawn."""
    return [position for position, drawing in enumerate(cells) if not any(len(stroke) for stroke in drawing)]


def shares(adapt: Callable[[Data], Predictor], cells: Sequence[Drawing]) -> Tensor:
    """Adapt to five examples, and read the sixth drawing.

    Parameters
    ----------
    adapt : callable
        Data (x of shape (5, 1, 28, 28), y = 0..4) → predictor, which maps images (N, 1, 28, 28) to scores (N, 5).
    cells : sequence of Drawing
        The five examples, then the sixth drawing.

    Returns
    -------
    Tensor
        softmax of the scores, shape (5,).

    Raises
    ------
    ValueError
        If there are not six drawings, one is empty, or the scores are not five finite numbers.
    """
    if len(cells) != WAYS + 1 or missing(cells):
        blank = ", ".join(str(position + 1) for position in missing(cells)) or "none"
        raise ValueError(
            f"{len(cells)} drawings, of these empty: {blank}; expected {WAYS} examples and a sixth drawing."
        )
    return _read(adapt, torch.stack([ink(drawing) for drawing in cells]))


def _read(adapt: Callable[[Data], Predictor], x: Tensor) -> Tensor:
    """`shares` from the six images, shape (6, 1, 28, 28)."""
    scores = adapt(Data(x[:WAYS], torch.arange(WAYS)))(x[WAYS:]).detach()
    if scores.shape != (1, WAYS) or not scores.isfinite().all():
        raise ValueError(
            f"The predictor gave scores of shape {tuple(scores.shape)}, finite: {bool(scores.isfinite().all())}; "
            f"expected {WAYS} finite scores for one image, shape (1, {WAYS})."
        )
    return scores[0].softmax(-1)


class DrawingPanel(Panel):
    """Six cells, and beneath them what the learner sees and how it names the sixth drawing."""

    def __init__(self, adapt: Callable[[Data], Predictor], saved: Sequence[Drawing]) -> None:
        if len(saved) != WAYS + 1:
            raise ValueError(f"{len(saved)} saved drawings; expected {WAYS} examples and a sixth drawing.")
        self.adapt, self.saved = adapt, _plain(saved)
        self.inked: dict[int, tuple[list, Tensor]] = {}  # of each cell its drawing and image, kept until it changes
        self.pad = Pad(names=NAMES, titles=TITLES, drawings=self.saved)
        super().__init__(_scene(), {})
        self.widget.children = (self.pad, *self.widget.children)
        self.widget.add_class("metautil-drawing")
        self.pad.observe(lambda _: self.set(), "drawings")

    def _tools(self) -> list[ipywidgets.Widget]:
        self.clear = ipywidgets.Button(description="Clear all", tooltip="Empty all six cells")
        self.clear.on_click(lambda _: self.put([[] for _ in range(WAYS + 1)]))
        self.reset.description, self.reset.tooltip = "Saved drawings", "Bring the saved drawings back"
        return [self.clear, self.reset]

    def put(self, cells: Sequence[Drawing]) -> None:
        """Replace all six drawings."""
        self.pad.drawings = _plain(cells)

    def restart(self) -> None:
        self.put(self.saved)

    def _setting(self) -> str:
        return "these drawings"

    def _draw(self, compress_level: int = LIVE) -> tuple[bytes, str]:
        cells = self.pad.drawings
        for cell, drawing in enumerate(cells):
            if cell not in self.inked or self.inked[cell][0] != drawing:
                self.inked[cell] = drawing, ink(drawing)
        images = torch.stack([self.inked[cell][1] for cell in range(len(cells))])
        read = None if missing(cells) else _read(self.adapt, images)
        drawn = self.scene.draw(compress_level, images=images, read=read, blank=missing(cells))
        self.read = read
        return drawn

    def summary(self) -> str:
        """The answer in words that another machine's arithmetic leaves as they are: a learner trained there has other shares.

        The line that a reader sees has the shares in percent.
        """
        if self.read is None:
            return self.line
        half = "above 50%" if self.read.max() > 0.5 else "at most 50%"
        return f"the sixth drawing is character {int(self.read.argmax()) + 1} · its share: {half}"


def _plain(cells: Sequence[Drawing]) -> list:
    """Lists of lists, as the browser sends them."""
    return [[[list(point) for point in stroke] for stroke in drawing] for drawing in cells]


def _scene() -> Scene:
    """The six images as the learner is given them; under each example a bar with its share."""
    figure = Figure(figsize=(8.0, 2.5), layout="none")
    pictures, marks, bars = [], [], []
    for position in range(WAYS + 1):
        left = 0.01 + 0.148 * position + 0.09 * (position == WAYS)
        axes = figure.add_axes((left, 0.42, 0.142, 0.46), xticks=[], yticks=[])
        axes.set_title(str(position + 1) if position < WAYS else "the sixth", fontsize=9)
        axes.spines[:].set_color(GREY)
        pictures.append(axes.imshow(np.zeros((SIDE, SIDE)), cmap="gray_r", vmin=0, vmax=1))
        axes.set(xlim=(-1, SIDE), ylim=(SIDE, -1))  # the frame stays beside what is drawn over it
        if position < WAYS:
            below = figure.add_axes((left, 0.16, 0.142, 0.2), xlim=(0, 1), ylim=(-0.5, 0.5), xticks=[], yticks=[])
            bars += below.barh([0], [0], height=0.8, color=BLUE)
            marks.append(below.text(0.5, -0.75, "", ha="center", va="top", fontsize=9))
    figure.text(
        0.911, 0.34, f"as the learner\nis given them:\n{SIDE} by {SIDE} pixels", ha="center", va="top", fontsize=8
    )

    def move(images: Tensor, read: Tensor | None, blank: list[int]) -> str:
        for picture, image in zip(pictures, images, strict=True):
            picture.set_data(image[0].numpy())
        best = None if read is None else int(read.argmax())
        percents = [0.0] * WAYS if read is None else [100 * share for share in read.tolist()]
        for position, (bar, mark, percent) in enumerate(zip(bars, marks, percents, strict=True)):
            bar.set_width(percent / 100)
            bar.set_color(VERMILION if position == best else BLUE)
            words = f"{percent:.0f}%" + (" ← the sixth" if position == best else "")
            mark.set_text("" if read is None else words)
        if best is None:
            return f"still to draw ({len(blank)} of {WAYS + 1}): {', '.join(NAMES[position] for position in blank)}"
        listed = ", ".join(f"{position + 1}: {percent:.0f}%" for position, percent in enumerate(percents))
        return f"the sixth drawing is character {best + 1} · {listed}"

    alt = (
        "Five drawn characters and a sixth drawing, as images of 28 by 28 pixels; under each of the five a bar with the share "
        "that the learner gives it as the name of the sixth."
    )
    return Scene(figure, [*pictures, *bars, *marks], move, alt)


def draw_your_own(adapt: Callable[[Data], Predictor], saved: Sequence[Drawing] | None = None) -> None:
    """Display six cells to draw in: five new characters, one example of each, and a sixth drawing that is named at once.

    One output with the faces of `metautil.widgets.show`. What is saved and printed is the answer to the saved drawings;
    in a running JupyterLab every stroke adapts anew, and a line says what is missing.

    Parameters
    ----------
    adapt : callable
        Data (x of shape (5, 1, 28, 28) in torch's default dtype, y = 0..4) → predictor, for example
        ``partial(learner.adapt, phi)``; takes well below a tenth of a second.
    saved : sequence of Drawing, optional
        Five examples and a sixth, of which some may be empty; if not given, those of `drawings`, the sixth being the other
        hand's third character.

    Raises
    ------
    ValueError
        If there are not six saved drawings, or `ink` or `shares` refuses them.
    """
    if saved is None:
        saved = (*drawings().examples, drawings().queries[2])
    panel = DrawingPanel(adapt, saved)
    panel.publish(panel.summary())


def drawings() -> Drawings:
    """Five invented characters, each drawn by two hands; none of them looks like a letter of `font_alphabets`."""
    drawn = tuple(
        [
            [tuple(int(share) / 100 for share in point.split(",")) for point in stroke.split()]
            for stroke in each.split("\n")
        ]
        for each in SAVED.strip().split("\n\n")
    )
    return Drawings(drawn[:WAYS], drawn[WAYS:])


# A line is a stroke, its points x,y in hundredths of the cell; an empty line ends a drawing. First hand, second hand.
SAVED = """
50,41 51,44 50,46 46,49 41,48 37,44 37,37 41,32 47,27 56,30 61,37 62,47 56,57 46,62 34,59 26,48 24,36 32,23 47,16
73,39 75,57 68,81

51,17 57,18 61,24 62,29 62,35 59,38 55,40 49,39 43,35 39,30 37,25 40,20 43,17 51,16
24,50 38,77 54,49 60,82 83,57

20,58 20,49 23,40 29,32 37,26 44,21 52,21 59,21 66,27 72,34 73,40 77,52 77,59
21,79 79,81
40,57 40,61
57,57 56,59

41,20 51,24 58,32 62,41 62,52 58,61 50,69 43,74 32,75
63,82 53,76 45,67 39,58 39,48 43,39 50,31 60,26 71,25
17,48 83,53

51,14 49,62 46,69 41,74 36,78 31,79 26,76 26,72 25,65
30,40 50,14 77,36
53,45 77,57 50,60

48,42 49,43 49,48 47,47 42,46 38,41 35,36 39,30 44,28 52,33 60,39 61,48 57,56 51,59 40,56 29,43 26,32 31,22 45,17
68,41 75,55 82,76

43,14 50,15 53,20 56,24 59,28 59,34 53,36 49,33 43,33 39,29 36,24 36,19 39,15 44,12
33,50 54,72 58,45 73,75 83,49

28,58 26,50 32,41 33,36 38,29 43,27 50,26 56,24 65,24 67,28 72,34 75,39 77,50
38,76 84,67
46,58 49,62
61,53 61,56

34,25 44,27 54,29 64,38 67,46 68,54 62,63 57,73 49,78
73,67 65,68 58,65 52,58 49,50 47,42 48,33 52,26 60,19
29,53 85,42

47,13 57,56 59,64 56,68 55,71 50,72 47,70 42,66 37,61
30,37 47,13 69,32
50,42 77,53 58,55
"""
