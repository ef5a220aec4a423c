"""Run every notebook without a screen: ``python -m tools.course [--solutions] [notebook ...]``.

Each runs in a fresh kernel, from its own folder; the saved files are not touched. One line a notebook on
standard output (name, seconds, peak memory, ok or failed), then a summary; the progress bar is on standard
error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from tqdm import tqdm

from tools.build import ROOT
from tools.running import NotebookError, Run, run


def chosen(folder: Path, solutions: bool) -> list[Path]:
    """Notebooks to run, in order: those learners open, then with ``solutions`` the solved ones."""
    return sorted(folder.glob("*.ipynb")) + (sorted((folder / "solutions").glob("*.ipynb")) if solutions else [])


def try_out(path: Path, on_cell: Callable[[], object] = lambda: None) -> tuple[Run, str]:
    """Run one notebook.

    Parameters
    ----------
    path : Path
        The notebook; it is not changed.
    on_cell : callable
        Called after each code cell.

    Returns
    -------
    Run
        Seconds and peak memory, zero where it could not be read.
    str
        The first error with its cell, one line; empty where all went well.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # cut off, merge markers, not JSON: nbformat and json have many names for it
        return Run(), f"cannot be read as a notebook: {type(error).__name__}"
    taken = Run()
    try:
        run(notebook, path.parent, on_cell, taken)
    except NotebookError as error:
        cell = notebook.cells[error.index]
        return taken, f"cell {cell.get('id', error.index)}: {' '.join(error.error.split())}"
    return taken, ""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status: 1 if a notebook failed, 2 if there was none."""
    parser = argparse.ArgumentParser(prog="python -m tools.course", description="Run every notebook.")
    parser.add_argument("--solutions", action="store_true", help="the solved notebooks too")
    parser.add_argument("--folder", type=Path, default=ROOT / "notebooks", help="where the notebooks are")
    parser.add_argument("notebooks", nargs="*", type=Path, help="only these")
    options = parser.parse_args(arguments)
    paths = options.notebooks or chosen(options.folder, options.solutions)
    missing = [str(path) for path in paths if not path.exists()]
    if missing or not paths:
        print(
            f"No notebook {', '.join(missing) or f'in {options.folder}'}. make notebooks builds them.",
            file=sys.stderr,
        )
        return 2
    try:
        return _run_all(paths)
    except KeyboardInterrupt:
        print("make course: interrupted.", file=sys.stderr)
        return 130


def _run_all(paths: list[Path]) -> int:
    width = max(len(_name(path)) for path in paths)
    start, failed = time.perf_counter(), 0
    with tqdm(total=sum(map(_steps, paths)), unit="cell") as bar:
        for path in paths:
            bar.set_description(_name(path))
            taken, error = try_out(path, bar.update)
            failed += bool(error)
            result = f"failed: {error}" if error else "ok"
            bar.clear()
            print(f"{_name(path):{width}}  {taken.seconds:6.1f} s  {taken.peak:6.0f} MB  {result}", flush=True)
    outcome = f"{failed} failed" if failed else "all ok"
    count = f"{len(paths)} notebook{'s' * (len(paths) != 1)}"
    print(f"{count} in {time.perf_counter() - start:.1f} s: {outcome}", flush=True)
    return int(failed > 0)


def _name(path: Path) -> str:
    return f"solutions/{path.stem}" if path.parent.name == "solutions" else path.stem


def _steps(path: Path) -> int:
    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception:  # reported when its turn comes
        return 0
    return sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
