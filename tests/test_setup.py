"""The set-up: one list of dependencies, every bad case in plain words, an interrupted install noticed."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lab, setup

ROOT = Path(__file__).resolve().parent.parent
Usage = namedtuple("Usage", "total used free")
PLENTY = Usage(10**12, 0, 10**12)
NO_NETWORK = (
    "WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError: Failed to establish "
    "a new connection: [Errno -3] Temporary failure in name resolution': /simple/torch/\n"
    "ERROR: Could not find a version that satisfies the requirement torch\n"
    "ERROR: No matching distribution found for torch\n"
)


# ---------------------------------------------------------------- one list of dependencies


def _ranges(lines: list[str]) -> dict[str, Requirement]:
    """Return requirements by name; extras that name the course itself are left out."""
    found = {canonicalize_name(r.name): r for r in map(Requirement, lines)}
    found.pop("metautil", None)
    return found


def _pyproject() -> dict[str, Requirement]:
    """Return all dependencies of pyproject.toml, extras included (as text: Python 3.10 has no tomllib)."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text[text.index("\ndependencies") : text.index("[tool.")]
    lines = re.findall(r'"([^"\n]+)"', project)
    assert len(lines) > 20
    return _ranges(lines)


def _constraints() -> dict[str, Requirement]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return _ranges([line for line in text.splitlines() if line.strip() and not line.startswith("#")])


def _environment() -> dict[str, Requirement]:
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    lines = re.findall(r"^ +- ([a-z0-9-]+[<>=!].*)$", text[text.index("dependencies:") :], re.MULTILINE)
    return _ranges([re.sub(r"^pytorch(?=[<>=!])", "torch", line) for line in lines])


def test_environment_repeats_the_ranges_of_pyproject():
    ranges = {name: r.specifier for name, r in _pyproject().items()}
    repeated = {name: r.specifier for name, r in _environment().items()}
    python = repeated.pop("python")
    assert repeated == ranges
    assert f'requires-python = "{python}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_each_constraint_is_exact_and_lies_in_its_range():
    ranges, pins = _pyproject(), _constraints()
    assert set(ranges) <= set(pins), f"not in constraints.txt: {sorted(set(ranges) - set(pins))}"
    for name, pin in pins.items():
        (only,) = pin.specifier
        assert only.operator == "==" and not only.version.endswith("*"), f"{pin} is not exact"
        assert name not in ranges or ranges[name].specifier.contains(only.version), f"{pin} and {ranges[name]}"


@pytest.mark.parametrize("version", ["2.15.0", "2.15.0+cpu", "2.15.0+cu132"])
def test_torch_constraint_holds_for_every_build(version):
    assert _constraints()["torch"].specifier.contains(version)
    assert not _pyproject()["torch"].specifier.contains("2.13.0+cpu"), "a stray wheel that breaks torchvision"


def test_setup_reads_ranges_and_pins_from_the_one_list():
    for name in ("torch", "torchvision"):
        assert Requirement(setup.required(str(ROOT), name)) == _pyproject()[name]
        assert _constraints()[name].specifier.contains(setup.constrained_version(str(ROOT), name))


def test_oldest_python_is_the_one_of_pyproject():
    oldest = ".".join(map(str, setup.OLDEST_PYTHON))
    assert f'requires-python = ">={oldest}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


# ---------------------------------------------------------------- a course in a temporary folder


class Pip:
    """Stands for pip and venv: notes each command, makes the files that a real one would leave."""

    def __init__(self, root: Path, build: str = "", fail_at: int | None = None, output: str = ""):
        self.root, self.build, self.fail_at, self.output = root, build, fail_at, output
        self.commands: list[list[str]] = []
        self.states: list[str | None] = []

    def __call__(self, command: list[str]) -> tuple[int, str]:
        self.commands.append(command)
        self.states.append(setup.read_stamp(str(self.root)).get("state"))
        if self.fail_at == len(self.commands) - 1:
            if self.output == "interrupt":
                raise KeyboardInterrupt
            return 1, self.output
        if "venv" in command:
            python = Path(setup.venv_python(str(self.root)))
            python.parent.mkdir(parents=True, exist_ok=True)
            python.write_text("")
            (self.root / ".venv/pyvenv.cfg").write_text("version = 3.11.7\n")
            self.packages.mkdir(parents=True, exist_ok=True)
        elif "uninstall" in command:
            for folder in self.packages.glob("torch*"):
                (folder / "RECORD").unlink()
                folder.rmdir()
        elif "install" in command and any(word.startswith("torch>") for word in command):
            for name, version in (("torch", "2.15.0"), ("torchvision", "0.29.2")):
                self.add(f"{name}-{version}{self.build}")
        return 0, ""

    @property
    def packages(self) -> Path:
        if os.name == "nt":
            return self.root / ".venv/Lib/site-packages"
        return self.root / ".venv/lib/python3.11/site-packages"

    def add(self, name: str, record: str = "") -> None:
        (self.packages / f"{name}.dist-info").mkdir(parents=True, exist_ok=True)
        (self.packages / f"{name}.dist-info/RECORD").write_text(record)

    def installs(self) -> list[list[str]]:
        return [command for command in self.commands if "install" in command]


@pytest.fixture
def course(tmp_path):
    """A folder with the course's dependency files, its name with a space in it."""
    root = tmp_path / "a course"
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    return root


def _set_up(root: Path, pip: Pip, extra: str = "lab", torch: str = "", reached: bool = False) -> bool:
    return setup.set_up(
        str(root),
        extra,
        torch,
        run=pip,
        probe=lambda: reached,
        disk_usage=lambda folder: PLENTY,
        works=lambda command: os.path.exists(command[0]),
    )


def _never(*_):
    raise AssertionError("nothing should be run or asked here")


# ---------------------------------------------------------------- the good cases


def test_a_first_call_installs_and_stamps_last(course):
    pip = Pip(course)
    assert _set_up(course, pip) is True
    assert [("venv" in c, "install" in c) for c in pip.commands[:3]] == [
        (True, False),
        (False, True),
        (False, True),
    ]
    assert "complete" not in pip.states, "the stamp is written when everything is there"
    settings = json.loads((course / ".venv/share/jupyter/lab/settings/overrides.json").read_text())
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert setup.is_complete(str(course), "lab")
    assert not setup.is_complete(str(course), "test")


def test_a_second_call_runs_nothing_and_asks_no_network(course):
    _set_up(course, Pip(course))
    assert setup.set_up(str(course), "lab", run=_never, probe=_never, disk_usage=_never, works=_never) is False


def test_tests_contain_lab_and_stay(course):
    _set_up(course, Pip(course), "test")
    assert setup.is_complete(str(course), "lab")
    (course / "constraints.txt").open("a").write("# changed\n")
    pip = Pip(course)
    assert _set_up(course, pip, "lab")
    assert ".[test]" in pip.commands[-2], "a later make lab does not take the tests away"


def test_torch_and_torchvision_come_in_one_call(course, capsys):
    for reached, build in ((True, "+cpu"), (False, "")):
        root = course / ("cpu" if reached else "default")
        root.mkdir()
        for name in ("pyproject.toml", "constraints.txt"):
            (root / name).write_bytes((ROOT / name).read_bytes())
        pip = Pip(root, build)
        _set_up(root, pip, reached=reached)
        calls = [c for c in pip.installs() if any(re.match("torch(vision)?[<>=]", word) for word in c)]
        assert len(calls) == 1 and {"torch", "torchvision"} <= {re.split("[<>=]", word)[0] for word in calls[0]}
        assert (setup.CPU_INDEX in calls[0]) is reached
        assert ("CPU build (" in capsys.readouterr().out) is reached


def test_torch_cuda_never_asks_the_cpu_index_and_replaces_the_cpu_build(course):
    _set_up(course, Pip(course, "+cpu"), reached=True)
    assert not setup.is_complete(str(course), "lab", "cuda")
    pip = Pip(course)
    setup.set_up(str(course), "lab", "cuda", run=pip, probe=_never, disk_usage=lambda f: PLENTY, works=lambda c: True)
    assert "uninstall" in pip.commands[0]
    assert not any(setup.CPU_INDEX in command for command in pip.commands)
    assert setup.is_complete(str(course), "lab", "cuda") and setup.is_complete(str(course), "lab")


# ---------------------------------------------------------------- interrupted, changed, moved


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_an_interrupted_install_is_noticed_and_repaired(course, capsys, at):
    with pytest.raises(KeyboardInterrupt):
        _set_up(course, Pip(course, fail_at=at, output="interrupt"))
    assert not setup.is_complete(str(course), "lab")
    capsys.readouterr()
    pip = Pip(course)
    assert _set_up(course, pip)
    said = capsys.readouterr().out
    assert ("did not finish" in said) is (at > 0), said
    assert any("venv" in command for command in pip.commands) is (at == 0), "what works is used again"
    assert setup.is_complete(str(course), "lab")


def test_half_installed_packages_are_forgotten(course, capsys):
    pip = Pip(course)
    with pytest.raises(KeyboardInterrupt):
        _set_up(course, Pip(course, fail_at=2, output="interrupt"))
    (pip.packages / "whole.py").write_text("x = 1\n")
    (pip.packages / "short.py").write_text("x =")
    pip.add("whole-1.0", "whole.py,sha256=0,6\nwhole-1.0.dist-info/RECORD,,\n")
    pip.add("short-1.0", "short.py,sha256=0,6\n")
    pip.add("gone-1.0", "gone.py,sha256=0,6\n")
    (pip.packages / "norecord-1.0.dist-info").mkdir()
    (pip.packages / "~orch").mkdir()
    _set_up(course, pip)
    left = {path.name for path in pip.packages.iterdir()}
    assert "whole-1.0.dist-info" in left
    assert not left & {"short-1.0.dist-info", "gone-1.0.dist-info", "norecord-1.0.dist-info", "~orch"}
    assert "gone, norecord, short" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["pyproject.toml", "constraints.txt", ".venv/pyvenv.cfg", "stamp", "python"])
