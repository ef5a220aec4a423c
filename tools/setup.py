#!/usr/bin/env python3
"""Make ``.venv`` ready for the course: ``python3 tools/setup.py --extra lab`` (or ``test``).

``make`` calls this before everything else, with whatever Python the machine has. So it uses the standard
library only, and no syntax newer than Python 3.6: an old Python must still be able to say that it is old.

uv installs; plain pip does where uv cannot be had or reaches no index. ``.venv/setup.json`` is the stamp. It gets its
key last, a hash of all that the install depends on: while it agrees, a call costs milliseconds and touches no network.
A stamp without a key is an interrupted install. uv repairs none, so it is made anew, from uv's cache within seconds.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST_PYTHON, RUNNING = (3, 10), "%d.%d" % sys.version_info[:2]
EXTRAS = ("lab", "test")  # each contains the ones before it
# All paths are relative: main() goes to the course's folder.
VENV, PYTHON, PACKAGES = Path(".venv"), ".venv/bin/python", "lib/python*/site-packages/*"
STAMP, LOG = VENV / "setup.json", VENV / "setup.log"
# Lab's defaults in this environment: do not ask a learner on the first start whether to fetch news.
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
# Gigabytes that an install takes by PyTorch's build (Linux's default one has CUDA's libraries), and where that is there.
SPACE = {"cpu": 2.5, "default": 9.5 if sys.platform == "linux" else 2.5, "there": 0.5}
UV_NAMES = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY"}  # by pip's
GET_VENV = f"""
  Remedy: Debian, Ubuntu: `sudo apt install python3-venv` (or python{RUNNING}-venv); else a complete Python (python.org)."""
FAILURES = {  # by what pip and uv say, a regular expression; the first that fits counts
    "No space left|Errno 28|quota exceeded": """No disk space: {free:.1f} GB are free, about {needed:.1f} GB are needed.
  Remedy: Free some space, or move the course to a larger disk, then run the same command again.""",
    "CERTIFICATE_VERIFY": "The package index's certificate was not accepted.\n"
    "  Remedy: Behind a company's proxy, give pip its certificate: `pip config set global.cert FILE`.",
    r"Retrying \(|Max retries|Connection|[Tt]imed? ?out|name resolution": """No network: the package index was not reached.
  Remedy: Check the connection (behind a proxy: `pip config set global.proxy URL`), then run the same command again.""",
    "torchvision::": """torch and torchvision do not work together; they seem to come from different places: {output}
  Remedy: Run the same command again; if it fails again, see in `pip config list` where pip takes them from.""",
    "ensurepip": "This Python could not put pip into the new environment." + GET_VENV,
    "ResolutionImpossible|No matching distribution": """There are no versions that fit together for this machine: {last}
  Remedy: A very new Python often lacks PyTorch; try another one, for example `make lab PYTHON=python3.12`.""",
    "": """The install failed. Its last line: {last}
  Remedy: Run the same command again; if it fails again, remove .venv and start afresh.""",
}


class SetupError(Exception):
    """A set-up that cannot go on; the text says what is wrong and, as its remedy, what to do."""


def diagnose(output, needed=SPACE["there"]):
    """Return the SetupError that fits a failed command's output; ``needed`` are the gigabytes that it may take."""
    last = [line.strip() for line in output.splitlines() if line.strip()][-1:] or ["(it printed nothing)"]
    facts = {"free": shutil.disk_usage(".").free / 1e9, "needed": needed, "last": last[0], "output": output.strip()}
    text = next(text for words, text in FAILURES.items() if facts["free"] < 0.1 or re.search(words, output))
    return SetupError(text.format(**facts) + f"\n  Details: {LOG}" * LOG.exists())


def runs(*command, seconds=None):
    """Return whether a command starts and exits with 0 (within ``seconds``), whatever it prints."""
    nowhere = subprocess.DEVNULL
    try:
        return subprocess.call(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=seconds) == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def require_python(version=sys.version_info):
    """Raise SetupError where this Python is older than the course needs, or lacks what makes environments."""
    name = f"Python {version[0]}.{version[1]} ({sys.executable})"
    if tuple(version[:2]) < OLDEST_PYTHON:
        others = (f"python3.{minor}" for minor in range(19, OLDEST_PYTHON[1] - 1, -1))
        newer = next((other for other in others if runs(other, "-c", "import ensurepip")), None)
        get = "Use the newer one that is here" if newer else "Install a newer one (python.org or conda)"
        remedy = f"\n  Remedy: {get}: `make lab PYTHON={newer or 'python3.12'}`."
        raise SetupError(f"{name} is too old: the course needs Python 3.10 or newer.{remedy}")
    missing = " and no module ".join(name for name in ("venv", "ensurepip") if not importlib.util.find_spec(name))
    if missing:  # Debian packs them separately
        raise SetupError(f"{name} has no module {missing}, so it cannot make a virtual environment.{GET_VENV}")


