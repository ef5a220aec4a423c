#!/usr/bin/env python3
"""Make ``.venv`` ready for the course: ``python3 tools/setup.py --extra lab`` (or ``test``).

``make`` calls this before everything else, with whatever Python the machine has. So it uses the standard
library only, and no syntax newer than Python 3.6: an old Python must still be able to say that it is old.

The file ``.venv/setup.json`` is the stamp. It is written last, when an install is complete, and holds a hash
of all that the install depends on. While the stamp agrees, a call costs a few milliseconds and touches
no network. Before an install starts the stamp is set to "installing", so that the next call notices an
install which was interrupted and repairs it with what is already there.
"""

import argparse
import contextlib
import csv
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST_PYTHON = (3, 10)
EXTRAS = ("lab", "test")  # each contains the ones before it
STAMP = "setup.json"
LOG = "setup.log"
DOWNLOADS = "downloads"  # pip's temporary folder
STAMP_FORMAT = 2
# What lies in .venv before Python's venv module has written its pyvenv.cfg.
FIRST_FILES = {LOG, "bin", "include", "lib", "lib64", "Scripts", "Include", "Lib"}
# Lab's defaults in this environment: do not ask a learner on the first start whether to fetch news.
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
GIGABYTE = 10**9
# Space that an install takes at its peak, downloads included. The default build on Linux, the only one with
# CUDA's libraries, was measured: 6.2 GB installed, 2.6 GB downloads.
SPACE = {"cpu": 2 * GIGABYTE, "default": (9 if sys.platform.startswith("linux") else 2) * GIGABYTE}
SPACE_REST = GIGABYTE // 2  # everything but PyTorch


class SetupError(Exception):
    """A set-up that cannot go on: ``message`` says what is wrong, ``remedy`` what to do."""

    def __init__(self, message, remedy):
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def say(line):
    """Print one line at once, also into a pipe."""
    print(line, flush=True)


# ---------------------------------------------------------------- what the machine must have


def runs(command):
    """Return whether a command starts and exits with 0, whatever it prints."""
    nowhere = subprocess.DEVNULL
    try:
        return subprocess.call(command, stdin=nowhere, stdout=nowhere, stderr=nowhere) == 0
    except OSError:
        return False


def require_python(version=sys.version_info, works=runs):
    """Raise SetupError where ``version`` is older than the course needs.

    A newer Python on the search path is named in the remedy (``works`` says whether a command runs).
    """
    if tuple(version[:2]) >= OLDEST_PYTHON:
        return
    names = ("python3.%d" % minor for minor in range(19, OLDEST_PYTHON[1] - 1, -1))
    newer = next((name for name in names if works([name, "-c", "import ensurepip"])), None)
    if newer:
        remedy = "This machine also has %s: run `make lab PYTHON=%s`." % (newer, newer)
    else:
        remedy = (
            "Install a newer Python from python.org, by your system's packages or by conda "
            "(environment.yml), then name it: `make lab PYTHON=python3.12`."
        )
    raise SetupError(
        "Python %d.%d is too old (%s): the course needs Python %d.%d or newer."
        % (version[0], version[1], sys.executable, OLDEST_PYTHON[0], OLDEST_PYTHON[1]),
        remedy,
    )


def venv_remedy():
    """Return what to do where Python came without its venv module."""
    return (
        "On Debian and Ubuntu: `sudo apt install python3-venv` (or python%d.%d-venv). Elsewhere install a "
        "complete Python from python.org. Then run the same command again." % tuple(sys.version_info[:2])
    )


def require_venv(find_spec=importlib.util.find_spec):
    """Raise SetupError where the modules venv or ensurepip are missing (Debian packs them separately)."""
    missing = [name for name in ("venv", "ensurepip") if find_spec(name) is None]
    if missing:
        raise SetupError(
            "This Python (%s) has no module %s, so it cannot make a virtual environment."
            % (sys.executable, " and no module ".join(missing)),
            venv_remedy(),
        )


def require_space(folder, needed, disk_usage=shutil.disk_usage):
    """Raise SetupError where the disk of ``folder`` has fewer than ``needed`` free bytes."""
    free = disk_usage(folder).free
    if free < needed:
        raise SetupError(
            "No disk space: about %.1f GB are needed in %s, and %.1f GB are free."
            % (needed / GIGABYTE, folder, free / GIGABYTE),
            "Free some space, or move the course to a larger disk, then run the same command again.",
        )


