"""Is everything there? The check that opens lesson 00."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from jupyter_core.paths import jupyter_path
from packaging.requirements import Requirement

from metautil.datasets.cache import cache_root

AGAIN = "run `make lab` again in the course's folder; it repairs the installation"


def check_environment() -> None:
    """Print a line for each thing the course needs: OK, or FAIL with what is wrong and what to do."""
    for name, problem in checks():
        print(f"FAIL {name}: {problem}" if problem else f"OK   {name}")


def checks() -> Iterator[tuple[str, str]]:
    """Yield (what was looked at, what is wrong with it); an empty string where nothing is."""
    yield "Python 3.10 or newer", python_problem(sys.version_info[:2])
    for line in importlib.metadata.requires("metautil") or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():  # leaves the extras out
            yield f"package {requirement.name}", package_problem(requirement)
    yield "sliders, the kernel's part (ipywidgets)", widget_problem()
    yield "sliders, JupyterLab's part (widget extension)", extension_problem(jupyter_path("labextensions"))
    yield "folder for generated data can be written", folder_problem(cache_root)


def python_problem(found: tuple[int, int]) -> str:
    """Say what is wrong with a Python version (major, minor), or nothing."""
    if found >= (3, 10):
        return ""
    return f"this is Python {found[0]}.{found[1]}; install Python 3.10 or newer, delete the folder .venv, run `make lab` again"


def package_problem(requirement: Requirement) -> str:
    """Say what is wrong with an installed package, or nothing."""
    try:
        found = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"not installed; {AGAIN}"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"version {found} is installed, {requirement.specifier} is needed; {AGAIN}"
    return ""


def widget_problem() -> str:
    """Say whether the running kernel can make widgets."""
    try:
        import ipywidgets

        ipywidgets.IntSlider().close()
    except Exception as error:  # whatever it is, the learner is told
        return f"{type(error).__name__}: {error}; {AGAIN}, then restart the kernel"
    return ""


def extension_problem(folders: list[str]) -> str:
    """Say whether JupyterLab can draw widgets; ``folders`` is where Lab looks for extensions."""
    parts = {"jupyterlab-widgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}
    missing = [
        package
        for package, part in parts.items()
        if not any((Path(folder) / part / "package.json").exists() for folder in folders)
    ]
    if not missing:
        return ""
    return (
        f"JupyterLab would show pictures instead of sliders; run `pip install {' '.join(missing)}` in the environment that "
        "starts JupyterLab, and reload the page"
    )


def folder_problem(root: Callable[[], Path]) -> str:
    """Say whether the folder that ``root`` returns, or the nearest one above it that exists, can be written to."""
    try:
        folder = root()
        while not folder.exists():
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except (OSError, RuntimeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return f"{reason}; lessons run all the same, slower. Set METAUTIL_CACHE to a folder that you can write to"
