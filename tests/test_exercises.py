"""The checks of the exercises: solutions pass, stubs are told apart, mistakes are recognised by name.

The answers stand in ``lessons/lesson_NN/answers.py``, written anew as a learner would write them.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import torch

from lessons.lesson_03 import checks as lesson_03
from lessons.shared.checks import Exercise

LESSONS = Path(__file__).parent.parent / "lessons"
NUMBERS = [path.parent.name for path in sorted(LESSONS.glob("lesson_*/answers.py"))]
ANSWERS = [importlib.import_module(f"lessons.{number}.answers") for number in NUMBERS]
CHECKS = {
    name: check
    for number in NUMBERS
    for name, check in vars(importlib.import_module(f"lessons.{number}.checks")).items()
    if isinstance(check, Exercise)
}
OTHER_SOLUTIONS = {name: ways for module in ANSWERS for name, ways in module.OTHER_SOLUTIONS.items()}
MISCONCEPTIONS = [entry for module in ANSWERS for entry in module.MISCONCEPTIONS]
SEEDS = (0, 1, 12345)


def solution_of(name: str):
    """The reference solution as the lesson's source has it, run as a learner's cell would be."""
    for lesson in LESSONS.glob("lesson_*/[0-9]*.md"):
        for cell in re.findall(r"```\{code-cell\}[^\n]*\n(.*?)```", lesson.read_text(encoding="utf-8"), re.DOTALL):
            called = re.search(rf"^{name}\((\w+)\)", cell, re.MULTILINE)
            if called:
                scope = {"torch": torch}
                exec(cell[: called.start()], scope)
                return scope[called[1]]
    raise AssertionError(f"no lesson calls {name}")


def generators():
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


def test_every_exercise_is_covered_here():
    assert CHECKS.keys() == OTHER_SOLUTIONS.keys()
    for name, check in CHECKS.items():
        listed = sum(exercise == name for exercise, _, _ in MISCONCEPTIONS)
        assert listed == len(check.mistakes), f"{name} knows {len(check.mistakes)} mistakes, {listed} are tried here"


@pytest.mark.parametrize("name", CHECKS)
def test_solution_and_two_other_ways_are_correct(name):
    for answer in (solution_of(name), *OTHER_SOLUTIONS[name]):
        for generator in generators():
            verdict = CHECKS[name].judge(answer, generator)
            assert verdict.status == "correct", verdict.finding


@pytest.mark.parametrize("name", CHECKS)
def test_stub_is_not_attempted(name, capsys):
    for stub in (None, ..., lambda *arguments: ...):
        assert CHECKS[name].judge(stub, torch.Generator()).status == "not attempted"
    CHECKS[name](None)
    assert "not attempted yet" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "words", "answer"), MISCONCEPTIONS)
def test_misconception_is_recognised_by_name(name, words, answer):
    for generator in generators():
        verdict = CHECKS[name].judge(answer, generator)
        assert verdict.status == "wrong" and words in verdict.finding, verdict
        assert len(set(verdict.hints)) == 3


@pytest.mark.parametrize("name", CHECKS)
def test_unlisted_wrong_answer_is_still_wrong(name):
    right = solution_of(name)

    def slightly_off(*arguments):
        value = right(*arguments)
        if callable(value):  # an answer that returns a function
            return lambda *others: value(*others) * 1.001
        return tuple(part * 1.001 for part in value) if isinstance(value, tuple) else value * 1.001

    verdict = CHECKS[name].judge(slightly_off, torch.Generator().manual_seed(0))
    assert verdict.status == "wrong" and "no name for" in verdict.finding


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (3.0, "a function is expected"),
        (lambda *arguments: None, "returned None"),
        (lambda: 0, "raised TypeError"),
        (lambda *arguments: "text", "'text'"),
        (lambda *arguments: torch.zeros(17, 3), "(17, 3)"),
        (lambda *arguments: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_told_so(name, answer, words):
    verdict = CHECKS[name].judge(answer, torch.Generator().manual_seed(0))
    assert verdict.status == "wrong" and words in verdict.finding, verdict


def test_hints_climb_three_rungs_and_stay(capsys):
    check = lesson_03.check_line_gradient
    check._told.clear()
    for _ in range(4):
        check(lambda theta, x, y: x.T @ (x @ theta - y))
    hints = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Hint")]
    assert [hint[:11] for hint in hints] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 3 of 3"]
    check(lambda theta, x, y: 2 * x.T @ (x @ theta - y) / len(y))  # another mistake starts at its own first rung
    assert "Hint 1 of 3" in capsys.readouterr().out
    check._told.clear()


def test_a_right_value_with_an_argument_changed_in_place_is_not_yet_right():
    def in_place(gradient, velocity, eta, beta):
        velocity *= beta
        velocity += gradient
        return -eta * velocity, velocity

    verdict = lesson_03.check_heavy_ball.judge(in_place, torch.Generator().manual_seed(0))
    assert verdict.status == "wrong" and "in place" in verdict.finding


def test_32_bits_are_enough():
    for name in CHECKS:
        right = solution_of(name)

        def short(*arguments, right=right):
            value = right(
                *(item.float() if torch.is_tensor(item) and item.is_floating_point() else item for item in arguments)
            )
            return (lambda query: value(query.float())) if callable(value) else value

        for generator in generators():
            assert CHECKS[name].judge(short, generator).status == "correct", name


def test_an_answer_that_works_in_place_cannot_fool_the_check():
    def spoil(theta, x, y_star):
        x.zero_()
        return torch.zeros_like(theta)

    assert lesson_03.check_line_gradient.judge(spoil, torch.Generator().manual_seed(0)).status == "wrong"


def test_no_mistake_passes_for_another():
    """On the same inputs all mistakes of an exercise differ from one another and from the solution."""
    for name, check in CHECKS.items():
        for mistake in check.mistakes:
            verdict = check.judge(mistake.answer, torch.Generator().manual_seed(7))
            assert verdict.finding == mistake.name, (name, mistake.name, verdict)


def test_exercise_numbers_and_calls_agree_with_the_lessons():
    for name, check in CHECKS.items():
        lesson = next(LESSONS.glob(f"*/{int(check.number.split('.')[0]):02d}_*.md")).read_text(encoding="utf-8")
        heading = lesson.index(f"### Exercise {check.number} ·")
        end = lesson.find("### Exercise", heading + 5)
        assert f"{name}(" in lesson[heading:end], f"{name} is not called under exercise {check.number}"
        assert re.search(rf"^{name}\({check.name}\)$", lesson[heading:end], re.MULTILINE)
        assert f"`{check.name}(" in lesson[heading:end], (
            f"the text of exercise {check.number} does not name {check.name}"
        )
        ast.parse(check.call.split(" with ")[0].split(",  ")[0].split(", returning")[0])