def cpu_index_reached(url=CPU_INDEX + "/torch/", seconds=4, urlopen=urllib.request.urlopen):
    """Return whether PyTorch's CPU index answers within ``seconds``.

    A thread bounds the whole probe, because looking up a host's name knows no time limit of its own.
    """
    answers = []

    def ask():
        # Whatever goes wrong here (no network, a refusal, a broken certificate), the answer is "not reached".
        with contextlib.suppress(Exception):
            with urlopen(url, timeout=seconds) as response:
                answers.append(response.read(1))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds + 1)
    return bool(answers)


# ---------------------------------------------------------------- the stamp


def venv_python(root):
    """Return the path of the environment's Python."""
    parts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return os.path.join(root, ".venv", *parts)


def install_key(root):
    """Return the hash of all that an install depends on, or None where there is no environment.

    It covers pyproject.toml, constraints.txt, the environment's Python (version and the file that is run) and
    the course's folder: a moved environment is a broken one.
    """
    python = venv_python(root)
    try:
        with open(os.path.join(root, ".venv", "pyvenv.cfg"), "rb") as file:
            parts = [file.read()]
        for name in ("pyproject.toml", "constraints.txt"):
            with open(os.path.join(root, name), "rb") as file:
                parts.append(file.read())
    except OSError:
        return None
    if not os.path.exists(python):  # also false where it is a link to a Python that is gone
        return None
    parts += [os.path.realpath(path).encode("utf-8", "surrogateescape") for path in (python, root)]
    digest = hashlib.sha256(b"%d" % STAMP_FORMAT)
    for part in parts:
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()


def read_stamp(root):
    """Return the stamp as a dict; an absent or unreadable one is empty."""
    try:
        with open(os.path.join(root, ".venv", STAMP), encoding="utf-8") as file:
            stamp = json.load(file)
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(root, **fields):
    """Write the stamp in one step (temporary name, then rename)."""
    path = os.path.join(root, ".venv", STAMP)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(fields, file, indent=1, sort_keys=True)
    os.replace(path + ".part", path)


def is_complete(root, extra, torch=""):
    """Return whether ``.venv`` holds a complete install of ``extra`` (and of the asked PyTorch build)."""
    stamp = read_stamp(root)
    return (
        stamp.get("state") == "complete"
        and stamp.get("extra") in EXTRAS[EXTRAS.index(extra) :]
        and (torch != "cuda" or stamp.get("build") == "default")
        and stamp.get("key") == install_key(root)
    )


# ---------------------------------------------------------------- what is installed already


def site_packages(root):
    """Return the environment's folder of installed packages, or None."""
    library = os.path.join(root, ".venv", "Lib" if os.name == "nt" else "lib")
    folders = [library] if os.name == "nt" else []
    if not folders and os.path.isdir(library):
        folders = [os.path.join(library, name) for name in sorted(os.listdir(library)) if name.startswith("python")]
    folders = [os.path.join(folder, "site-packages") for folder in folders]
    return next((folder for folder in folders if os.path.isdir(folder)), None)


def folder_size(folder):
    """Return the bytes of all files below ``folder``."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def is_whole(packages, record):
    """Return whether every file that a package's RECORD lists is there with its size."""
    try:
        with open(os.path.join(packages, record, "RECORD"), encoding="utf-8", newline="") as file:
            for name, _, size in csv.reader(file):
                status = os.stat(os.path.join(packages, name))
                if size and status.st_size != int(size):
                    return False
    except (OSError, ValueError):
        return False
    return True


def repair_packages(packages):
    """Make pip forget packages that an interrupted install left half done; return their names.

    pip takes a package as installed when its ``.dist-info`` folder is there. Without the folder it installs
    the package again, over the files that lie there.
    """
    names = []
    for entry in sorted(os.listdir(packages)):
        path = os.path.join(packages, entry)
        if entry.startswith("~"):  # pip's temporary name for a package that it was replacing
            shutil.rmtree(path, ignore_errors=True)
        elif entry.endswith(".dist-info") and not is_whole(packages, entry):
            shutil.rmtree(path)
            names.append(entry[: -len(".dist-info")].split("-")[0])
    return names


def installed_version(packages, name):
    """Return the version of an installed package, None where it is not there."""
    if packages:
        for entry in os.listdir(packages):
            if entry.endswith(".dist-info") and entry.lower().startswith(name + "-"):
                return entry[len(name) + 1 : -len(".dist-info")]
    return None


