"""JupyterLab and a headless browser for tests and benchmarks: the project's own Lab, nothing from outside.

The Lab process and its kernels run in an empty home (but for the images that the course generates) and under an audit
hook that refuses every connection and name look-up beyond this machine and writes it down; the browser resolves no other
host and lists what it asked for. One page serves all notebooks, one after another: to load JupyterLab anew for each takes
longer than most of them.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from metautil.datasets.cache import cache_root
from tools.lab import PROMPT

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

GUARD = """
import os, sys

def _guard(event, arguments):
    if event not in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        return
    target = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    host = target[0] if isinstance(target, tuple) else target if event.startswith("socket.get") else None
    host = host.decode() if isinstance(host, bytes) else host
    here = ("localhost", "::1", "0.0.0.0", "::", os.uname().nodename)
    if not host or host in here or host.startswith("127."):
        return
    with open(os.environ["METAUTIL_ATTEMPTS"], "a") as file:
        file.write(f"{event} {host}\\n")
    raise OSError(f"the test's guard refused {event} to {host}")

sys.addaudithook(_guard)
"""

SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


@dataclass
class Lab:
    """A running JupyterLab: its address, the folder that it serves, and what its guard refused."""

    url: str
    token: str
    folder: Path
    attempts: Path

    def refused(self) -> list[str]:
        """Attempts by Lab or a kernel to reach another machine."""
        return self.attempts.read_text().splitlines() if self.attempts.exists() else []


@contextmanager
def start_lab(home: Path, timeout: float = 60) -> Iterator[Lab]:
    """Start JupyterLab from this very environment, in an empty home below ``home``; stop it at the end."""
    folder, guard, settings = home / "course", home / "guard", home / "settings"
    for path in (folder, guard, settings, home / "home"):
        path.mkdir(parents=True, exist_ok=True)
    (guard / "sitecustomize.py").write_text(GUARD)
    for name, values in SETTINGS.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    lab = Lab(f"http://127.0.0.1:{port}", token, folder, home / "attempts.txt")
    names = "HOME JUPYTER_CONFIG_DIR JUPYTER_DATA_DIR JUPYTER_RUNTIME_DIR JUPYTERLAB_WORKSPACES_DIR IPYTHONDIR METAUTIL_DATA"
    environment = os.environ | {name: str(home / name.lower()) for name in names.split()}
    environment |= {
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "METAUTIL_ATTEMPTS": str(lab.attempts),
        "METAUTIL_CACHE": str(cache_root()),
        "PYTHONPATH": os.pathsep.join([str(guard), str(ROOT)]),
    }
    for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "MPLBACKEND", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0"]
    command += ["--LabApp.expose_app_in_browser=True", PROMPT]
    with open(home / "lab.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(lab, process, home / "lab.log", timeout)
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(lab: Lab, process: subprocess.Popen, log: Path, timeout: float) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + timeout
    while time.monotonic() < end and process.poll() is None:
        try:
            direct.open(f"{lab.url}/api/status?token={lab.token}", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not answer within {timeout} s:\n{log.read_text()[-3000:]}")


def missing_browser() -> str | None:
    """Why no browser can be driven here, or None if one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed: pip install playwright"
    if executable() is None:
        return "no chromium on PATH: install Debian's package chromium, or set METAUTIL_CHROMIUM to its path"
    return None


