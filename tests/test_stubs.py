"""The students' notebooks: what differs from the solved ones, run here; all else is run, and compared, as part of those."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from tools import build

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
UNANSWERED = re.compile(r"(Exercise|Challenge) [\d.]+: not attempted yet\. [^\n]+\n")


def pairs(lesson: Path) -> list[tuple[nbformat.NotebookNode, nbformat.NotebookNode]]:
    """A lesson's code cells, of the student's and of the solved notebook, as saved."""
    student, solved = (nbformat.read(path, as_version=4).cells for path in build.notebooks_of(lesson, NOTEBOOKS))
    assert [cell.id for cell in student] == [cell.id for cell in solved]
    return [pair for pair in zip(student, solved, strict=True) if pair[0].cell_type == "code"]


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "?") for output in cell.outputs)


def wrong(cells: list[tuple[nbformat.NotebookNode, nbformat.NotebookNode]], capsys) -> list[str]:
    """Ids of cells whose saved output is not what they print, or which differ in another way than an exercise may.

    An exercise stands on the lesson's imports and nothing else; so it is run on these.
    """
    found, scope = [], {"__name__": "__main__"}
    for asked, answered in cells:
        if asked.source == answered.source:
            code = "\n".join(line for line in asked.source.split("\n") if not line.startswith(("%", "!")))
            imports = [node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), asked.id, "exec"), scope)
            good = asked.outputs == answered.outputs
        else:
            exec(compile(asked.source, asked.id, "exec"), scope)
            good = capsys.readouterr().out == printed(asked) and UNANSWERED.fullmatch(printed(asked))
        found += [] if good else [asked.id]
    return found


@pytest.mark.parametrize("lesson", build.lessons_in(build.ROOT / "lessons"), ids=lambda path: path.stem)
def test_stubs_print_what_is_saved_and_all_else_is_as_in_the_solved_notebook(lesson, capsys):
    cells = pairs(lesson)
    assert any(asked.source != answered.source for asked, answered in cells), "no exercise"
    assert wrong(cells, capsys) == []


def test_it_bites(capsys):
    """Another output, another cell, an exercise that prints something else: each is found."""
    cells = pairs(build.lessons_in(build.ROOT / "lessons")[0])
    assert wrong(cells, capsys) == []
    stub = next(at for at, (asked, answered) in enumerate(cells) if asked.source != answered.source)
    figure = max(at for at, (asked, _) in enumerate(cells[:stub]) if asked.outputs)
    cells[stub][0].outputs[0].text += "and more\n"
    cells[figure][0].outputs = []
    cells[0][0].source += "\na = 1"
    assert wrong(cells, capsys) == [cells[at][0].id for at in (0, figure, stub)]
