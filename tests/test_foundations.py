"""Printing, intervals, settings and the environment check."""

from __future__ import annotations

import errno
import math

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement

import metautil
from metautil import environment
from metautil.printing import difference, number
from metautil.statistics import mean_interval, share_interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-0.5, "−0.5"),
        (1e-16, "0"),
        (-0.0, "0"),
        (12345.6, "1.23e+04"),
        (1.2e-5, "1.2e−05"),
        (100, "100"),
    ],
)
def test_number(value, text):
    assert number(value) == text
    assert number(torch.tensor(value, dtype=torch.float64)) == text


@pytest.mark.parametrize(
    ("off", "text"),
    [(0, "at most 1e-09"), (3e-16, "at most 1e-09"), (5e-11, "at most 1e-09"), (2e-9, "at most 1e-08"),
     (1.5e-4, "at most 1e-03"), (0.25, "0.25"), (math.nan, "not finite")],
)  # fmt: skip
def test_difference_is_a_bound(off, text):
    a = torch.zeros(3, dtype=torch.float64)
    assert difference(a, a + off) == text
    if text.startswith("at most"):
        assert off <= float(text.split()[-1])


def test_difference_refuses_other_shapes():
    with pytest.raises(ValueError, match="like with like"):
        difference(torch.zeros(3), torch.zeros(3, 1))


def test_mean_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low <= 5 <= high for _, low, high in (mean_interval(rng.normal(5, 2, 6)) for _ in range(2000))]
    assert abs(np.mean(covered) - 0.95) < 0.015


def test_mean_interval_by_hand():
    estimate = mean_interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.302653
    assert estimate.mean == 2 and abs(estimate.high - 2 - 4.302653 / math.sqrt(3)) < 1e-6
    assert abs(estimate.low + estimate.high - 4) < 1e-12


def test_share_interval_by_hand():
    z = 1.959964
    centre, half = (8 + z * z / 2) / (10 + z * z), z / (10 + z * z) * math.sqrt(8 * 2 / 10 + z * z / 4)
    estimate = share_interval(8, 10)
    assert np.allclose(estimate, (0.8, centre - half, centre + half), atol=1e-6)
    assert share_interval(0, 10).low == 0 and share_interval(10, 10).high == 1


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan], []])
def test_mean_interval_refuses(values):
    with pytest.raises(ValueError, match=r"seed|diverged"):
        mean_interval(values)


@pytest.mark.parametrize(("hits", "count"), [(3, 2), (-1, 5), (0, 0)])
def test_share_interval_refuses(hits, count):
    with pytest.raises(ValueError, match="trials"):
        share_interval(hits, count)


def test_begin_settles_type_threads_and_seed():
    before = torch.get_default_dtype(), torch.get_num_threads()
    try:
        first, second = metautil.begin(3), metautil.begin(3)
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_num_threads() == 1
        assert torch.equal(torch.rand(4, generator=first), torch.rand(4, generator=second))
    finally:
        torch.set_default_dtype(before[0])
        torch.set_num_threads(before[1])


# The environment check: every kind of FAIL, with its remedy


def test_everything_is_there_in_the_test_environment(capsys):
    environment.check_environment()
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(line.startswith("OK   ") for line in lines), lines
    for package in ("torch", "torchvision", "jupyterlab", "ipywidgets", "matplotlib"):
        assert f"OK   package {package}" in lines


def test_a_fail_line_names_the_remedy(capsys, monkeypatch):
    monkeypatch.setattr(environment, "checks", lambda: iter([("package x", "not installed; do this")]))
    environment.check_environment()
    assert capsys.readouterr().out == "FAIL package x: not installed; do this\n"


def test_old_python_is_told():
    assert "Python 3.9" in environment.python_problem((3, 9)) and environment.python_problem((3, 13)) == ""


@pytest.mark.parametrize(
    ("requirement", "words"),
    [("no-such-package-of-ours>=1", "not installed; run `make lab`"), ("torch>=99", "99 is needed"), ("torch<1", "<1")],
)
def test_missing_and_old_packages_are_told(requirement, words):
    assert words in environment.package_problem(Requirement(requirement))


def test_missing_lab_extensions_are_told(tmp_path):
    assert "`pip install jupyterlab-widgets anywidget`" in environment.extension_problem([str(tmp_path)])
    for name, left in {"@jupyter-widgets/jupyterlab-manager": "`pip install anywidget`", "anywidget": ""}.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "package.json").write_text("{}")
        problem = environment.extension_problem([str(tmp_path / "none"), str(tmp_path)])
        assert left in problem and bool(left) == bool(problem)


def test_broken_widgets_are_told(monkeypatch):
    import ipywidgets

    def broken():
        raise RuntimeError("no comm")

    monkeypatch.setattr(ipywidgets, "IntSlider", broken)
    assert "no comm" in environment.widget_problem() and "restart" in environment.widget_problem()


def test_read_only_folder_is_told(tmp_path, monkeypatch):
    assert environment.folder_problem(lambda: tmp_path / "not" / "yet") == ""

    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(environment.tempfile, "TemporaryFile", refuse)
    assert "METAUTIL_CACHE" in environment.folder_problem(lambda: tmp_path)
