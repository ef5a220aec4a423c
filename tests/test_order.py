"""Any cell can be run again at any time: after the end of a lesson its figures, in the opposite order, say what they said."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import nbformat
import pytest

from tools import build
from tools.course import run

pytestmark = pytest.mark.deep
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
ONCE_ONLY = {
    "l00-c027": "draws its twelve scans from the lesson's one generator",
    "l02-c009": "a later section names other numbers `labels`",
    "l04-c039": "a later section names another run `walks`",
    "l07-c065": "draws its ten scans from the lesson's one generator",
    "l11-c039": "a later section names an amplitude `A`",
}
"""Figures of lessons that have not been revised: what they say depends on when they are run. This list only shrinks."""


def said(cell: nbformat.NotebookNode) -> list[str]:
    return [
        output.text if "text" in output else output.get("data", {}).get("text/plain", "") for output in cell.outputs
    ]


def moved(notebook: nbformat.NotebookNode) -> list[str]:
    """Run a notebook, then its figures once more, the last first; the ids of those that say something else."""
    figures = [cell for cell in notebook.cells if "figure" in cell.metadata.get("tags", ())]
    again = [deepcopy(cell) for cell in reversed(figures)]
    for cell in again:
        cell.id += "-again"
        cell.source = (
            f"try:\n    exec({cell.source!r})\nexcept Exception as error:\n    print('It raised', type(error).__name__)"
        )
    run(nbformat.v4.new_notebook(cells=[*notebook.cells, *again]), NOTEBOOKS)
    return sorted(
        first.id for first, second in zip(reversed(figures), again, strict=True) if said(first) != said(second)
    )


@pytest.mark.parametrize("lesson", build.lessons_in(build.ROOT / "lessons"), ids=lambda path: path.stem)
def test_figures_say_the_same_in_another_order(lesson):
    solved = nbformat.read(build.notebooks_of(lesson, NOTEBOOKS)[1], as_version=4)
    assert moved(solved) == [cell for cell in ONCE_ONLY if cell.startswith(f"l{lesson.name[:2]}-")]


def test_it_bites():
    code = ["n = 0", "n += 1\nprint(n)", "print('steady')"]
    cells = [
        nbformat.v4.new_code_cell(source, id=f"c{i}", metadata={"tags": ["figure"] if i else []})
        for i, source in enumerate(code)
    ]
    assert moved(nbformat.v4.new_notebook(cells=cells)) == ["c1"]