def cpu_index_reached(url=CPU_INDEX + "/torch/", seconds=5):
    """Return whether PyTorch's CPU index answers. A process bounds it: looking up a host's name knows no time limit."""
    code = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read(1)"
    return runs(sys.executable, "-c", code, url, seconds=seconds)


def install_key():
    """Return the hash of all that an install depends on, the course's folder too."""
    try:
        parts = [Path(name).read_bytes() for name in (VENV / "pyvenv.cfg", "pyproject.toml", "constraints.txt")]
        parts += [str(Path(PYTHON).resolve(strict=True)), os.getcwd()]  # the Python that a link leads to may be gone
    except OSError:
        return "none: a part is missing"
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def read_stamp():
    """Return the stamp as a dict; an absent or unreadable one is empty."""
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def write_json(path, content):
    """Write a file in one step (temporary name, then rename)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".part").write_text(json.dumps(content, indent=1), encoding="utf-8")
    path.with_suffix(".part").replace(path)


def why_anew(stamp, extra, torch, keep_python):
    """Return why ``.venv`` must be made (anew): "" where an install into it is enough, None where it is complete."""
    other = not keep_python and stamp.get("python", RUNNING) != RUNNING
    wrong = torch == "cuda" and stamp.get("build") == "cpu"
    fits = stamp.get("extra") in EXTRAS[EXTRAS.index(extra) :] and not other and not wrong
    if fits and stamp.get("key") == install_key():
        return None
    there = {path.name for path in VENV.iterdir()} if VENV.is_dir() else {VENV.name} & set(os.listdir("."))
    # Without a pyvenv.cfg it is ours while it is being made, or thrown away.
    if not stamp and there - {"bin", "include", "lib", "lib64", "share", "etc", LOG.name} and "pyvenv.cfg" not in there:
        remedy = "Move it away, then run the same command again."  # it is someone else's
        raise SetupError(f"What is at {VENV.absolute()} is not a virtual environment.\n  Remedy: {remedy}")
    reasons = {
        "there is none yet": "pyvenv.cfg" not in there,
        "the course's folder has moved": stamp.get("folder", os.getcwd()) != os.getcwd(),
        "an earlier install did not finish": stamp and "key" not in stamp,
        "its Python does not run": not runs(PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"),
        "it has another Python": other,
        "it has PyTorch's CPU build": wrong,
    }
    return next((reason for reason, true in reasons.items() if true), "")


def run(*command):
    """Run a command; show its main steps, keep its output in ``.venv/setup.log``; return its status and output."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, close_fds=False, encoding="utf-8", errors="replace", **pipes)
    output = ""
    try:
        for line in process.stdout:
            output += line
            with contextlib.suppress(OSError), LOG.open("a", encoding="utf-8") as log:  # a full disk hides nothing
                log.write(line)
            if re.match(r" *Downloading .*\((\d{2,}[\d.]* ?M|[\d.]+ ?G)i?B\)|Prepared |Installing collected", line):
                print(f"  {line.strip():.75}", flush=True)
        return process.wait(), output
    finally:  # an interrupt ends the command too
        process.terminate()
        process.wait()


