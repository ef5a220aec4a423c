"""The one place where tests run a lesson's own cells, so that no test keeps a copy of a figure's sliders."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from unittest.mock import patch

import jupytext
import matplotlib
import torch
from IPython.core.inputtransformer2 import TransformerManager

import metautil.widgets
from metautil.widgets import Control, Scene


def cells(lesson: Path) -> list[str]:
    """Sources of a lesson's code cells, with the solutions and without the lines that mark them.

    Parameters
    ----------
    lesson : Path
        The lesson's MyST Markdown.
    """
    sources = [cell.source for cell in jupytext.read(lesson, fmt="md:myst").cells if cell.cell_type == "code"]
    return [re.sub(r"(?m)^\s*#+ *(BEGIN|END) SOLUTION\s*\n?", "", source) for source in sources]


@cache
def shown(lesson: Path) -> list[tuple[Scene, dict[str, Control]]]:
    """Run a lesson's code cells, to the last that shows a scene, and return the scenes with their controls.

    Scenes that `metautil.widgets.show` would display, in the lesson's order. torch's number type and its number of threads
    are put back at the end. The cells run once a process.

    Parameters
    ----------
    lesson : Path
        The lesson's MyST Markdown.

    Raises
    ------
    Exception
        What a cell raised; the traceback names the lesson and counts its code cells from 0.
    """
    sources = cells(lesson)
    wanted = max((i for i, source in enumerate(sources) if re.search(r"(?<!def )\bshow\(", source)), default=-1)
    found: list[tuple[Scene, dict[str, Control]]] = []
    names = {"__name__": "__main__"}
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    keep = patch.object(metautil.widgets, "show", lambda scene, **controls: found.append((scene, controls)))
    try:
        with keep, matplotlib.rc_context():
            for position, source in enumerate(sources[: wanted + 1]):
                code = TransformerManager().transform_cell(source)  # %magics are not Python
                exec(compile(code, f"{lesson.name}, code cell {position}", "exec"), names)
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
    return found
