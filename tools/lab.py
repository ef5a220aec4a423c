"""Start JupyterLab at one notebook: ``python -m tools.lab [notebook]``; reads ``PORT`` and ``NO_BROWSER``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from tornado.netutil import bind_sockets

ROOT = Path(__file__).resolve().parent.parent
START = "notebooks/00_start_here.ipynb"

# Lab asks the network for news and for newer versions of itself unless told not to; its extension manager
# would list packages from an index. The course needs none of them.
QUIET = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)

# Sliders answer at once: see tools/prompt.py.
PROMPT = "--ServerApp.kernel_websocket_connection_class=tools.prompt.PromptConnection"


def free_port(port: int = 0) -> int:
    """The port, if Lab's server can listen on it, or any such port for 0; an OSError says that it cannot."""
    sockets = bind_sockets(port, "localhost")
    try:
        return sockets[0].getsockname()[1]
    finally:
        for one in sockets:
            one.close()


def wrong_port(asked: str) -> str:
    """Why Lab cannot be started at the port that the user has asked for, and what to do; empty where it can."""
    if not (asked.isascii() and asked.isdigit() and 1024 <= int(asked) <= 65535):
        return f"PORT={asked} is not usable: give a whole number from 1024 to 65535, for example PORT=8899."
    try:
        free_port(int(asked))
    except OSError:  # Lab would say it too, as the last of forty lines
        other = free_port()
        return f"Port {asked} is taken by another program. Port {other} is free: `make lab PORT={other}`."
    return ""


def lab_command(notebook: str, port: str = "", browser: bool = True) -> list[str]:
    """The command that starts Lab at ``notebook`` (a path below the course's folder); without a port Lab finds a free one.

    The token that protects the server is kept. Containers run as root, which Lab refuses unless told.
    """
    command = [sys.executable, "-m", "jupyterlab", *QUIET, PROMPT]
    command += [f"--port={port}", "--ServerApp.port_retries=0"] if port else []
    # Not as a bare file name: Lab would then show the notebook's own folder only, and print an address
    # that does not lead to the notebook.
    command += [f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{quote(notebook)}"]
    command += [] if browser else ["--no-browser"]
    return [*command, "--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else command


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Start Lab and stay until it ends; return the exit status."""
    parser = argparse.ArgumentParser(description="Start JupyterLab at one notebook of the course.")
    parser.add_argument("notebook", nargs="?", default=START)
    notebook = parser.parse_args(arguments).notebook
    port = environment.get("PORT", "").strip()
    wrong = port and wrong_port(port)
    if not (ROOT / notebook).is_file():
        wrong = f"There is no {notebook}. Make it with `make notebooks`, or open another one."
    if wrong:
        print(wrong, file=sys.stderr)
        return 1
    command = lab_command(notebook, port, browser=environment.get("NO_BROWSER", "") in ("", "0"))
    where = f"port {port}" if port else "its address follows"
    print(f"Starting JupyterLab at {notebook} ({where}; stop it with Ctrl-C).", flush=True)
    os.chdir(ROOT)
    # Lab's own sub-commands and nbgrader look on PATH for the environment's programs.
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    if os.name == "posix":
        os.execv(command[0], command)  # Lab takes over this process: signals reach it directly
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