def executable() -> str | None:
    """The path of Chromium, or None."""
    names = [os.environ.get("METAUTIL_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


@dataclass
class Chromium:
    """A page of a headless browser that resolves loopback addresses only, and every address that it was asked for."""

    page: object
    requests: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Requests, web sockets included, for another machine."""
        local = LOOPBACK | {None}  # None: data: and blob: addresses have no host
        return [url for url in self.requests if urlsplit(url).hostname not in local]


@contextmanager
def start_chromium(width: int = 1280, height: int = 1000) -> Iterator[Chromium]:
    """Start headless Chromium and close it at the end."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--no-first-run", "--no-proxy-server"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=flags)
        chromium = Chromium(browser.new_page(viewport={"width": width, "height": height}))
        chromium.page.on("request", lambda request: chromium.requests.append(request.url))
        chromium.page.on("websocket", lambda socket: chromium.requests.append(socket.url))
        try:
            yield chromium
        finally:
            browser.close()


RUN_ALL = """async path => {
    await jupyterapp.restored;
    const widget = await jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'});
    jupyterapp.shell.activateById(widget.id);
    await widget.context.ready;
    await widget.sessionContext.ready;
    const kernel = widget.sessionContext.session.kernel, open = window.underWay = new Set();
    await kernel.info;
    kernel.anyMessage.connect((_, {msg, direction}) => {
        if (direction === 'send' && msg.header.msg_type === 'comm_msg') open.add(msg.header.msg_id);
        if (msg.header.msg_type === 'status' && msg.content.execution_state === 'idle') open.delete(msg.parent_header.msg_id);
    });
    await jupyterapp.commands.execute('notebook:run-all-cells');
}"""
ERRORS = """() => jupyterapp.shell.currentWidget.content.widgets.flatMap((cell, position) =>
    cell.model.type !== 'code' ? [] : cell.model.sharedModel.getOutputs()
        .filter(output => output.output_type === 'error')
        .map(output => `cell ${position}: ${output.ename}: ${output.evalue}`))"""
UNRUN = """() => jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code'
    && cell.model.sharedModel.getSource().trim() && cell.model.executionCount === null).length"""
CLOSE = """async () => {
    await jupyterapp.shell.currentWidget.sessionContext.shutdown();
    jupyterapp.shell.currentWidget.context.model.dirty = false;
    jupyterapp.shell.currentWidget.close();
}"""
ASK = """async code => {
    const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({code, store_history: false});
    let text = '';
    future.onIOPub = message => { text += message.content.text ?? ''; };
    const begin = performance.now();
    await future.done;
    return [text.trim(), (performance.now() - begin) / 1000];
}"""
SETTLE = """async () => {
    for (let frame = 0; frame < 3; frame++) {
        await new Promise(requestAnimationFrame);
        if (underWay.size) frame = -1;
    }
}"""
PNG = """async image => {
    const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
    return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
}"""


def write_notebook(lab: Lab, name: str, cells: Sequence[str]) -> None:
    """Write a notebook of code cells into the Lab's folder."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells], metadata=kernel)
    nbformat.write(notebook, lab.folder / name)


@contextmanager
def run_notebook(chromium: Chromium, lab: Lab, name: str, timeout: float = 240) -> Iterator[object]:
    """Open a notebook of the Lab's folder, run all its cells, and yield the page; close it and its kernel at the end."""
    page = chromium.page
    page.set_default_timeout(timeout * 1000)
    if not page.url.startswith(lab.url):
        page.goto(f"{lab.url}/lab?reset&token={lab.token}")
        page.wait_for_function("() => window.jupyterapp")
    try:
        page.evaluate(RUN_ALL, name)
        page.set_default_timeout(15_000)
        yield page
    finally:
        page.evaluate(CLOSE)


def errors(page: object) -> list[str]:
    """One line for each cell of the open notebook that ended in an error, and one if some did not run."""
    unrun = page.evaluate(UNRUN)
    return page.evaluate(ERRORS) + ([f"{unrun} code cells did not run"] if unrun else [])


def png(picture: object) -> bytes:
    """The bytes of the picture that an <img> element shows."""
    return b64decode(picture.evaluate(PNG))


def pixels(picture: object | bytes) -> np.ndarray:
    """The pixels, (height, width, 3), of an <img> element or of a PNG."""
    data = picture if isinstance(picture, bytes) else png(picture)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def ask(page: object, code: str) -> tuple[str, float]:
    """What the open notebook's kernel prints for ``code``, and the seconds until it is done."""
    return page.evaluate(ASK, code)


def settle(page: object) -> None:
    """Wait until no widget's report is under way to the kernel, or held back by the browser until another one is answered."""
    page.evaluate(SETTLE)
