"""Lesson 01: its figure's target can be reached, what the text says of it holds, and the diagnostic recognises answers."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from benchmarks import few_shot
from benchmarks.store import Store
from lessons.lesson_01 import checks as ask
from lessons.shared.cells import shown

LESSON = Path(__file__).parent / "01_everything_is_a_mapping.md"
QUESTIONS = {name: value for name, value in vars(ask).items() if isinstance(value, ask.Question)}


@pytest.fixture(scope="module")
def course() -> list[list[float]]:
    """Support and query shares of both learners, in per cent, after each number of steps."""
    ((scene, controls),) = shown(LESSON)
    return [[float(n) for n in re.findall(r"([\d.]+)%", scene.move(steps=k))] for k in controls["steps"].stops()]


def test_target_is_reached_and_not_at_the_start(course):
    lead = [pretrained - scratch for _, scratch, _, pretrained in course]
    assert [k for k, points in enumerate(lead) if points >= 38] == [4, 5, 6]
    both = [k for k, (first, _, second, _) in enumerate(course) if first == second == 100]
    assert both == list(range(12, 31)) and round(lead[12]) == 25


def test_what_the_text_says_of_the_figure(course):
    pretrained = [row[3] for row in course]
    assert pretrained.index(max(pretrained)) < 10 and 0 < max(pretrained) - pretrained[-1] < 5
    assert 0 < course[-1][1] - course[12][1] < 15


def test_what_the_text_says_of_the_stored_run():
    """Pixels, from scratch, pretrained: intervals apart, and the lead smaller with five images than with one."""
    store = Store("few_shot")
    lead = {}
    for shots in few_shot.SHOTS:
        names = (few_shot.PIXELS, few_shot.SCRATCH, few_shot.PRETRAINED)
        rows = [store.row(f"{name}, {shots} shot", "accuracy") for name in names]
        assert all(low["interval"][1] < high["interval"][0] for low, high in itertools.pairwise(rows))
        lead[shots] = rows[2]["mean"] - rows[1]["mean"]
        assert lead[shots] > 3 * (rows[2]["interval"][1] - rows[2]["interval"][0])
        gain = rows[1]["mean"] - rows[0]["mean"]
        assert shots == 1 or gain > lead["gain"]
        lead["gain"] = gain
    assert lead[5] < lead[1]


def test_what_the_text_says_of_the_meta_learned():
    """Prototypes ahead in both columns; Meta-SGD ahead of the pretrained start with one image a class, behind it with five."""
    store = Store("few_shot")
    for shots, ahead in ((1, True), (5, False)):
        pretrained, start, features = (
            store.row(f"{name}, {shots} shot", "accuracy")
            for name in (few_shot.PRETRAINED, few_shot.META_SGD, few_shot.PROTOTYPES)
        )
        assert features["interval"][0] > max(pretrained["interval"][1], start["interval"][1])
        assert (start["mean"] > pretrained["mean"]) == ahead
        assert all((seed > pretrained["mean"]) == ahead for seed in start["seeds"])


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_know_right_wrong_and_untried_answers(name, capsys):
    question = QUESTIONS[name]
    assert question.judge(None) == question.judge(...) == ("not attempted", "")
    assert question.judge(question.right) == ("correct", "")
    assert len(question.wrong) >= 4 and question.right not in question.wrong
    for answer, finding in question.wrong.items():
        assert question.judge(answer) == ("wrong", finding)
    assert question.judge("nonsense")[0] == "wrong" and "expected" in question.judge("nonsense")[1]
    question(next(iter(question.wrong)))
    assert "If you missed it" in capsys.readouterr().out


def test_answers_of_the_diagnostic():
    """Computed, not looked up."""
    import torch

    slope = torch.func.grad(lambda t: (3 * t + 1) ** 2)(torch.tensor(1.0))
    second = torch.func.grad(lambda p: 0.5 * (p[0] ** 2 + 4 * p[1] ** 2))(torch.ones(2))[1]
    entries = (torch.ones(3, 2) @ torch.ones(2, 5)).numel()
    add = lambda a: lambda x: x + a  # noqa: E731
    computed = [slope, second, entries, 75 / 5, add(2)(3), (1 / 4) ** 0.5]
    assert [float(value) for value in computed] == [question.right for question in ask.DIAGNOSTIC]


def test_lists_are_as_good_as_tuples_and_wrong_kinds_are_told():
    assert ask.check_types.judge(["learner", "network", "risk"]) == ("correct", "")
    assert "a tuple of words is expected" in ask.check_types.judge("learner")[1]
    assert "no name" in ask.check_types.judge(("head",))[1]
