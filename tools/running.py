"""Run a notebook in a fresh kernel of this interpreter; what `tools.build` and `tools.course` share."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets import default

SAVED_BARS = {"TQDM_BAR_FORMAT": "{desc}: progress bar, {total_fmt} steps"}
"""tqdm's own setting, for kernels whose outputs are saved or compared. A notebook keeps the text with which a bar began,
so this one says nothing of how far it is, and nothing of the time. In JupyterLab bars are as usual."""
MEGABYTE = 2**20
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """A cell failed.

    Attributes
    ----------
    index : int
        Position of the cell among all cells of the notebook.
    error : str
        Name and message of the first error, one line.
    trace : str
        The traceback without colours; empty where the kernel died.
    """

    def __init__(self, index: int, error: str, trace: str = "") -> None:
        super().__init__(error)
        self.index, self.error, self.trace = index, error, trace


PATIENCE = 120
"""Seconds that a cell may take. No lesson's cell comes near; a kernel whose answer was lost would be waited for for ever."""


@dataclass
class Run:
    """What a run took: wall-clock seconds, and the kernel's peak resident memory in MB (of 2²⁰ bytes)."""

    seconds: float = 0.0
    peak: float = 0.0


class _SpecsHere(KernelSpecManager):
    """Every kernel name means this interpreter, whatever kernels the user has registered elsewhere."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


class _KernelHere(AsyncKernelManager):
    @default("kernel_spec_manager")
    def _specs_of_this_interpreter(self) -> _SpecsHere:
        return _SpecsHere(parent=self)


class _Client(NotebookClient):
    """Remembers every error message, those that an Output widget swallows included."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.first_error: NotebookError | None = None

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        if msg["msg_type"] == "error" and self.first_error is None:
            content = msg["content"]
            trace = COLOURS.sub("", "\n".join(content["traceback"]))
            self.first_error = NotebookError(cell_index, f"{content['ename']}: {content['evalue']}", trace)
        return super().process_message(msg, cell, cell_index)


def run(
    notebook: NotebookNode,
    folder: Path,
    on_cell: Callable[[], object] = lambda: None,
    taken: Run | None = None,
) -> Run:
    """Execute ``notebook`` in place.

    Parameters
    ----------
    notebook : NotebookNode
        Its outputs are replaced.
    folder : Path
        Working directory of the kernel.
    on_cell : callable
        Called after each code cell.
    taken : Run, optional
        Filled in, so that a caller has it also after an error.

    Returns
    -------
    Run
        ``taken``, or a new one.

    Raises
    ------
    NotebookError
        At the first error, also one inside a widget's callback, where Jupyter itself would go on.
    """
    taken = Run() if taken is None else taken
    start = time.perf_counter()
    ended = threading.Event()
    at = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = _Client(
        notebook,
        kernel_manager_class=_KernelHere,
        kernel_name="python3",
        timeout=PATIENCE,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors only: no warning about local TCP at each start
        on_cell_execute=lambda cell_index, **_: started(cell_index),
        on_cell_executed=lambda **_: measured(),
    )

    def started(index: int) -> None:
        nonlocal at
        at = index

    def measured() -> None:
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
        client.execute(env=os.environ | SAVED_BARS)
        if client.first_error is not None:
            raise client.first_error
    except CellExecutionError as error:
        raise client.first_error or NotebookError(at, f"{error.ename}: {error.evalue}", error.traceback) from None
    except CellTimeoutError:
        raise client.first_error or NotebookError(at, f"the kernel did not answer within {PATIENCE} s") from None
    except DeadKernelError as error:
        raise NotebookError(at, f"{error}: out of memory, or a crash in compiled code") from None
    except AssertionError:  # what nbclient stumbles over when Ctrl-C or SIGTERM has made it close the kernel
        if client.kc is None or client.km is None:
            raise KeyboardInterrupt from None
        raise
    finally:
        ended.set()
        watcher.join()
        taken.seconds = time.perf_counter() - start
    return taken


def _memory(client: NotebookClient) -> float:
    """Peak memory of the kernel so far in MB; what it holds now where the system keeps no peak."""
    try:
        process = client.km.provisioner.process.pid
        status = Path(f"/proc/{process}/status")
        if status.exists():
            peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
            return int(peak.group(1)) / 1024 if peak else 0.0
        memory = psutil.Process(process).memory_info()
        return getattr(memory, "peak_wset", memory.rss) / MEGABYTE
    except (AttributeError, OSError, psutil.Error):  # not started yet, or just ended
        return 0.0
