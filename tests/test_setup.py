"""The set-up: every bad case in plain words, an interrupted install made anew."""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from tools import setup

ROOT = Path(__file__).resolve().parent.parent
RESOLUTION = "ERROR: No matching distribution found for torch<3,>=2.14"
NO_NETWORK = f"WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError'\n{RESOLUTION}"


class Course:
    """A folder with the course's dependency files; stands for venv, pip and uv, and for the machine around them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.build, self.reached, self.free, self.config = "", False, 1e12, ""
        self.failing: dict[str, str | BaseException] = {}
        self.touching = False
        self.commands: dict[str, tuple[str, ...]] = {}
        monkeypatch.setattr(setup, "run", self.run)
        monkeypatch.setattr(setup, "runs", lambda *command, **_: Path(command[0]).exists())
        monkeypatch.setattr(setup, "cpu_index_reached", lambda: self.reached)
        usage = namedtuple("Usage", "free")
        monkeypatch.setattr(setup.shutil, "disk_usage", lambda folder: usage(self.free))

    def run(self, *command: str) -> tuple[int, str]:
        """Note the command, and make the files that a real one would leave; fail where it is asked to."""
        last = {"uv": "get uv", "list": "config"}
        step = "check" if command[1] == "-c" else last.get(command[-1], command[2])
        self.commands[step] = command
        assert "key" not in setup.read_stamp() or step == "venv", "the stamp gets its key when everything is there"
        packages = Path(".venv/lib/python3/site-packages")
        if step == "venv":
            shutil.rmtree(".venv", ignore_errors="--clear" not in command or not Path(".venv").exists())
            packages.mkdir(parents=True)
            Path(".venv/bin").mkdir()
            Path(setup.PYTHON).touch()
            Path(".venv/pyvenv.cfg").write_text("home = somewhere\n")
        if self.touching or step not in self.failing:
            (packages / {"uv": "torch", "pip": "torch"}.get(step, "pip")).touch()
        if isinstance(self.failing.get(step), BaseException):
            raise self.failing[step]
        texts = {"check": f"2.15.0{self.build} 0.29.2\n", "config": self.config}
        return int(step in self.failing), self.failing.get(step, texts.get(step, ""))

    def set_up(self, *arguments, **failing: str | BaseException) -> list[str]:
        """Run the set-up and return its steps; ``failing`` says which step fails with which output."""
        self.commands, self.failing = {}, {name.replace("_", " "): what for name, what in failing.items()}
        setup.set_up(*(arguments or ("lab",)))
        return list(self.commands)


ALL = ["venv", "get uv", "config", "uv", "check"]


@pytest.fixture
def course(tmp_path, monkeypatch):
    root = tmp_path / "a course"
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(root)
    return Course(monkeypatch)


def _change(name: str) -> None:
    Path(name).write_bytes(Path(name).read_bytes() + b"\n# changed\n")


def test_a_first_call_installs_and_a_second_one_runs_nothing(course, monkeypatch):
    assert course.set_up() == ALL
    settings = json.loads(Path(".venv/share/jupyter/lab/settings/overrides.json").read_text())
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    monkeypatch.setattr(setup, "runs", None)
    monkeypatch.setattr(setup, "cpu_index_reached", None)
    assert course.set_up() == []


def test_tests_are_added_contain_lab_and_stay(course):
    course.set_up("lab")
    assert course.set_up("test") == ALL[1:] and ".[test]" in course.commands["uv"], "added to what a Lab may be using"
    assert course.set_up("lab") == []
    _change("constraints.txt")
    assert course.set_up("lab") == ALL[1:] and ".[test]" in course.commands["uv"]


@pytest.mark.parametrize("reached", [True, False])
def test_torch_comes_from_the_cpu_index_where_it_is_reached_until_cuda_is_asked_for(course, reached, capsys):
    course.reached, course.build = reached, "+cpu" if reached else ""
    with pytest.raises(setup.SetupError, match="pip failed too"):
        course.set_up(uv="uv failed", pip="pip failed too")
    assert ("--torch-backend=cpu" in course.commands["uv"]) is (setup.CPU_INDEX in course.commands["pip"]) is reached
    assert ("was not reached" in capsys.readouterr().out) is not reached
    course.set_up()
    course.build = ""
    assert course.set_up("lab", "cuda") == (ALL if reached else [])
    assert "--torch-backend=cpu" not in course.commands.get("uv", ())
    assert course.set_up("lab", "cuda") == course.set_up("lab") == []
    course.reached = True
    _change("constraints.txt")
    assert course.set_up() and "--torch-backend=cpu" not in course.commands["uv"], "two builds would be mixed"
    os.remove(setup.PYTHON)
    assert course.set_up() == ALL and ("--torch-backend=cpu" in course.commands["uv"]) is not reached, "cuda is kept"


def test_uv_is_told_pips_index_and_a_users_own_variable_stays(course, monkeypatch):
    for name in setup.UV_NAMES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "mine")
    course.config = ":env:.index-url='https://first'\nglobal.cert='a b.pem'\nglobal.index-url='x'\nglobal.proxy='y'\n"
    course.set_up()
    told = {name: os.environ.pop(name) for name in setup.UV_NAMES.values()}
    assert told == {"UV_DEFAULT_INDEX": "https://first", "SSL_CERT_FILE": "a b.pem", "ALL_PROXY": "mine"}


def test_pip_takes_over_only_where_uv_has_touched_nothing(course, capsys):
    assert course.set_up(get_uv=RESOLUTION) == ["venv", "get uv", "pip", "check"]
    assert "pip installs" in capsys.readouterr().out
    shutil.rmtree(".venv")
    assert course.set_up(uv="error: Request failed") == ["venv", "get uv", "config", "uv", "pip", "check"]
    shutil.rmtree(".venv")
    course.touching = True
    with pytest.raises(setup.SetupError, match="killed"):
        course.set_up(uv="killed")
    assert "pip" not in course.commands and course.set_up() == ALL, "half an install is made anew"


# ---------------------------------------------------------------- interrupted, changed, moved


@pytest.mark.parametrize("step", ALL)
def test_an_interrupted_install_is_made_anew(course, capsys, step):
    with pytest.raises(KeyboardInterrupt):
        course.set_up(**{step.replace(" ", "_"): KeyboardInterrupt()})
    if step == "venv":
        Path(".venv/pyvenv.cfg").unlink()
        Path(".venv/setup.log").touch()
    assert course.set_up() == ALL and course.set_up() == []
    assert ("did not finish" in capsys.readouterr().out) is (step != "venv")


def test_an_update_that_touched_nothing_leaves_the_environment_for_the_next_try(course):
    course.build = "+cpu"
    course.set_up()
    _change("constraints.txt")
    for _ in range(2):
        with pytest.raises(setup.SetupError, match="No network"):
            course.set_up(uv=NO_NETWORK, pip=NO_NETWORK)
        assert list(course.commands) == ["get uv", "config", "uv", "pip"]
    assert course.set_up() == ALL[1:]
    with pytest.raises(setup.SetupError, match="No network"):
        course.set_up("lab", "cuda", uv=NO_NETWORK, pip=NO_NETWORK)
    assert course.set_up() == ALL[1:], "an empty environment is not taken for a complete one"


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", ".venv/pyvenv.cfg", ".venv/setup.json"])
def test_what_an_install_depends_on_is_watched(course, name):
    course.set_up()
    _change(name)
    assert course.set_up() == ALL[1:] and course.set_up() == []
    os.remove(setup.PYTHON)
    assert course.set_up() == ALL and course.set_up() == []


def test_a_moved_folder_and_another_python_get_a_new_environment(course, capsys, monkeypatch):
    course.set_up()
    os.chdir(Path.cwd().rename(Path.cwd().with_name("moved course")))
    assert course.set_up() == ALL and "--clear" in course.commands["venv"]
    assert "has moved" in capsys.readouterr().out
    monkeypatch.setattr(setup, "RUNNING", "3.99")
    assert course.set_up("lab", "", True) == [], "any Python will do"
    assert course.set_up() == ALL and course.set_up() == []


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_someone_elses_is_not_deleted(course, kind):
    {"folder": lambda p: p.mkdir(), "file": Path.touch, "link": lambda p: p.symlink_to("gone")}[kind](Path(".venv"))
    if kind == "folder":
        Path(".venv/thesis.txt").touch()
    with pytest.raises(setup.SetupError, match=r"not a virtual environment\.\n  Remedy: Move it away"):
        course.set_up()
    assert os.path.lexists(".venv/thesis.txt" if kind == "folder" else ".venv") and not course.commands


def test_two_set_ups_of_one_folder_do_not_meet(course, capsys):
    """The lock outlives a set-up that was killed, while a command of its still runs."""
    code = "import os, threading; from tools import setup; threading.Timer(0.3, os._exit, [9]).start(); "
    code += "setup.why_anew = lambda *_: setup.run('sleep', '1'); setup.set_up('lab')"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 9
    second = threading.Thread(target=course.set_up)
    second.start()
    second.join(0.3)
    assert second.is_alive() and not course.commands, "the second one waits"
    second.join(30)
    assert list(course.commands) == ALL and "waiting for it" in capsys.readouterr().out


# ---------------------------------------------------------------- the bad cases


def test_old_python_is_named_with_a_newer_one_where_there_is_one(monkeypatch):
    monkeypatch.setattr(setup, "runs", lambda *command: False)
    for version in ((3, 6, 15), (3, 9, 18)):
        text = rf"Python 3\.{version[1]} .* is too old: .* needs Python 3\.10 or newer.\n  Remedy: Install a newer"
        with pytest.raises(setup.SetupError, match=text):
            setup.require_python(version)
    monkeypatch.setattr(setup, "runs", lambda *command: command[0] == "python3.13")
    with pytest.raises(setup.SetupError, match=r"newer one that is here: `make lab PYTHON=python3\.13`"):
        setup.require_python(version)
    setup.require_python((3, 10, 0))
    ast.parse((ROOT / "tools/setup.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_missing_venv_names_debians_package_and_keeps_what_is_there(course, monkeypatch):
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(setup.SetupError, match=r"no module ensurepip(.|\n)*sudo apt install python3-venv"):
        course.set_up()
    assert not course.commands and not Path(".venv").exists()


@pytest.mark.parametrize(("reached", "needed"), [(True, 2.5), (False, setup.SPACE["default"])])
def test_a_full_disk_is_noticed_before_anything_is_written(course, reached, needed):
    course.reached, course.free = reached, 2.4e9
    with pytest.raises(setup.SetupError, match=rf"No disk space: 2\.4 GB are free, about {needed} GB are needed"):
        course.set_up()
    assert not course.commands and not Path(".venv").exists()


@pytest.mark.parametrize(
    ("step", "output", "expected"),
    [
        ("pip", NO_NETWORK, "No network(.|\n)*Check the connection"),
        ("venv", "ERROR: [Errno 28] No space left on device", "No disk space(.|\n)*Free some space"),
        ("pip", "Retrying (SSLError(1, 'CERTIFICATE_VERIFY_FAILED'))", "certificate was not accepted(.|\n)*proxy"),
        ("pip", RESOLUTION, "no versions that fit(.|\n)*PYTHON=python3.12"),
        ("venv", "because ensurepip is not available", "not put pip into(.|\n)*apt install python3-venv"),
        ("check", "2.15 0.29\nRuntimeError: operator torchvision::nms does not exist", "different places: 2.15 0.29"),
        ("pip", "something nobody foresaw", "something nobody foresaw(.|\n)*start afresh"),
        ("pip", "", "printed nothing"),
    ],
)
def test_failures_are_told_apart(course, step, output, expected):
    failing = {"uv": "error: anything", "pip": output} if step == "pip" else {step: output}
    with pytest.raises(setup.SetupError, match=expected):
        course.set_up(**failing)
    assert course.set_up() in (ALL, ALL[1:])


@pytest.mark.parametrize("error", [setup.SetupError("No disk space."), OSError(28, ""), KeyboardInterrupt()])
def test_the_command_line_says_what_is_wrong_without_traceback(monkeypatch, error):
    monkeypatch.setattr(setup, "set_up", lambda **_: (_ for _ in ()).throw(error))
    monkeypatch.setattr(setup.signal, "signal", lambda *_: None)
    monkeypatch.setattr(setup.os, "environ", {})
    monkeypatch.chdir(".")
    with pytest.raises(SystemExit, match="No disk space" if isinstance(error, Exception) else "Set-up interrupted"):
        setup.main([])
    with pytest.raises(SystemExit, match="2"):
        setup.main(["--torch", "gpu"])


def test_an_index_that_refuses_or_does_not_answer_is_not_reached():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = "http://127.0.0.1:{1}/".format(*listener.getsockname())
        assert not setup.cpu_index_reached(address), "it refuses"
        listener.listen(1)
        assert not setup.cpu_index_reached(address, seconds=0.5), "it never answers"
    assert setup.cpu_index_reached((ROOT / "Makefile").as_uri())


def test_output_is_kept_and_the_main_steps_are_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path(".venv").mkdir()
    shown = ["Downloading torch-2.15.0.whl (506.1 MB)", "Downloading torch (1.5GiB)", "Prepared 3 packages in 2 s"]
    code = f"print(*{[*shown, 'Downloading a.whl (9 kB)', 'Collecting torch']!r}, sep='\\n'); raise SystemExit(3)"
    status, output = setup.run(sys.executable, "-c", code)
    assert status == 3 and output.endswith("\nCollecting torch\n") and setup.LOG.read_text() == output
    assert capsys.readouterr().out == "".join(f"  {line}\n" for line in shown)


def test_a_file_is_written_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "stamp.json"
    setup.write_json(path, {"key": 1})
    monkeypatch.setattr(Path, "replace", None)
    with pytest.raises(TypeError):
        setup.write_json(path, {"key": 2})
    assert json.loads(path.read_text()) == {"key": 1}
