"""Two wheels: ``metautil``, which is carried home, and ``metautil-course``, with which notebooks run without this folder.

The second holds what notebooks import of ``lessons``, and the stored results in ``lessons/stored``: no texts, answers or tests.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IN_NO_WHEEL = shutil.ignore_patterns(
    "*.md", "*.toml", "answers.py", "formulas.py", "cells.py", "test_*.py", "template", "__pycache__"
)
COURSE = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "metautil-course"
version = "{version}"
description = "Figures, checks and stored results of the course Everything Is a Mapping"
license = "BSD-3-Clause"
dependencies = ["metautil=={version}"]
[tool.setuptools.packages.find]
include = ["lessons*"]
[tool.setuptools.package-data]
"*" = ["*.js", "*.json"]
"""


def build(out: Path) -> list[Path]:
    """Build both wheels from copies of their files, so that nothing is left behind here; return where they are.

    Where pip cannot build one it says why, ``subprocess.CalledProcessError`` is raised, and the wheels in ``out`` stay.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wheels-", dir=out) as name:
        home, course, ready = (Path(name) / part for part in ("home", "course", "ready"))
        shutil.copytree(ROOT / "metautil", home / "metautil", ignore=IN_NO_WHEEL)
        shutil.copytree(ROOT / "lessons", course / "lessons", ignore=IN_NO_WHEEL)
        shutil.copytree(ROOT / "benchmarks/results", course / "lessons/stored")
        for file, folder in (("pyproject.toml", home), ("README.md", home), ("LICENSE", home), ("LICENSE", course)):
            shutil.copy(ROOT / file, folder)
        version = re.search(r'^version = "(.+)"', (home / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[1]
        (course / "pyproject.toml").write_text(COURSE.format(version=version), "utf-8")
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([*pip, "--wheel-dir", ready, home, course], check=True)
        return [wheel.replace(out / wheel.name) for wheel in sorted(ready.glob("*.whl"))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.wheels", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the wheels")
    print(*build(parser.parse_args().out), sep="\n")