def test_what_an_install_depends_on_is_watched(course, change):
    _set_up(course, Pip(course))
    if change == "stamp":
        (course / ".venv" / setup.STAMP).write_text('{"state": "compl')
    elif change == "python":
        os.remove(setup.venv_python(str(course)))
    else:
        (course / change).open("a").write("\n# changed\n")
    assert not setup.is_complete(str(course), "lab")
    assert _set_up(course, Pip(course))
    assert setup.is_complete(str(course), "lab")


def test_a_moved_folder_gets_a_new_environment(course, capsys):
    _set_up(course, Pip(course))
    moved = course.rename(course.with_name("moved course"))
    pip = Pip(moved)
    assert _set_up(moved, pip)
    assert "--clear" in pip.commands[0] and "has moved" in capsys.readouterr().out


def test_someone_elses_folder_is_not_deleted(course):
    (course / ".venv").mkdir()
    (course / ".venv" / "thesis.txt").write_text("years of work")
    with pytest.raises(setup.SetupError, match="not a virtual environment"):
        _set_up(course, Pip(course))
    assert (course / ".venv" / "thesis.txt").exists()


@pytest.mark.skipif(setup.fcntl is None, reason="no file locks of this kind on Windows")
def test_two_set_ups_of_one_folder_do_not_meet(course, capsys):
    pip = Pip(course)
    with setup.only_one(str(course)):
        second = threading.Thread(target=_set_up, args=(course, pip))
        second.start()
        second.join(0.3)
        assert second.is_alive() and not pip.commands, "the second one waits"
    second.join(30)
    assert not second.is_alive() and setup.is_complete(str(course), "lab")
    assert "waiting for it" in capsys.readouterr().out


