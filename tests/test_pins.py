"""One list of dependencies: pyproject.toml; constraints.txt and environment.yml agree with it."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import setup

ROOT = Path(__file__).resolve().parent.parent


def _ranges(lines: list[str]) -> dict[str, Requirement]:
    """Return requirements by name; extras that name the course itself are left out."""
    found = {canonicalize_name(r.name): r for r in map(Requirement, lines)}
    found.pop("metautil", None)
    return found


def _listed(name: str) -> dict[str, Requirement]:
    """Return what a file of dependencies lists (as text: Python 3.10 has no tomllib)."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name == "constraints.txt":
        return _ranges([line for line in text.splitlines() if line.strip() and not line.startswith("#")])
    if name == "environment.yml":
        lines = re.findall(r"^ +- ([a-z0-9-]+[<>=!].*)$", text[text.index("dependencies:") :], re.MULTILINE)
        return _ranges([re.sub(r"^pytorch(?=[<>=!])", "torch", line) for line in lines])
    lines = re.findall(r'"([^"\n]+)"', text[text.index("\ndependencies") : text.index("[tool.")])
    assert len(lines) > 20
    return _ranges(lines)


def test_environment_repeats_the_ranges_of_pyproject():
    repeated = {name: r.specifier for name, r in _listed("environment.yml").items()}
    python = f'requires-python = "{repeated.pop("python")}"'
    assert repeated == {name: r.specifier for name, r in _listed("pyproject.toml").items()}
    assert python in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert python == 'requires-python = ">={}.{}"'.format(*setup.OLDEST_PYTHON)


def test_each_constraint_is_exact_and_lies_in_its_range():
    ranges, pins = _listed("pyproject.toml"), _listed("constraints.txt")
    assert set(ranges) <= set(pins), f"not in constraints.txt: {sorted(set(ranges) - set(pins))}"
    for name, pin in pins.items():
        (only,) = pin.specifier
        assert only.operator == "==" and not only.version.endswith("*"), f"{pin} is not exact"
        assert name not in ranges or ranges[name].specifier.contains(only.version), f"{pin} and {ranges[name]}"
    for build in ("", "+cpu", "+cu132"):
        assert pins["torch"].specifier.contains("2.15.0" + build), "the pin holds for every build"
    assert not ranges["torch"].specifier.contains("2.13.0+cpu"), "a stray wheel that breaks torchvision"
