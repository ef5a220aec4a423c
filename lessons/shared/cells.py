"""The one place where tests run a lesson's own cells, so that no test keeps a copy of a figure's sliders."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import jupytext
import matplotlib
import nbformat
import torch
from IPython.core.inputtransformer2 import TransformerManager

import metautil.widgets
from metautil.widgets import Control, Scene

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class Ran(NamedTuple):
    """What a lesson's cells have left: the scenes with their controls, in the lesson's order, and the cells' names."""

    scenes: list[tuple[Scene, dict[str, Control]]]
    names: dict[str, Any]


def cells(lesson: Path) -> list[str]:
    """Sources of a lesson's code cells, with the solutions and without the lines that mark them.

    Parameters
    ----------
    lesson : Path
        The lesson's MyST Markdown.
    """
    sources = [cell.source for cell in jupytext.read(lesson, fmt="md:myst").cells if cell.cell_type == "code"]
    return [re.sub(r"(?m)^\s*#+ *(BEGIN|END) SOLUTION\s*\n?", "", source) for source in sources]


def printed(lesson: Path) -> str:
    """Text that the cells of the lesson's saved notebook have printed, all of it."""
    saved = nbformat.read(NOTEBOOKS / f"{lesson.stem}.ipynb", as_version=4)
    return "".join(output.get("text", "") for cell in saved.cells for output in cell.get("outputs", ()))


@cache
def ran(lesson: Path, until: str = r"(?<!def )\bshow\(", without: str = "(?!)") -> Ran:
    """Run a lesson's code cells, to the last that matches ``until``, without those that match ``without``.

    torch's number type and its number of threads are put back at the end. The cells run once a process.

    Parameters
    ----------
    lesson : Path
        The lesson's MyST Markdown.
    until : str
        Regular expression. By default it finds the cells that show a scene.
    without : str
        Regular expression. By default it finds nothing. It is for cells that take long and that no scene needs.

    Raises
    ------
    Exception
        What a cell raised; the traceback names the lesson and counts its code cells from 0.
    """
    sources = cells(lesson)
    wanted = max((i for i, source in enumerate(sources) if re.search(until, source)), default=-1)
    done = Ran([], {"__name__": "__main__"})
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    keep = patch.object(metautil.widgets, "show", lambda scene, **controls: done.scenes.append((scene, controls)))
    try:
        with keep, matplotlib.rc_context():
            for position, source in enumerate(sources[: wanted + 1]):
                if re.search(without, source):
                    continue
                code = TransformerManager().transform_cell(source)  # %magics are not Python
                exec(compile(code, f"{lesson.name}, code cell {position}", "exec"), done.names)
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
    return done


def shown(lesson: Path) -> list[tuple[Scene, dict[str, Control]]]:
    """Scenes that `metautil.widgets.show` would display, with their controls; see `ran`."""
    return ran(lesson).scenes