def install(extra, build, old):
    """Install the course, all in one call: torch and torchvision must come from one place; return torch's version."""
    pip = [PYTHON, "-m", "pip", "install", "--no-input", "--progress-bar=off", "--retries=2", "--timeout=30"]
    uv = [PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON]
    pins, course = ["-c", "constraints.txt"], ["-e", "." if extra == "lab" else f".[{extra}]"]
    status, output = run(*pip, *pins, "--only-binary=:all:", "uv")
    before = set(VENV.glob(PACKAGES))
    if not status:
        config = run(PYTHON, "-m", "pip", "config", "list")[1]  # uv reads no pip.conf and no PIP_*
        for name, value in re.findall(r"^\S+?\.(index-url|cert|proxy)='(.+)'", config, re.MULTILINE):
            os.environ.setdefault(UV_NAMES[name], value)  # pip lists the environment first
        status, output = run(*uv, *(["--torch-backend=cpu"] if build == "cpu" else []), *pins, *course)
    if status and set(VENV.glob(PACKAGES)) == before:  # what uv has begun pip would take as whole
        print("uv could not be used: pip installs, which takes longer.", flush=True)
        status, output = run(*pip, *(["--extra-index-url", CPU_INDEX] if build == "cpu" else []), *pins, *course)
    if status and set(VENV.glob(PACKAGES)) == before:
        write_json(STAMP, old)  # nothing was touched: it stays as good as it was
    if not status:
        code = "from importlib.metadata import version as v; print(v('torch'), v('torchvision'), flush=True)"
        status, output = run(PYTHON, "-c", f"{code}; import torchvision")
    if status:
        raise diagnose(output, SPACE[build])
    return output.split()[0]


def set_up(extra, torch="", keep_python=False):
    """Bring ``.venv`` to the asked state, where it is not there; raise SetupError where the machine lacks something."""
    started = time.time()
    with open("pyproject.toml", "rb") as lock:  # one set-up at a time
        os.set_inheritable(lock.fileno(), True)  # also while a command outlives its set-up
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is at work in this folder: waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        stamp = read_stamp()
        anew = why_anew(stamp, extra, torch, keep_python)
        if anew is None:
            return
        why = anew or ("" if runs(PYTHON, "-m", "pip", "--version") else "it lacks pip")
        if why:
            require_python()
        extra = max(extra, stamp.get("extra", extra), key=EXTRAS.index)  # `make lab` does not take the tests away
        torch = torch or stamp.get("torch", "")
        default = torch == "cuda" or (not anew and stamp.get("build") == "default")
        build = "cpu" if not default and cpu_index_reached() else "default"
        needed = SPACE["there" if stamp.get("build") == build else build]
        if shutil.disk_usage(".").free < needed * 1e9:
            raise diagnose("No space left", needed)
        if why:
            print(f"Making .venv with Python {RUNNING}: {why}.", flush=True)
            status, output = run(sys.executable, "-m", "venv", *(["--clear"] if anew else []), str(VENV))
            if status:
                raise diagnose(output, needed)
            if build == "default" and torch != "cuda":
                print("PyTorch's CPU index was not reached: its default build comes (2.5 GB on Linux).", flush=True)
        new = {"extra": extra, "torch": torch, "build": build, "folder": os.getcwd()}
        new["python"] = RUNNING if why else stamp.get("python", RUNNING)
        write_json(STAMP, new)
        version = install(extra, build, {} if anew else stamp)
        write_json(VENV / "share/jupyter/lab/settings/overrides.json", LAB_SETTINGS)
        write_json(STAMP, {**new, "build": "cpu" if "+cpu" in version else "default", "key": install_key()})
    print(f"Set-up complete in {time.time() - started:.0f} s (torch {version}).")


def main(arguments=None):
    """Run the set-up from the command line; a failure is said in plain words, and exits with 1."""
    parser = argparse.ArgumentParser(description="Make .venv ready for the course.")
    parser.add_argument("--extra", choices=EXTRAS, default="lab", help="what to install (test contains lab)")
    parser.add_argument("--torch", default="", choices=("", "cuda"), help="cuda: skip PyTorch's CPU index")
    parser.add_argument("--keep-python", action="store_true", help="a .venv of another Python version may stay")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.chdir(str(Path(__file__).resolve().parent.parent))
    os.environ.update(PYTHONHOME="", PYTHONPATH="", PYTHONUNBUFFERED="1", PIP_USER="0", LC_ALL="C.UTF-8")
    os.environ["TMPDIR"] = os.path.abspath(str(VENV))  # /tmp is often too small for the CUDA build's downloads
    try:
        set_up(**vars(parser.parse_args(arguments)))
    except KeyboardInterrupt:
        sys.exit("\nSet-up interrupted. Run the same command again.")
    except (SetupError, OSError) as error:
        sys.exit(f"Set-up stopped. {error if isinstance(error, SetupError) else diagnose(str(error))}")


if __name__ == "__main__":
    main()
