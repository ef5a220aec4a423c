"""The formula registry: every numbered formula of the lessons, checked by machine.

The formulas stand in ``lessons/lesson_NN/formulas.py``; `FORMULAS` here is all of them. Each is computed twice on
random inputs, by two functions that share no code, and a near miss, a plausible wrong version, has to fail. A lesson's
formula that is not listed, or is listed in other words, fails.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies

from lessons.shared.formulas import equal, positive, real, sizes

FOLDER = Path(__file__).parent
LESSONS = sorted((FOLDER.parent / "lessons").glob("lesson_*/[0-9]*.md"))
FORMULA = re.compile(r"^\$\$\n(.*?)\n\\tag\{([^}]*)\}\n\$\$$", re.MULTILINE | re.DOTALL)
MODULES = [
    importlib.import_module(f"lessons.{path.parent.name}.formulas")
    for path in sorted((FOLDER.parent / "lessons").glob("lesson_*/formulas.py"))
]
FORMULAS = {tag: formula for module in MODULES for tag, formula in module.FORMULAS.items()}
DEFINITIONS = {tag: formula for tag, formula in FORMULAS.items() if formula.kind == "definition"}
SEEDS = range(5)
ANY_SEED = strategies.integers(0, 2**31)


def in_lessons() -> dict[str, str]:
    """Tag → LaTeX with single spaces, of every display formula in the lessons."""
    found = {}
    for lesson in LESSONS:
        text = lesson.read_text(encoding="utf-8")
        matches = FORMULA.findall(text)
        assert text.count("$$") == 2 * len(matches), f"{lesson.name} has display mathematics without a \\tag"
        for latex, tag in matches:
            assert tag not in found, f"({tag}) stands twice"
            found[tag] = " ".join(latex.split())
    return found


def test_every_formula_is_registered_in_its_own_words():
    registered = {tag: " ".join(formula.latex.split()) for tag, formula in FORMULAS.items()}
    assert in_lessons() == registered


@pytest.mark.parametrize("tag", FORMULAS)
@settings(max_examples=20)
@given(seed=ANY_SEED)
def test_formula_holds(tag, seed):
    """On random shapes and values; a seed draws both."""
    formula = FORMULAS[tag]
    inputs = formula.draw(torch.Generator().manual_seed(seed))
    assert (formula.holds or equal)(formula.left(*inputs), formula.right(*inputs)), f"({tag}) {formula.latex}"


@pytest.mark.parametrize("tag", FORMULAS)
def test_near_miss_fails(tag):
    """Every seed tells the near miss from the formula."""
    formula = FORMULAS[tag]
    holds = formula.holds or equal
    verdicts = []
    for seed in SEEDS:
        inputs = formula.draw(torch.Generator().manual_seed(seed))
        verdicts.append(holds(formula.left(*inputs), formula.near_miss(*inputs)))
    assert not any(verdicts), f"({tag}): the near miss passes"


@pytest.mark.parametrize("tag", DEFINITIONS)
def test_definition_names_its_implementation(tag):
    """The docstring of the implementation names the formula (3.1 names the general function, whose formula is 0.3)."""
    implementation = FORMULAS[tag].implementation
    named = "(0.3)" if tag == "3.1" else f"({tag})"
    assert named in implementation.__doc__, f"{implementation.__name__} does not say that it is {named}"


@pytest.mark.parametrize("tag", FORMULAS)
def test_sides_share_no_code(tag):
    """The two sides use disjoint sets of functions of the package, this file's helpers included."""
    left, right = (reach(side) for side in FORMULAS[tag][3:5])
    shared = left & right - {real, positive, sizes}
    assert not shared, f"({tag}): both sides use {sorted(f.__name__ for f in shared)}"


def reach(function: Callable) -> set[Callable]:
    """Functions of the registry and of metautil that ``function`` uses, directly or through the registry's helpers."""
    found: set[Callable] = set()

    def visit(item: Any) -> None:
        module = getattr(item, "__module__", "") or ""
        if not callable(item) or item in found or not module.startswith(("lessons.", "metautil")):
            return
        if getattr(item, "__name__", "") != "<lambda>":
            found.add(item)
        if module.startswith("lessons.") and hasattr(item, "__code__"):
            for name in names(item.__code__):
                if name in item.__globals__:
                    visit(item.__globals__[name])

    def names(code) -> set[str]:
        inner = (constant for constant in code.co_consts if hasattr(constant, "co_names"))
        return reduce(set.union, map(names, inner), set(code.co_names))

    visit(function)
    return found
