"""A picture on which a point can be dragged: the widget that shows it and says where the pointer is, and what lies there."""

from __future__ import annotations

import math
from pathlib import Path

import anywidget
from matplotlib.axes import Axes
from traitlets import Bytes, List, Unicode


class Map(anywidget.AnyWidget):
    """A picture with an area in which pressing and dragging, by mouse, pen or finger, are reported.

    The front end sends one report at a time and the latest of those that wait (it does so for every widget), so that
    a picture that is slow to draw is not left behind by the pointer.

    Attributes
    ----------
    value : bytes
        The picture's address.
    alt : str
        What it shows. Not a tooltip, which would cover the place that the pointer aims at.
    area : list of float
        Left, top, width and height of the area, as shares of the picture's width and height.
    pointer : list of float
        Where the pointer is, as shares of the picture's width (from the left) and height (from the top), and the time
        of the report in ms, which tells a second press at one place from the first.
    """

    _esm = Path(__file__).with_name("map.js")
    value = Bytes().tag(sync=True)
    alt = Unicode().tag(sync=True)
    area = List().tag(sync=True)
    pointer = List().tag(sync=True, echo_update=False)


def area(axes: Axes) -> list[float]:
    """Left, top, width and height of axes, as shares of the picture's width and height."""
    box = axes.get_position()
    return [float(share) for share in (box.x0, 1 - box.y1, box.width, box.height)]


def locate(axes: Axes, right: float, down: float) -> tuple[float, float]:
    """Coordinates, in the axes, of a place on the picture.

    Parameters
    ----------
    axes : Axes
        With fixed limits.
    right, down : float
        Shares of the picture's width, from the left, and of its height, from the top.

    Returns
    -------
    tuple of float
        x and y, rounded to the digit that is about a pixel; beyond the limits where the place is.
    """
    width, height = axes.get_figure(root=True).bbox.size
    pixel = [right * width, (1 - down) * height]
    here, next_ = axes.transData.inverted().transform([pixel, [pixel[0] + 1, pixel[1] + 1]])
    x, y = (round(float(at), -round(math.log10(abs(to - at)))) for at, to in zip(here, next_, strict=True))
    return x + 0.0, y + 0.0  # -0 becomes 0
