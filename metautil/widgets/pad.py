"""Cells to draw in: the widget that turns the strokes of a mouse, a pen or a finger into lists of points."""

from __future__ import annotations

from pathlib import Path

import anywidget
from traitlets import List, Unicode


class Pad(anywidget.AnyWidget):
    """Cells to draw in, side by side, each with a button that clears it. The last one stands apart.

    Attributes
    ----------
    names, titles : list of str
        Of each cell its name, for those who do not see it, and what stands above it.
    drawings : list of list
        Of each cell its strokes; a stroke is a list of points (x, y), shares of the cell's width, from the left, and of its
        height, from the top. The browser sets them whenever a stroke ends or a cell is cleared.
    """

    _esm = Path(__file__).with_name("pad.js")
    names = List(Unicode()).tag(sync=True)
    titles = List(Unicode()).tag(sync=True)
    drawings = List().tag(sync=True, echo_update=False)