def required(root, name):
    """Return a dependency with its range as pyproject.toml lists it, such as ``torch>=2,<3``."""
    with open(os.path.join(root, "pyproject.toml"), encoding="utf-8") as file:
        match = re.search(r'"(%s[<>=!~][^";]*)"' % re.escape(name), file.read())
    return match.group(1) if match else name


def constrained_version(root, name):
    """Return the exact version that constraints.txt gives a package, None where it gives none."""
    with open(os.path.join(root, "constraints.txt"), encoding="utf-8") as file:
        match = re.search(r"^%s==([^\s;]+)" % re.escape(name), file.read(), re.MULTILINE)
    return match.group(1) if match else None


# ---------------------------------------------------------------- running pip


def clean_environment(root):
    """Return the environment variables for pip: unbuffered, no user's Python settings, downloads in .venv."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
    environment.update(PYTHONUNBUFFERED="1", PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", LC_ALL="C.UTF-8")
    # Often /tmp is too small for the CUDA build's downloads, and an interrupted pip leaves them behind there.
    environment["TMPDIR"] = environment["TEMP"] = environment["TMP"] = os.path.join(root, ".venv", DOWNLOADS)
    return environment


def friendly(line):
    """Return what to show of one line of pip's output, None for nothing."""
    match = re.match(
        r"\s*Downloading (\S+?)(?:-py\S*|-cp\S*|\.tar\.gz)?(?:\.whl)?(?:\.metadata)? \(([\d.]+) (MB|GB)\)",
        line,
    )
    if match and (match.group(3) == "GB" or float(match.group(2)) >= 5):
        return "  downloading %s (%s %s)" % (match.group(1).split("/")[-1], match.group(2), match.group(3))
    if line.startswith("Installing collected packages:"):
        count = line.count(",") + 1
        return "  unpacking %d package%s" % (count, "" if count == 1 else "s")
    return None


def run_command(command, root, inherit=()):
    """Run ``command`` in ``root``; show its main steps, keep all of its output in ``.venv/setup.log``.

    Returns
    -------
    (int, str)
        The exit status and the output. An interrupt ends the command too, and is raised again.
    """
    lines = []
    process = subprocess.Popen(
        command,
        cwd=root,
        env=clean_environment(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **({"pass_fds": inherit} if inherit else {}),
    )
    try:
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace")
            lines.append(line)
            with contextlib.suppress(OSError):  # a full disk must not hide pip's own words
                with open(os.path.join(root, ".venv", LOG), "a", encoding="utf-8") as log:
                    log.write(line)
            shown = friendly(line)
            if shown:
                say(shown)
        return process.wait(), "".join(lines)
    except BaseException:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


NO_SPACE = ("No space left on device", "Errno 28", "not enough space on the disk", "Disk quota exceeded")
NO_CERTIFICATE = ("CERTIFICATE_VERIFY_FAILED", "SSLCertVerificationError")
NO_NETWORK = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "nodename nor servname",
    "getaddrinfo failed",
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "Network is unreachable",
    "Connection refused",
    "Connection reset",
    "Connection aborted",
    "Max retries exceeded",
)
NO_VERSIONS = ("ResolutionImpossible", "No matching distribution found")


def diagnose(output, root, free):
    """Return the SetupError that fits a failed command's output; ``free`` is the free disk space in bytes."""
    last = [line for line in output.strip().splitlines() if line.strip()][-1:] or ["(it printed nothing)"]
    log = os.path.join(".venv", LOG)
    if any(word in output for word in NO_SPACE) or free < GIGABYTE // 10:
        return SetupError(
            "No disk space: the install stopped with %.1f GB free in %s." % (free / GIGABYTE, root),
            "Free some space (up to 9 GB), then run the same command again: it carries on.",
        )
    if any(word in output for word in NO_CERTIFICATE):
        return SetupError(
            "The package index was reached, but its certificate was not accepted.",
            "Behind a company's proxy, give pip its certificate (`pip config set global.cert FILE`). Details: %s" % log,
        )
    if any(word in output for word in NO_NETWORK):
        return SetupError(
            "No network: pip could not reach the package index.",
            "Check the connection (and the proxy, if you use one), then run the same command again: it "
            "carries on with what is there. Details: %s" % log,
        )
    if "ensurepip" in output:
        return SetupError("This Python could not put pip into the new environment.", venv_remedy())
    if any(word in output for word in NO_VERSIONS):
        return SetupError(
            "pip found no versions that fit together for this machine. Its last line: %s" % last[0].strip(),
            "A very new Python often lacks PyTorch: remove .venv and try another, for example "
            "`make lab PYTHON=python3.12`. Details: %s" % log,
        )
    return SetupError(
        "The install failed. Its last line: %s" % last[0].strip(),
        "Run the same command again; if it fails again, remove .venv and start afresh. Details: %s" % log,
    )


