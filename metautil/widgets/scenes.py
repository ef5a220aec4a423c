"""Figures with moving parts, drawn frame by frame: a frame is a picture and one line of text, and depends on its values alone.

Only the moving parts are drawn again from frame to frame. Everything else is drawn once, kept as pixels, and put back under
them, which makes a frame several times cheaper than ``savefig`` without leaving anything out.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

LIVE, STILL = 1, 9  # PNG compression: quick to write while a slider moves, small in a saved notebook


class Handle(NamedTuple):
    """A point that can be dragged on a figure: axes with fixed limits, and the names of the two sliders that place it there."""

    axes: Axes
    x: str
    y: str


@dataclass
class Scene:
    """A figure with moving parts.

    Parameters
    ----------
    figure : Figure
        Complete at construction. Its layout is settled then, once, so that nothing shifts when a slider moves.
    moving : sequence of Artist
        The artists that ``move`` changes. They are drawn above everything else in the figure, in their own zorder (list a
        legend here too if they must pass beneath it). If ``move`` changes anything beside them (axis limits, a title), the
        whole figure is drawn again: right, only slower.
    move : callable
        ``move(**values) -> str`` sets the moving artists and returns the read-out: one line with the numbers that the frame
        computed. It sets everything that it changes anew each time, so that a frame depends on nothing but its values.
    alt : str
        What the picture shows, for those who do not see it.
    handle : Handle, optional
        Two sliders that can also be set by dragging on the picture.

    Raises
    ------
    ValueError
        If a moving artist or the handle's axes are not in the figure, the figure is transparent, or ``alt`` is empty.
    """

    figure: Figure
    moving: Sequence[Artist]
    move: Callable[..., str]
    alt: str
    handle: Handle | None = None
    _background: object = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError("Scene: alt is empty; describe in a sentence what the picture shows.")
        for artist in self.moving:
            if artist.get_figure(root=True) is not self.figure:
                raise ValueError(f"Scene: the moving artist {artist} is not part of the scene's figure.")
            artist.set_animated(True)  # left out of the background; its changes do not make the figure stale
        if self.handle and self.handle.axes not in self.figure.axes:
            raise ValueError("Scene: the axes of the handle are not part of the scene's figure.")
        if self.figure.patch.get_facecolor()[3] != 1:
            raise ValueError("Scene: the figure is transparent; give it an opaque facecolor.")
        pyplot.close(self.figure)  # the notebook must not show it a second time by itself
        FigureCanvasAgg(self.figure)
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def draw(self, compress_level: int, **values: object) -> tuple[bytes, str]:
        """Move the artists, draw the frame, and return it as PNG together with the read-out."""
        readout = self.move(**values)
        if not isinstance(readout, str) or not readout.strip() or "\n" in readout:
            raise TypeError(f"Scene: move returned {readout!r}; expected one line of text with the frame's numbers.")
        canvas = self.figure.canvas
        for axes in self.figure.axes:
            axes.get_xlim()  # runs a pending autoscale, which makes the figure stale if it changes anything
        if self._background is None or self.figure.stale:
            canvas.draw()
            self._background = canvas.copy_from_bbox(self.figure.bbox)
        else:
            canvas.restore_region(self._background)
        renderer = canvas.get_renderer()
        for artist in sorted(self.moving, key=_depth):
            artist.draw(renderer)
        self.figure.stale = False
        file = io.BytesIO()
        size = canvas.get_width_height(physical=True)
        picture = Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
        picture.save(file, format="PNG", compress_level=compress_level)
        return file.getvalue(), readout


def _depth(artist: Artist) -> tuple[float, float]:
    return (math.inf if artist.axes is None else artist.axes.get_zorder(), artist.get_zorder())


def frame(scene: Scene, **values: object) -> tuple[bytes, str]:
    """The still picture of a scene: ``(PNG, read-out)``, which depend on the values alone."""
    return scene.draw(STILL, **values)
