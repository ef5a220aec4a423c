"""The environment check: every kind of FAIL, with its remedy."""

from __future__ import annotations

import errno

import pytest
from packaging.requirements import Requirement

from lessons.lesson_00 import environment


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