# ---------------------------------------------------------------- the set-up itself


def make_environment(root, run, works=runs):
    """Create ``.venv``, or repair one whose Python or pip does not run; return whether it is empty."""
    folder = os.path.join(root, ".venv")
    python = venv_python(root)
    stamp = read_stamp(root)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise SetupError(
            "There is something at %s that is not a folder." % folder,
            "Move it away, then run the same command again.",
        )
    fresh = not os.path.isdir(folder) or not os.listdir(folder)
    ours = fresh or stamp or os.path.exists(os.path.join(folder, "pyvenv.cfg"))
    if not ours and set(os.listdir(folder)) - FIRST_FILES:  # do not delete what is someone else's
        raise SetupError(
            "The folder %s is there, but it is not a virtual environment." % folder,
            "Move it away, then run the same command again.",
        )
    moved = stamp.get("folder") not in (None, os.path.realpath(root))
    broken = moved or not works([python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
    if not broken and works([python, "-m", "pip", "--version"]):
        return False
    require_python()
    require_venv()
    if moved:
        say("The course's folder has moved: making .venv anew.")
    elif not fresh and broken:
        say("The Python in .venv does not run: making .venv anew.")
    elif fresh:
        say("Making a virtual environment in .venv (Python %s)." % sys.version.split()[0])
    status, output = run([sys.executable, "-m", "venv"] + (["--clear"] if broken else []) + [folder])
    if status:
        raise diagnose(output, root, shutil.disk_usage(root).free)
    return bool(broken)


def install(root, extra, torch, run, probe=cpu_index_reached, disk_usage=shutil.disk_usage):
    """Install PyTorch, then the course with ``extra``; return which build of PyTorch is there.

    ``run`` runs a command and returns (status, output). torch and torchvision come from one place: one call.
    """
    pip = [venv_python(root), "-m", "pip"]
    install_command = pip + [
        "install",
        "--no-input",
        "--progress-bar",
        "off",
        "--retries",
        "2",
        "--timeout",
        "30",
    ]
    install_command += ["-c", os.path.join(root, "constraints.txt")]

    def call(command):
        status, output = run(command)
        if status:
            raise diagnose(output, root, disk_usage(root).free)

    packages = site_packages(root)
    present = {name: installed_version(packages, name) for name in ("torch", "torchvision")}
    wanted = {name: constrained_version(root, name) for name in present}
    on_cpu = any(version and version.endswith("+cpu") for version in present.values())
    if torch == "cuda" and on_cpu:
        say("Removing the CPU build of PyTorch (TORCH=cuda).")
        call(pip + ["uninstall", "--yes", "torch", "torchvision"])
        present = dict.fromkeys(present)
        on_cpu = False
    if all(present[name] and wanted[name] in (None, present[name].split("+")[0]) for name in present):
        build = "cpu" if on_cpu else "default"
        require_space(root, SPACE_REST, disk_usage)
    else:
        build = "cpu" if torch != "cuda" and probe() else "default"
        # What an interrupted install left there need not be written again.
        needed = SPACE[build] + SPACE_REST - folder_size(os.path.join(root, ".venv"))
        require_space(root, max(needed, SPACE_REST), disk_usage)
        if build == "cpu":
            say("Installing PyTorch's CPU build (about 0.2 GB to download).")
        elif torch == "cuda":
            say("Installing PyTorch's default build (TORCH=cuda; about 2.5 GB to download on Linux).")
        else:
            say(
                "PyTorch's CPU index was not reached: installing the default build (about 2.5 GB to download "
                "on Linux; it runs without a GPU too)."
            )
        extra_index = ["--extra-index-url", CPU_INDEX] if build == "cpu" else []
        call(install_command + extra_index + [required(root, name) for name in present])
    say("Installing JupyterLab and the rest of the course%s." % (" with its tests" if extra == "test" else ""))
    call(install_command + ["-e", "." if extra == "lab" else ".[%s]" % extra])
    return build


def write_lab_settings(root):
    """Write the defaults that JupyterLab reads in this environment; a learner's own go first."""
    folder = os.path.join(root, ".venv", "share", "jupyter", "lab", "settings")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "overrides.json"), "w", encoding="utf-8") as file:
        json.dump(LAB_SETTINGS, file, indent=1)


