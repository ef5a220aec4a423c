"""The formula registry: every numbered formula of the lessons, checked by machine.

The formulas stand in ``lessons/lesson_NN/formulas.py``; `FORMULAS` here is all of them. Each is computed twice on
random inputs, by two functions that share no code, and a near miss, a plausible wrong version, has to fail. A lesson's
formula that is not listed under its tag, or says something else there, fails; layout and needless brackets do not count.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies

from lessons.shared.formulas import equal, positive, real, sizes

FOLDER = Path(__file__).parent
LESSONS = sorted((FOLDER.parent / "lessons").glob("lesson_*/[0-9]*.md"))
TAGGED = re.compile(r"(.+)\\tag\{([^}]*)\}\s*", re.DOTALL)
LAYOUT = re.compile(r"\\(?:left|right)(?![A-Za-z])\.?|\\q?quad(?![A-Za-z])|\\[,:;!> ]|~|\s+")
BETWEEN_SIDES = re.compile(r"[,;=<>&]|\\(?:leq?|geq?|approx|iff|to|mapsto|\\)")
MODULES = [
    importlib.import_module(f"lessons.{path.parent.name}.formulas")
    for path in sorted((FOLDER.parent / "lessons").glob("lesson_*/formulas.py"))
]
FORMULAS = {tag: formula for module in MODULES for tag, formula in module.FORMULAS.items()}
DEFINITIONS = {tag: formula for tag, formula in FORMULAS.items() if formula.kind == "definition"}
SEEDS = range(5)
ANY_SEED = strategies.integers(0, 2**31)


def in_lessons() -> dict[str, str]:
    """Tag → LaTeX of every display formula in the lessons."""
    found = {}
    for lesson in LESSONS:
        for formula in lesson.read_text(encoding="utf-8").split("$$")[1::2]:
            tagged = TAGGED.fullmatch(formula)
            assert tagged, f"{lesson.name} has display mathematics without a \\tag: {formula}"
            latex, tag = tagged.groups()
            assert tag not in found, f"({tag}) stands twice"
            found[tag] = latex
    return found


def normal(latex: str) -> str:
    r"""LaTeX without what is layout: spaces, \left, \right, braces around one token, brackets around all of a side."""
    text = " ".join(re.findall(r"\\[A-Za-z]+|\\.|\S", LAYOUT.sub(" ", latex)))
    while text != (text := re.sub(r"\{ ([^\s{}]+) \}", r"\1", text)):
        pass
    sides, depth = [[]], 0
    for token in text.split():
        depth += nesting(token)
        if depth == 0 and BETWEEN_SIDES.fullmatch(token):
            sides += [[token], []]
        else:
            sides[-1].append(token)
    return " ".join(token for side in sides for token in without_brackets(side))


def nesting(token: str) -> int:
    return (token in ("(", "[", "{", r"\{")) - (token in (")", "]", "}", r"\}"))


def without_brackets(side: list[str]) -> list[str]:
    """A side of a formula without brackets around all of it; (a, b) and [0, 1] keep theirs."""
    if len(side) < 3 or side[0] + side[-1] not in ("()", "[]", "{}"):
        return side
    depths = list(accumulate(map(nesting, side)))
    if 0 in depths[:-1] or any(token == "," and depth == 1 for token, depth in zip(side, depths, strict=True)):
        return side
    return without_brackets(side[1:-1])


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (r"a = b\,c", "a=b c", True),
        (r"f\!\left( \frac{x}{2} \right), \qquad c \; d", r"f(\frac{x}{2}), c d", True),
        (r"\left. f \right|_{0}", "f |_0", True),
        (r"y = \left( a + b \right)", "y = a + b", True),
        ("y = [(a + b)]", "y = {a + b}", True),
        (r"(a + b) \le c, \quad (d) = e", r"a + b \le c, d = e", True),
        (r"x_{i}^{\top} + {{c}}", r"x_i^\top + c", True),
        (r"\mathcal{L}", r"\mathcal L", True),
        ("y = a + b", "y = a - b", False),
        ("x_i", "x_j", False),
        ("x_{ij}", "x_i j", False),
        ("2 a", "a", False),
        (r"\leftarrow a", r"\rightarrow a", False),
        ("y = 2 (a + b)", "y = 2 a + b", False),
        ("y = (a + b)(c + d)", "y = a + b)(c + d", False),
        ("y = (a + b)^2", "y = a + b^2", False),
        ("y = -(a - b)", "y = -a - b", False),
        ("y = (a, b)", "y = a, b", False),
        (r"S = \{a\}", "S = a", False),
        ("a = b", "b = a", False),
    ],
)
def test_normal_form(one, other, alike):
    assert (normal(one) == normal(other)) is alike


def test_every_formula_is_registered_and_says_the_same():
    written = in_lessons()
    assert sorted(written) == sorted(FORMULAS), "tags in the lessons, and in the registry"
    pairs = {tag: (normal(latex), normal(FORMULAS[tag].latex)) for tag, latex in written.items()}
    differ = [f"({tag}) in the lesson:   {a}\n({tag}) in the registry: {b}" for tag, (a, b) in pairs.items() if a != b]
    assert not differ, "in normal form,\n" + "\n".join(differ)


@pytest.mark.slow
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
