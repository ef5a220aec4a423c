"""Make ``notebooks/`` from ``lessons/``: ``python -m tools.build [--only NN] [--force] [--check] [...]``.

Each lesson, one MyST Markdown text with its solutions inside, becomes two executed notebooks: what learners
open (``notebooks/NN_name.ipynb``, solutions cleared by nbgrader's own preprocessor) and the solved one
(``notebooks/solutions/NN_name.ipynb``). Only what changed is built again, and a notebook with changes that
are neither committed nor this program's own is never overwritten without ``--force``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tqdm import tqdm

from tools.course import ROOT, NotebookError, run
from tools.dependencies import names_used

IDENTITY = "metautil"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
KEPT_CELL_METADATA = ("tags", "nbgrader", "jupyter")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PLACEHOLDER = re.compile(r"\{\{([^\n]*?)\}\}")
CODE_CELL_OR_PLACEHOLDER = re.compile(
    rf"^(```+)\{{code-cell\}}.*?(?:^\1[ \t]*$|\Z)|{PLACEHOLDER.pattern}", re.DOTALL | re.MULTILINE
)
MARKER = re.compile(r"^\s*#+ *(BEGIN|END) SOLUTION\s*$")
LINK = re.compile(r'(\]\(|\b(?:src|href)=")(?![\w+.-]+:|[#/])([^)\s"]+)')
CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
MARKDOWN_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(\s*<?([^)\s>]*)>?(?:\s+\"[^\"]*\")?\s*\)")
CODE_OR_LINK = re.compile(f"{CODE.pattern}|{MARKDOWN_LINK.pattern}", CODE.flags)
MAKERS = "from tools import build; build.generate, build._executed"
"""What a notebook's outputs owe to this program, as `tools.dependencies` reads it."""


class BuildError(Exception):
    """The build cannot go on; the message says where, why, and what to do."""


# Text to cells


def fill(text: str, name: str) -> str:
    """Put stored results (`benchmarks.store.quote`) in place of ``{{file.case.metric}}``, code cells excepted."""
    from benchmarks.store import quote  # late: it takes a while

    def result(match: re.Match) -> str:
        if match[1]:
            return match[0]
        key = match[2].strip()
        try:
            return quote(key)
        except (LookupError, ValueError, OSError) as error:
            reason = str(error.args[0] if isinstance(error, KeyError) and error.args else error).rstrip(".")
            raise BuildError(
                f"{name}, line {text[: match.start()].count(chr(10)) + 1}: no stored result for {{{{{key}}}}} ({reason}). "
                f"Run its benchmark, or correct the key. Double braces always mean a stored result; in a formula, put a "
                f"space between the braces."
            ) from None

    return CODE_CELL_OR_PLACEHOLDER.sub(result, text)


def to_planned(target: str, there: Collection[str]) -> bool:
    """Whether a link leads to a lesson whose number is not ``there``."""
    number = re.match(r"(?:solutions/)?(\d\d)_\w+\.ipynb(?:#|$)", target)
    return number is not None and number[1] not in there


def planned(text: str, there: Collection[str]) -> str:
    """Put a lesson's text, and "(planned)", in place of a link to a lesson whose number, such as "03", is not ``there``."""

    def plain(match: re.Match) -> str:
        _, image, words, target = match.groups()
        return f"{words} (planned)" if target and not image and to_planned(target, there) else match[0]

    return CODE_OR_LINK.sub(plain, text)


def text_of(lesson: Path) -> str:
    """A lesson's source, filled, with links to lessons that have a source alone."""
    there = {path.name[:2] for path in sources(lesson.parent.parent)}
    return planned(fill(lesson.read_text(encoding="utf-8"), lesson.name), there)


