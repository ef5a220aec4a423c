"""The commands: what `make` runs, and how Lab is started."""

from __future__ import annotations

import importlib
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tools import lab

ROOT = Path(__file__).resolve().parent.parent


# Lab


@pytest.fixture
def taken():
    """A port on which something listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_a_taken_port_is_refused_with_a_free_one(taken, capsys):
    assert lab.main(["Makefile"], {"PORT": str(taken)}) == 1
    said = capsys.readouterr().err
    assert f"Port {taken} is taken" in said
    other = re.search(r"make lab PORT=(\d+)", said)[1]
    assert int(other) != taken and lab.wrong_port(other) == ""


@pytest.mark.parametrize("asked", ["eighty", "80", "70000", "-1", "8888.0", "８８８８"])
def test_what_is_no_port_is_refused(asked):
    assert "whole number from 1024 to 65535" in lab.wrong_port(asked)


def test_a_missing_notebook_is_a_plain_failure(capsys):
    assert lab.main(["notebooks/99_nothing.ipynb"]) == 1
    assert "There is no notebooks/99_nothing.ipynb" in capsys.readouterr().err


def test_lab_asks_no_network_and_keeps_its_token():
    usual, other = lab.lab_command(lab.START), lab.lab_command(lab.START, "8899", browser=False)
    for command in (usual, other):
        assert {*lab.QUIET, "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"} <= set(command)
        assert not any("token" in word or "password" in word for word in command)
    assert set(other) - set(usual) == {"--port=8899", "--ServerApp.port_retries=0", "--no-browser"}


def test_labs_own_flags_mean_what_we_mean():
    jupyterlab = pytest.importorskip("jupyterlab.labapp")
    assert jupyterlab.LabApp.news_url.from_string("None") is None
    from jupyterlab import NeverCheckForUpdate

    assert NeverCheckForUpdate.__name__ in " ".join(lab.QUIET)


# make

TARGETS = "lab check test deep proof course notebooks lesson new wheels benchmarks verify-results lint clean help"


def _make(*arguments: str) -> subprocess.CompletedProcess:
    ours = ("MAKE", "MFLAGS", "PYTHON", "TORCH", "N", "FORCE", "METAUTIL_PYTEST")
    environment = {key: value for key, value in os.environ.items() if key not in ours and not key.startswith("MAKE")}
    command = ["make", "-C", str(ROOT), "--no-print-directory", *arguments]
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=60)


def test_make_lists_its_commands_with_and_without_help():
    listed = _make("help").stdout
    assert _make().stdout == listed
    assert sorted(re.findall(r"^  make ([a-z-]+) +\S", listed, re.MULTILINE)) == sorted(TARGETS.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lab"], ['--extra lab --torch ""', "-m tools.lab"]),
        (["lab", "TORCH=cuda"], ['--extra lab --torch "cuda"']),
        (["course"], ["--extra lab", "-m tools.course"]),
        (["notebooks", "FORCE=1"], ["--extra test", "-m tools.build --force"]),
        (["lesson", "N=03"], ['-m tools.build --only "03" --preview']),
        (["new", "N=08", "NAME=heuristics"], ['-m tools.new "08" "heuristics"']),
        (["wheels"], ["--extra test", "-m tools.wheels"]),
        (["verify-results"], ["-m benchmarks.verify"]),
        (["benchmarks"], ["-m benchmarks.run"]),
        (["check"], ["--extra test", '-m "not slow and not deep" tests lessons benchmarks']),
        (["test"], ["--extra test", "--nbval ", '-m "not deep" tests lessons benchmarks notebooks/solutions']),
        (["deep"], ["--extra test", "-m deep tests lessons benchmarks", "-m tools.noise", "-m tools.proof --status"]),
        (["proof"], ["--extra test", "-m tools.proof"]),
    ],
)
def test_make_runs_the_set_up_and_then_the_tool(arguments, expected):
    done = _make("-n", *arguments)
    assert done.returncode == 0, done.stderr
    positions = [done.stdout.find(words) for words in expected]
    assert -1 not in positions and positions == sorted(positions), done.stdout


def test_every_tool_that_make_runs_can_be_started():
    named = re.findall(r"-m ((?:tools|benchmarks)\.\w+)", (ROOT / "Makefile").read_text("utf-8"))
    assert len(named) > 8
    for module in named:
        importlib.import_module(module)


def test_make_says_when_there_is_no_python():
    done = _make("lab", "PYTHON=python-that-is-not-there")
    assert done.returncode != 0 and "There is no program python-that-is-not-there" in done.stdout


def test_ci_calls_the_readmes_test_command_then_make_deep():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert script.rstrip().endswith("\nmake test\nmake deep")
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci/run")]).returncode == 0
