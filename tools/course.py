"""Run notebooks in fresh kernels of this interpreter; ``python -m tools.course [--solutions] [notebook ...]`` runs them all.

Each runs from its own folder; the saved files are not touched. One line a notebook on standard output (name, seconds, peak
memory, ok or failed), then a summary; the progress bar is on standard error.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
SAVED_BARS = {"TQDM_BAR_FORMAT": "{desc}: progress bar, {total_fmt} steps"}
"""tqdm's own setting, for kernels whose outputs are saved or compared. A notebook keeps the text with which a bar began,
so this one says nothing of how far it is, and nothing of the time. In JupyterLab bars are as usual."""
PATIENCE = 120
"""Seconds that a cell may take. No lesson's cell comes near; a kernel whose answer was lost would be waited for for ever."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """The cell at ``index`` failed: name and message of the first error in one line, and its traceback, if there is one."""

    def __init__(self, index: int, error: str, trace: str = "") -> None:
        super().__init__(error)
        self.index, self.error, self.trace = index, error, trace


@dataclass
class Run:
    """What a run took: wall-clock seconds, and the kernel's peak resident memory in MB (of 2²⁰ bytes)."""

    seconds: float = 0.0
    peak: float = 0.0


class _Client(NotebookClient):
    """Knows the cell it is at, and the first error message of all, those that an Output widget swallows included."""

    at, first_error = 0, None

    def failed(self, error: str, trace: str = "") -> NotebookError:
        return self.first_error or NotebookError(self.at, error, trace)

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        if msg["msg_type"] == "error" and self.first_error is None:
            content = msg["content"]
            trace = COLOURS.sub("", "\n".join(content["traceback"]))
            self.first_error = NotebookError(cell_index, f"{content['ename']}: {content['evalue']}", trace)
        return super().process_message(msg, cell, cell_index)


def run(
    notebook: NotebookNode, folder: Path, on_cell: Callable[[], object] = lambda: None, taken: Run | None = None
) -> None:
    """Execute ``notebook`` in place, from ``folder``; ``on_cell`` is called after each code cell.

    ``taken`` is filled in, also where a NotebookError is raised: at the first error, even one inside a widget's callback,
    where Jupyter itself would go on.
    """
    taken, start, ended = taken or Run(), time.perf_counter(), threading.Event()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = _Client(
        notebook,
        # Without folders to look into, "python3" is this interpreter, whatever kernels the user has registered.
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])),
        timeout=PATIENCE,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors only: no warning about local TCP at each start
        on_cell_execute=lambda cell_index, **_: setattr(client, "at", cell_index),
        on_cell_executed=lambda **_: executed(),
    )

    def executed() -> None:
        taken.peak = max(taken.peak, _memory(client))
        on_cell()
        if client.first_error is not None:
            raise client.first_error

    def watch() -> None:
        while not ended.wait(0.2):
            taken.peak = max(taken.peak, _memory(client))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        client.execute(env=os.environ | SAVED_BARS, cleanup_kc=True)
        if client.first_error is not None:
            raise client.first_error
    except CellExecutionError as error:
        raise client.failed(f"{error.ename}: {error.evalue}", error.traceback) from None
    except CellTimeoutError:
        raise client.failed(f"the kernel did not answer within {PATIENCE} s") from None
    except DeadKernelError as error:
        raise client.failed(f"{error}: out of memory, or a crash in compiled code") from None
    except AssertionError:  # what nbclient stumbles over when Ctrl-C or SIGTERM has made it close the kernel
        if client.kc is None or client.km is None:
            raise KeyboardInterrupt from None
        raise
    finally:
        ended.set()
        watcher.join()
        taken.seconds = time.perf_counter() - start


def _memory(client: NotebookClient) -> float:
    """Peak memory of the kernel so far in MB; what it holds now where the system keeps no peak."""
    try:
        process = psutil.Process(client.km.provisioner.process.pid)
        status = Path(f"/proc/{process.pid}/status")
        if peak := status.exists() and re.search(r"VmHWM:\s*(\d+) kB", status.read_text()):
            return int(peak[1]) / 1024
        memory = process.memory_info()
        return getattr(memory, "peak_wset", memory.rss) / 2**20
    except (AttributeError, OSError, psutil.Error):  # not started yet, or just ended
        return 0.0


# All of them


def chosen(folder: Path, solutions: bool) -> list[Path]:
    """Notebooks to run, in order: those learners open, then with ``solutions`` the solved ones."""
    return sorted(folder.glob("*.ipynb")) + (sorted((folder / "solutions").glob("*.ipynb")) if solutions else [])


def try_out(notebook: NotebookNode | str, path: Path, on_cell: Callable[[], object]) -> tuple[Run, str]:
    """Run one notebook as `_read` gives it; what that took, and the first error with its cell, empty where all went well."""
    taken = Run()
    if isinstance(notebook, str):
        return taken, notebook
    try:
        run(notebook, path.parent, on_cell, taken)
    except NotebookError as error:
        cell = notebook.cells[error.index]
        return taken, f"cell {cell.get('id', error.index)}: {' '.join(error.error.split())}"
    return taken, ""


def _read(path: Path) -> NotebookNode | str:
    """A notebook, or why there is none."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # cut off, merge markers, not JSON: nbformat and json have many names for it
        return f"cannot be read as a notebook: {type(error).__name__}"


def _run_all(paths: list[Path]) -> int:
    names = [f"solutions/{path.stem}" if path.parent.name == "solutions" else path.stem for path in paths]
    notebooks = [_read(path) for path in paths]
    cells = [cell for notebook in notebooks if not isinstance(notebook, str) for cell in notebook.cells]
    start, failed, width = time.perf_counter(), 0, max(map(len, names))
    with tqdm(total=sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in cells), unit="cell") as bar:
        for name, notebook, path in zip(names, notebooks, paths, strict=True):
            bar.set_description(name)
            taken, error = try_out(notebook, path, bar.update)
            failed += bool(error)
            result = f"failed: {error}" if error else "ok"
            bar.clear()
            print(f"{name:{width}}  {taken.seconds:6.1f} s  {taken.peak:6.0f} MB  {result}", flush=True)
    count = f"{len(paths)} notebook{'s' * (len(paths) != 1)}"
    print(f"{count} in {time.perf_counter() - start:.1f} s: {f'{failed} failed' if failed else 'all ok'}", flush=True)
    return int(failed > 0)


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
        where = ", ".join(missing) or f"in {options.folder}"
        print(f"No notebook {where}. make notebooks builds them.", file=sys.stderr)
        return 2
    try:
        return _run_all(paths)
    except KeyboardInterrupt:
        print("make course: interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