def parse(text: str, name: str) -> list[NotebookNode]:
    """Markdown and code cells of a lesson's source, solutions and their markers included.

    Ids are such as ``l03-c007``, after the file's ``name`` and the cell's position; ``metadata["line"]`` is the source's line.
    """
    from jupytext.myst import myst_to_notebook

    try:
        source = myst_to_notebook(text, add_source_map=True)
    except Exception as error:  # jupytext and YAML have many; all mean that the text cannot be read
        raise BuildError(f"{name}: not a MyST Markdown notebook: {error}") from error
    cells = []
    for index, (cell, line) in enumerate(zip(source.cells, source.metadata["source_map"], strict=True)):
        if cell.cell_type == "raw":
            raise BuildError(f"{name}, line {line + 1}: a raw cell; lessons have Markdown and code cells only.")
        metadata = {key: cell.metadata[key] for key in KEPT_CELL_METADATA if key in cell.metadata}
        new = new_code_cell if cell.cell_type == "code" else new_markdown_cell
        identity = f"l{name[:2]}-c{index:03d}"
        cells.append(new(source=cell.source, id=identity, metadata=metadata | {"line": line + 1}))
    return cells


def generate(text: str, name: str, solved: bool) -> list[NotebookNode]:
    """Cells of the student's or of the solved version of a filled text, not executed; of the solved one only the markers go."""
    from nbgrader.preprocessors import ClearSolutions

    cells = parse(text, name)
    clear = ClearSolutions(enforce_metadata=False, code_stub={"python": "..."})
    clear.log.disabled = True  # it logs what it also raises
    for cell in cells:
        line = cell.metadata.pop("line")
        if cell.cell_type == "markdown":
            cell.source = _one_folder_down(cell.source) if solved else cell.source
            continue
        try:
            cleared, _ = clear.preprocess_cell(cell.copy(), {"language": "python"}, 0)
        except RuntimeError as error:
            raise BuildError(f"{name}, line {line}, cell {cell.id}: {error}") from error
        kept = [row for row in cell.source.split("\n") if not MARKER.match(row)]
        cell.source = "\n".join(kept) if solved else cleared.source
    return cells


def _one_folder_down(source: str) -> str:
    """Correct relative links for ``notebooks/solutions/``; those to lessons lead to the solved notebooks."""

    def moved(match: re.Match) -> str:
        opening, target = match.groups()
        if target.startswith("solutions/"):
            return opening + target.removeprefix("solutions/")
        return opening + (target if re.match(r"\d\d_\w+\.ipynb(#|$)", target) else f"../{target}")

    return "".join(part if i % 2 else LINK.sub(moved, part) for i, part in enumerate(CODE.split(source)))


# Whether a notebook is up to date


def digest(text: str, name: str, root: Path = ROOT) -> str:
    """Hash of what a lesson's notebooks depend on: filled text, names of the packages (below ``root``) it uses, this program."""
    cells = {f"{name}, cell {cell.id}": cell.source for cell in parse(text, name) if cell.cell_type == "code"}
    try:
        used = [names_used(cells, root), names_used({"": MAKERS}, ROOT, ("tools",))]
    except SyntaxError as error:
        raise BuildError(f"{error.filename}, line {error.lineno}: code that is not Python: {error.msg}") from error
    return hashlib.sha256(json.dumps([text, *used]).encode()).hexdigest()


def disagreements(lesson: Path, notebook: Path) -> list[str]:
    """What a saved notebook has that its lesson's source does not give, and the reverse, a line each."""
    if not notebook.exists():
        return [f"{notebook.name} is missing; run make notebooks"]
    saved = nbformat.read(notebook, as_version=4)
    expected = generate(text_of(lesson), lesson.name, _is_solved(notebook))
    found = []
    if len(saved.cells) != len(expected):
        found.append(f"{notebook.name}: {len(saved.cells)} cells, the source gives {len(expected)}")
    for index, (cell, wanted) in enumerate(zip(saved.cells, expected, strict=False)):
        for key in ("id", "cell_type", "source", "metadata"):
            if cell.get(key) != wanted[key]:
                found.append(f"{notebook.name}, cell {index}: {key} {cell.get(key)!r}; source: {wanted[key]!r}")
    return found


