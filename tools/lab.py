"""Start JupyterLab at one notebook: ``python -m tools.lab [notebook]``; reads ``PORT`` and ``NO_BROWSER``."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT = 8888
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


class LabError(Exception):
    """Lab cannot be started; the message says why and what to do."""


def is_free(port: int) -> bool:
    """Return whether a server can listen on ``port`` of this machine (IPv4, and IPv6 where there is one)."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            listener = socket.socket(family, socket.SOCK_STREAM)
        except OSError:  # no such family here
            continue
        with listener:
            if os.name == "posix":
                # As Lab's server does: a port whose last connection has just closed counts as free.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, port))
                listener.listen(1)
            except OSError:
                if family == socket.AF_INET6 and not _has_ipv6():
                    continue
                return False
    return True


def _has_ipv6() -> bool:
    """Return whether this machine has a loopback address of IPv6."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def free_port(first: int = FIRST_PORT) -> int:
    """Return the first free port from ``first`` on.

    Raises
    ------
    LabError
        Where a hundred ports in a row are taken.
    """
    for port in range(first, min(first + 100, 65536)):
        if is_free(port):
            return port
    raise LabError(f"No free port from {first} on. Name one yourself: `make lab PORT=9999`.")


def choose_port(asked: str) -> int:
    """Return the port to use: the asked one, or the first free one from 8888 where ``asked`` is empty.

    Raises
    ------
    LabError
        Where the asked port is not a port number, or is taken.
    """
    if not asked:
        return free_port()
    if not (asked.isascii() and asked.isdigit() and 1024 <= int(asked) <= 65535):
        raise LabError(f"PORT={asked} is not usable: give a whole number from 1024 to 65535, for example PORT=8899.")
    port = int(asked)
    if not is_free(port):
        other = free_port(port + 1 if port < 65000 else FIRST_PORT)
        raise LabError(f"Port {port} is taken by another program. Port {other} is free: `make lab PORT={other}`.")
    return port


def lab_command(notebook: str, port: int, browser: bool = True) -> list[str]:
    """Return the command that starts Lab at ``notebook`` (a path below the course's folder).

    The token that protects the server is kept. Containers run as root, which Lab refuses unless told.
    """
    command = [sys.executable, "-m", "jupyterlab", f"--port={port}", "--ServerApp.port_retries=0", *QUIET, PROMPT]
    # Not as a bare file name: Lab would then show the notebook's own folder only, and print an address
    # that does not lead to the notebook.
    command += [f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{quote(notebook)}"]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Start Lab and stay until it ends; return the exit status."""
    parser = argparse.ArgumentParser(description="Start JupyterLab at one notebook of the course.")
    parser.add_argument("notebook", nargs="?", default=START)
    notebook = parser.parse_args(arguments).notebook
    if not (ROOT / notebook).is_file():
        print(f"There is no {notebook}. Make it with `make notebooks`, or open another one.", file=sys.stderr)
        return 1
    try:
        port = choose_port(environment.get("PORT", "").strip())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    browser = environment.get("NO_BROWSER", "") in ("", "0")
    command = lab_command(notebook, port, browser)
    print(f"Starting JupyterLab at {notebook} (port {port}; stop it with Ctrl-C).", flush=True)
    os.chdir(ROOT)
    # Lab's own sub-commands and nbgrader look on PATH for the environment's programs.
    programs = str(Path(sys.executable).parent)
    os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", "")
    if os.name == "posix":
        os.execv(command[0], command)  # Lab takes over this process: signals reach it directly
    import subprocess

    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