def check_torchvision(root, run):
    """Raise SetupError where torchvision does not import, as it does where it was built for another torch."""
    status, output = run([venv_python(root), "-c", "import torchvision; torchvision.ops.nms"])
    if status:
        packages = site_packages(root)
        last = output.strip().splitlines()[-1:] or ["no output"]
        raise SetupError(
            "torchvision %s does not work with torch %s; they seem to come from different places (%s)."
            % (installed_version(packages, "torchvision"), installed_version(packages, "torch"), last[0]),
            "Remove both with `.venv/bin/python -m pip uninstall --yes torch torchvision`, then run the same "
            "command again.",
        )


@contextlib.contextmanager
def only_one(root):
    """Let one set-up of this folder run at a time; yield the file descriptors that its commands inherit.

    The lock sits on pyproject.toml itself. pip inherits it, so that a set-up which was killed and whose pip
    still runs keeps the next one waiting.
    """
    if fcntl is None:
        yield ()
        return
    with open(os.path.join(root, "pyproject.toml"), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is at work in this folder: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield (file.fileno(),)


def set_up(root, extra, torch="", run=None, probe=cpu_index_reached, disk_usage=shutil.disk_usage, works=runs):
    """Bring ``.venv`` to the asked state; return True where something had to be done.

    Raises
    ------
    SetupError
        Where the machine lacks something; its message and remedy are written for a learner.
    """
    if torch not in ("", "cuda"):
        raise SetupError(
            "TORCH=%s is not known." % torch,
            "Use TORCH=cuda for the default (CUDA) build, or leave TORCH out.",
        )
    if is_complete(root, extra, torch):
        return False
    started = time.time()
    with only_one(root) as inherit:
        if is_complete(root, extra, torch):  # another set-up finished it meanwhile
            return True
        folder = os.path.join(root, ".venv")
        if not os.path.exists(venv_python(root)):
            require_python()
            require_venv()
            require_space(root, SPACE["cpu"], disk_usage)
        if run is None:

            def run(command):
                return run_command(command, root, inherit)

        stamp = read_stamp(root)
        empty = make_environment(root, run, works)
        interrupted = not empty and stamp.get("state") != "complete"
        # What was installed before stays: a later `make lab` does not take the tests away.
        extra = max(extra, stamp.get("extra") if stamp.get("extra") in EXTRAS else extra, key=EXTRAS.index)
        torch = torch or stamp.get("torch", "")
        if interrupted:
            say("An earlier install did not finish: repairing it with what is there.")
        elif not empty and stamp.get("key") != install_key(root):
            say("The course's list of packages has changed: bringing .venv up to date.")
        write_stamp(root, state="installing", extra=extra, torch=torch, folder=os.path.realpath(root))
        downloads = os.path.join(folder, DOWNLOADS)
        shutil.rmtree(downloads, ignore_errors=True)
        os.makedirs(downloads)
        packages = site_packages(root)
        if interrupted and packages:
            names = repair_packages(packages)
            if names:
                say("  half installed, to be installed again: %s" % ", ".join(names))
        build = install(root, extra, torch, run, probe, disk_usage)
        check_torchvision(root, run)
        write_lab_settings(root)
        shutil.rmtree(downloads, ignore_errors=True)
        write_stamp(
            root,
            state="complete",
            extra=extra,
            torch=torch,
            build=build,
            key=install_key(root),
            folder=os.path.realpath(root),
        )
    version = installed_version(site_packages(root), "torch")
    say("Set-up complete in %.0f s (torch %s)." % (time.time() - started, version))
    return True


def main(arguments=None):
    """Run the set-up from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Make .venv ready for the course.")
    parser.add_argument("--extra", choices=EXTRAS, default="lab", help="what to install (test contains lab)")
    parser.add_argument("--torch", default="", metavar="cuda", help="cuda: skip PyTorch's CPU index")
    options = parser.parse_args(arguments)

    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        set_up(ROOT, options.extra, options.torch)
    except KeyboardInterrupt:
        print(
            "\nSet-up interrupted. Run the same command again: it carries on with what is there.",
            file=sys.stderr,
        )
        return 130
    except SetupError as error:
        print("Set-up stopped. %s\n  Remedy: %s" % (error.message, error.remedy), file=sys.stderr)
        return 1
    except OSError as error:
        found = diagnose(str(error), ROOT, shutil.disk_usage(ROOT).free)
        print("Set-up stopped. %s\n  Remedy: %s" % (found.message, found.remedy), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