def _is_solved(notebook: Path) -> bool:
    return notebook.parent.name == "solutions"


# Executing and cleaning


def clean(notebook: NotebookNode) -> None:
    """Remove from an executed notebook what differs from run to run or from person to person.

    Widget views go: a saved view is dead, and hides the picture. Neighbouring pieces of one stream are joined: where
    the kernel cut them is a matter of timing.
    """
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA})
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
        CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
    kept = {"kernelspec": KERNEL, "language_info": {"name": "python"}, IDENTITY: notebook.metadata.get(IDENTITY, {})}
    notebook.metadata = nbformat.from_dict(kept)


# Writing, with care for what is there


def fingerprint(notebook: NotebookNode) -> str:
    """Hash of a notebook's cells; saved in its metadata, it tells the build's own work from somebody else's."""
    return hashlib.sha256(json.dumps(notebook.cells, sort_keys=True).encode()).hexdigest()


def _ours(notebook: Path) -> bool:
    """Whether the cells are as the build left them."""
    try:
        saved = nbformat.read(notebook, as_version=4)
        return saved.metadata[IDENTITY]["written"] == fingerprint(saved)
    except Exception:  # no notebook, as in `stale`, or none of this program
        return False


def refuse_to_lose_work(notebook: Path) -> None:
    """Raise BuildError if overwriting ``notebook`` would lose changes that are neither in git nor the build's own."""
    if not notebook.exists() or _ours(notebook):
        return
    ours = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}  # git sets them in hooks
    command = ["git", "status", "--porcelain", "--ignored", "--", notebook.name]
    try:
        state = subprocess.run(command, cwd=notebook.parent, env=ours, capture_output=True, text=True)
        committed = state.returncode == 0 and not state.stdout.strip()
    except OSError:  # no git on this machine
        committed = False
    if not committed:
        raise BuildError(
            f"{_short(notebook)} has changes that are not committed and that the build did not write: "
            f"overwriting it would lose them. Commit it, or undo them with git restore "
            f"{_short(notebook)}, or overwrite with make notebooks FORCE=1."
        )


def _short(path: Path) -> str:
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


# The build


def sources(folder: Path) -> list[Path]:
    """Sources of all lessons in the folder of lessons, in order."""
    return sorted(folder.glob("lesson_[0-9][0-9]/[0-9][0-9]_*.md"))


def lessons_in(folder: Path, only: str | None = None) -> list[Path]:
    """Sources of the lessons, in order; with ``only`` the one of that number (``3``, ``03`` or its name)."""
    found = sources(folder)
    number = only.zfill(2) if only and only.isdigit() else only
    chosen = [path for path in found if not number or number in (path.name[:2], path.name, path.stem)]
    if not chosen:
        there = ", ".join(path.stem for path in found) or "none"
        raise BuildError(f"No lesson {only or ''} in {_short(folder)}; there are: {there}.")
    return chosen


def notebooks_of(lesson: Path, out: Path) -> tuple[Path, Path]:
    """Where a lesson's notebooks are: the student's, the solved one."""
    return out / f"{lesson.stem}.ipynb", out / "solutions" / f"{lesson.stem}.ipynb"


def stale(lesson: Path, out: Path) -> str:
    """Why a lesson's notebooks must be built again; empty where they are up to date."""
    wanted = digest(text_of(lesson), lesson.name)
    for notebook in notebooks_of(lesson, out):
        if not notebook.exists():
            return f"{_short(notebook)} is missing"
        try:
            saved = nbformat.read(notebook, as_version=4)
        except Exception:  # cut off, merge markers, not JSON: nbformat and json have many names for it
            return f"{_short(notebook)} cannot be read"
        if saved.metadata.get(IDENTITY, {}).get("digest") != wanted:
            return "its text, a name that it uses, or the build changed"
        if disagreements(lesson, notebook):
            return f"{_short(notebook)} disagrees with its source"
    return ""