# ---------------------------------------------------------------- the bad cases


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 9, 18)])
def test_old_python_is_named_with_a_newer_one_where_there_is_one(version):
    with pytest.raises(setup.SetupError, match=rf"Python 3\.{version[1]} is too old.*needs Python 3\.10") as caught:
        setup.require_python(version, works=lambda command: False)
    assert "Install a newer Python" in caught.value.remedy
    with pytest.raises(setup.SetupError) as caught:
        setup.require_python(version, works=lambda command: command[0] == "python3.12")
    assert "make lab PYTHON=python3.12" in caught.value.remedy
    setup.require_python((3, 10, 0))


def test_setup_has_no_syntax_newer_than_python_3_6():
    import ast

    ast.parse((ROOT / "tools/setup.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_missing_venv_names_debians_package():
    with pytest.raises(setup.SetupError, match="no module ensurepip") as caught:
        setup.require_venv(find_spec=lambda name: None if name == "ensurepip" else object())
    assert "sudo apt install python3-venv" in caught.value.remedy


def test_a_full_disk_is_noticed_before_anything_is_written(course):
    pip = Pip(course)
    with pytest.raises(setup.SetupError, match=r"No disk space: about 2\.0 GB .* 1\.0 GB are free"):
        setup.set_up(str(course), "lab", run=pip, probe=_never, disk_usage=lambda f: Usage(0, 0, 10**9))
    assert not pip.commands and not (course / ".venv").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the default build is large on Linux only")
def test_the_default_build_asks_for_more_space(course):
    with pytest.raises(setup.SetupError, match=r"about 9\.5 GB"):
        setup.set_up(
            str(course),
            "lab",
            run=Pip(course),
            probe=lambda: False,
            disk_usage=lambda f: Usage(0, 0, 5 * 10**9),
            works=lambda c: os.path.exists(c[0]),
        )


@pytest.mark.parametrize(
    ("output", "expected", "remedy"),
    [
        (NO_NETWORK, "No network", "Check the connection"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "No disk",
            "Free",
        ),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", "certificate", "proxy"),
        (
            "ERROR: No matching distribution found for torch<3,>=2.14",
            "no versions that fit",
            "PYTHON=python3.12",
        ),
        ("something nobody foresaw", "something nobody foresaw", "start afresh"),
        ("", "printed nothing", "start afresh"),
    ],
)
def test_pips_failures_are_told_apart(course, output, expected, remedy):
    with pytest.raises(setup.SetupError) as caught:
        _set_up(course, Pip(course, fail_at=1, output=output))
    assert expected in caught.value.message and remedy in caught.value.remedy
    assert not setup.is_complete(str(course), "lab")


def test_torchvision_from_another_place_is_said(course):
    pip = Pip(course, fail_at=3, output="RuntimeError: operator torchvision::nms does not exist")
    with pytest.raises(setup.SetupError, match=r"torchvision 0\.29\.2 does not work with torch 2\.15\.0") as caught:
        _set_up(course, pip)
    assert "uninstall" in caught.value.remedy
    assert not setup.is_complete(str(course), "lab")


def test_an_unknown_torch_is_refused(course):
    with pytest.raises(setup.SetupError, match="TORCH=gpu is not known"):
        _set_up(course, Pip(course), torch="gpu")


@pytest.mark.parametrize("error", [setup.SetupError("No network.", "Connect."), OSError(28, "No space left on device")])
def test_the_command_line_prints_message_and_remedy_without_traceback(monkeypatch, capsys, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(setup, "set_up", fail)
    monkeypatch.setattr(setup.signal, "signal", lambda *_: None)
    assert setup.main(["--extra", "lab"]) == 1
    said = capsys.readouterr().err
    assert "Set-up stopped. No " in said and "Remedy: " in said and "Traceback" not in said


def test_an_interrupt_is_one_plain_line(monkeypatch, capsys):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "set_up", fail)
    monkeypatch.setattr(setup.signal, "signal", lambda *_: None)
    assert setup.main([]) == 130
    assert "carries on" in capsys.readouterr().err


@pytest.mark.parametrize("failure", ["refused", "hanging"])
def test_an_index_that_does_not_answer_is_not_reached(failure):
    def urlopen(url, timeout):
        if failure == "refused":
            raise OSError("Name or service not known")
        time.sleep(60)

    assert setup.cpu_index_reached(seconds=-0.9, urlopen=urlopen) is False


# ---------------------------------------------------------------- running commands


def test_output_is_kept_and_the_main_steps_are_shown(course, capsys):
    (course / ".venv").mkdir()
    lines = [
        "Collecting torch",
        "Downloading torch-2.15.0-cp311-cp311-linux_x86_64.whl (506.1 MB)",
        "Downloading a.whl (9 kB)",
    ]
    code = f"import sys; print(*{lines!r}, 'Installing collected packages: a, b', sep='\\n'); sys.exit(3)"
    status, output = setup.run_command([sys.executable, "-c", code], str(course))
    assert status == 3 and all(line in output for line in lines)
    assert (course / ".venv" / setup.LOG).read_text() == output
    assert capsys.readouterr().out == "  downloading torch-2.15.0 (506.1 MB)\n  unpacking 2 packages\n"


# ---------------------------------------------------------------- Lab


@pytest.fixture
def taken():
    """A port on which something listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_a_taken_port_is_refused_with_a_free_one(taken):
    with pytest.raises(lab.LabError, match=rf"Port {taken} is taken") as caught:
        lab.choose_port(str(taken))
    other = int(re.search(r"PORT=(\d+)", str(caught.value)).group(1))
    assert other != taken and lab.is_free(other)


def test_without_port_the_first_free_one_is_used(taken):
    assert lab.free_port(taken) > taken
    assert lab.choose_port("") >= lab.FIRST_PORT


@pytest.mark.parametrize("asked", ["eighty", "80", "70000", "-1", "8888.0", "８８８８"])
def test_what_is_no_port_is_refused(asked):
    with pytest.raises(lab.LabError, match="whole number from 1024 to 65535"):
        lab.choose_port(asked)


def test_lab_asks_no_network_and_keeps_its_token():
    command = lab.lab_command("notebooks/00_start_here.ipynb", 8899, browser=False)
    assert set(lab.QUIET) <= set(command)
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in command
    assert "--port=8899" in command and "--no-browser" in command
    assert not any("token" in word or "password" in word for word in command)
    assert "--no-browser" not in lab.lab_command("notebooks/00_start_here.ipynb", 8899)


def test_labs_own_flags_mean_what_we_mean():
    jupyterlab = pytest.importorskip("jupyterlab.labapp")
    assert jupyterlab.LabApp.news_url.from_string("None") is None
    from jupyterlab import NeverCheckForUpdate

    assert NeverCheckForUpdate.__name__ in " ".join(lab.QUIET)


def test_a_missing_notebook_and_a_taken_port_are_plain_failures(taken, capsys):
    assert lab.main(["notebooks/99_nothing.ipynb"]) == 1
    assert "There is no notebooks/99_nothing.ipynb" in capsys.readouterr().err
    assert lab.main(["Makefile"], {"PORT": str(taken)}) == 1
    assert f"Port {taken} is taken" in capsys.readouterr().err


# ---------------------------------------------------------------- make

TARGETS = [
    "lab",
    "test",
    "course",
    "notebooks",
    "lesson",
    "benchmarks",
    "verify-results",
    "lint",
    "clean",
    "help",
]


def _make(*arguments: str) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    for name in ("PYTHON", "TORCH", "N", "FORCE", "METAUTIL_PYTEST"):
        environment.pop(name, None)
    return subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", *arguments],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_make_lists_its_commands_with_and_without_help():
    listed = _make("help").stdout
    assert _make().stdout == listed
    assert re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE) and set(
        re.findall(r"^  make ([a-z-]+) +\S", listed, re.MULTILINE)
    ) == set(TARGETS)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lab"], ['--extra lab --torch ""', "-m tools.lab"]),
        (["lab", "TORCH=cuda"], ['--extra lab --torch "cuda"']),
        (["course"], ["--extra lab", "-m tools.course"]),
        (["notebooks", "FORCE=1"], ["--extra test", "-m tools.build --force"]),
        (["lesson", "N=03"], ['-m tools.build --only "03" --preview']),
        (["verify-results"], ["-m benchmarks.verify"]),
        (["benchmarks"], ["-m benchmarks.run"]),
        (["test"], ["--extra test", "--nbval ", "tests notebooks", "ATEN_CPU_CAPABILITY=default"]),
    ],
)
def test_make_runs_the_set_up_and_then_the_tool(arguments, expected):
    done = _make("-n", *arguments)
    assert done.returncode == 0, done.stderr
    positions = [done.stdout.find(words) for words in expected]
    assert -1 not in positions and positions == sorted(positions), done.stdout


def test_make_says_when_there_is_no_python():
    done = _make("lab", "PYTHON=python-that-is-not-there")
    assert done.returncode != 0 and "There is no program python-that-is-not-there" in done.stdout


def test_ci_calls_the_readmes_test_command():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert script.rstrip().endswith("\nmake test")
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci/run")]).returncode == 0


def test_the_stamp_is_written_in_one_step(course, monkeypatch):
    _set_up(course, Pip(course))
    before = setup.read_stamp(str(course))
    monkeypatch.setattr(setup.os, "replace", _never)
    with pytest.raises(AssertionError):
        setup.write_stamp(str(course), state="installing")
    assert setup.read_stamp(str(course)) == before == json.loads((course / ".venv" / setup.STAMP).read_text())
