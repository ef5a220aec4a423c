"""Lines of code, part by part: ``python -m tools.lines`` prints the table, with and without docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ("risks", "updates", "models", "tasks", "training", "learners")
PARTS = {
    "core": [f"metautil/{module}.py" for module in CORE],
    "metautil": ["metautil/**/*.py", "metautil/**/*.js"],
    "tests": ["tests/**/*.py"],
    "tools": ["tools/**/*.py"],
    "lessons": ["lessons/**/*.py", "lessons/**/*.js"],
    "benchmarks": ["benchmarks/**/*.py"],
}
"""Part to its files; the core is part of the package, the tests of a lesson are part of the lessons."""


def count(path: Path) -> tuple[int, int]:
    """Lines of a file, and those that are no docstring (nor any other text that stands by itself)."""
    text = path.read_text("utf-8")
    lines, docstrings = len(text.splitlines()), 0
    for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
        match node:
            case ast.Expr(ast.Constant(str())):
                docstrings += node.end_lineno - node.lineno + 1
    return lines, lines - docstrings


def table(root: Path = ROOT) -> dict[str, tuple[int, int]]:
    """Part → lines, and lines without docstrings."""
    found = {}
    for part, patterns in PARTS.items():
        counts = [count(path) for pattern in patterns for path in root.glob(pattern)]
        found[part] = tuple(map(sum, zip(*counts, strict=True)))
    return found


def report() -> str:
    """The table as text."""
    rows = (f"{part:<11}{lines:>7,}{code:>20,}" for part, (lines, code) in table().items())
    return "\n".join([f"{'part':<11}{'lines':>7}{'without docstrings':>20}", *rows])


if __name__ == "__main__":
    print(report())