def build(
    lessons: Path = ROOT / "lessons", out: Path = ROOT / "notebooks", only: str | None = None, force: bool = False
) -> list[Path]:
    """Build the notebooks of every lesson that changed; with ``force`` of all, over whatever is there. Return what was written.

    At the first thing that is wrong it raises a BuildError; the lesson's old notebooks are then still there, whole.
    """
    from metautil.files import write_atomically  # late: torch takes a while

    versions = []
    for lesson in (path for path in lessons_in(lessons, only) if force or stale(path, out)):
        text, made = text_of(lesson), {}
        for path in notebooks_of(lesson, out):
            if not force:
                refuse_to_lose_work(path)
            identity = {"digest": digest(text, lesson.name)}
            cells = generate(text, lesson.name, _is_solved(path))
            made[path] = new_notebook(cells=cells, metadata={IDENTITY: identity})
        versions.append((lesson, made))
    steps = sum(cell.cell_type == "code" for _, made in versions for book in made.values() for cell in book.cells)
    done = []
    with tqdm(total=steps, unit="cell", disable=not steps) as bar:
        for lesson, made in versions:
            contents = {}
            for path, notebook in made.items():
                bar.set_description(f"{lesson.stem}{' (solved)' * _is_solved(path)}")
                path.parent.mkdir(parents=True, exist_ok=True)
                contents[path] = _executed(notebook, path, lesson, bar.update)
            for path in contents:
                if not force:  # someone may have saved it meanwhile
                    refuse_to_lose_work(path)
            for path, content in contents.items():
                write_atomically(path, content.encode())
            done += contents
    return done


def _executed(notebook: NotebookNode, path: Path, lesson: Path, on_cell: Callable[[], object]) -> str:
    """Execute, clean and serialise one notebook."""
    version = "solved" if _is_solved(path) else "student's"
    try:
        run(notebook, path.parent, on_cell=on_cell)
    except NotebookError as error:
        cell = notebook.cells[error.index]
        source = "\n".join(f"    {line}" for line in cell.source.splitlines())
        trace = f"\n{error.trace}" if error.trace else ""
        raise BuildError(
            f"{lesson.name}, {version} version, cell {cell.id}: {error.error}\n{source}{trace}\n"
            f"Nothing was written for {lesson.stem}."
        ) from None
    clean(notebook)
    notebook.metadata[IDENTITY]["written"] = fingerprint(notebook)
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.build", description="Make notebooks/ from lessons/.")
    parser.add_argument("--only", metavar="NN", help="the lesson of this number")
    parser.add_argument("--force", action="store_true", help="build all, and overwrite whatever is there")
    parser.add_argument("--check", action="store_true", help="only say what would be built; status 1 if anything")
    parser.add_argument("--preview", action="store_true", help="open it in JupyterLab afterwards")
    parser.add_argument("--lessons", type=Path, default=ROOT / "lessons", help="folder of the sources")
    parser.add_argument("--out", type=Path, default=ROOT / "notebooks", help="folder of the notebooks")
    options = parser.parse_args(arguments)
    try:
        lessons = lessons_in(options.lessons, options.only)
        if options.check:
            reasons = {lesson: stale(lesson, options.out) for lesson in lessons}
            for lesson, reason in reasons.items():
                print(f"{lesson.stem}: {f'would be built: {reason}' if reason else 'up to date'}")
            return int(any(reasons.values()))
        done = build(options.lessons, options.out, options.only, options.force)
        for path in done:
            print(f"built {_short(path)}")
        if not done:
            print("every notebook is up to date")
    except BuildError as error:
        print(f"make notebooks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make notebooks: interrupted; what was not finished is as it was before.", file=sys.stderr)
        return 130
    if options.preview:
        from tools import lab

        return lab.main([_short(notebooks_of(lessons[0], options.out)[0])])
    return 0


if __name__ == "__main__":
    sys.exit(main())
