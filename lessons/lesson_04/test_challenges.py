"""Challenges at the explorer: reachable on the stops, not met at the start, and misses are named and measured."""

from __future__ import annotations

import pytest

from lessons.lesson_04 import challenges
from lessons.lesson_04.challenges import Challenge, check_challenge_1, check_challenge_2, check_challenge_3
from lessons.shared.problems import OPTIMISERS, RULES, problem, walk
from metautil.widgets import Slider

CHALLENGES = (check_challenge_1, check_challenge_2, check_challenge_3)
ETAS = Slider("η", "step size", 0.001, 3.0, default=0.1).stops()
LAMS = Slider("λ", "weight of the new task", 0.01, 100.0, default=1.0, zero=True).stops()

SOLUTIONS = [
    (check_challenge_1, (0.1, 2.5)),
    (check_challenge_1, (0.2, 0.5, "printed")),
    (check_challenge_2, (0.05, 0.5, "printed")),
    (check_challenge_2, (0.001, 0.01, "printed")),
    (check_challenge_2, (0.025, 0.25, "printed", "adam")),
    (check_challenge_3, (0.05, 15)),
    (check_challenge_3, (0.055, 13.0, "derived", "adam")),
]
MISSES = [
    (check_challenge_1, (0.1, 1.0), "T weighs too little, λ = 1: L_T = 0.0546 after 30 steps misses 0.05 by 0.0046", "raise λ"),
    (check_challenge_1, (0.1, 10.0), "T weighs too much, λ = 10: L_D", "lower λ"),
    (check_challenge_1, (0.1, 1.0, "printed"), "T weighs too much, λ/η = 10", "lower λ in proportion"),
    (check_challenge_1, (0.1, 0.01, "printed"), "T weighs too little, λ/η = 0.1", "lower η"),
    (check_challenge_1, (0.01, 2.5), "not arrived", "raise η"),
    (check_challenge_1, (1.0, 2.5), "diverges", "lower η"),
    (check_challenge_1, (0.1, 2.5, "printed"), "diverges", "lower λ"),
    (check_challenge_1, (0.1, 2.5, "derived", "momentum"), "still swings", "lower η"),
    (check_challenge_2, (0.05, 1.0), "derived one", "printed"),
    (check_challenge_2, (0.1, 1.0, "printed"), "η = 0.1 is 0.05 above 0.05", "0.05"),
    (check_challenge_2, (0.1, 0.5, "printed"), "η = 0.1 is 0.05 above", "0.05"),
    (check_challenge_2, (0.05, 1.0, "printed"), "λ/η = 20 moves the limit point by 0.18, 0.13 more", "same factor"),
    (check_challenge_2, (0.05, 2.0, "printed"), "λ/η = 40", "same direction"),
    (check_challenge_2, (0.05, 10.0, "printed"), "λ/η = 200", "λ_printed"),
    (check_challenge_2, (0.05, 0.3, "printed"), "λ/η = 6", "10 η"),
    (check_challenge_2, (0.05, 0.0, "printed"), "λ/η = 0 moves", "10 η"),
    (check_challenge_3, (0.05, 15.0, "printed"), "printed one", "derived"),
    (check_challenge_3, (0.1, 1.0), "T weighs too little", "raise λ"),
    (check_challenge_3, (0.1, 16.0), "diverges", "lower η"),
    (check_challenge_3, (0.03, 40.0), "T weighs too much", "lower λ"),
    (check_challenge_3, (0.001, 15.0), "not arrived", "raise η"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def fresh():
    for check in CHALLENGES:
        check._told.clear()


@pytest.mark.parametrize(("check", "setting"), SOLUTIONS)
def test_a_solution_is_reached(check, setting, capsys):
    assert check.judge(*setting).status == "correct"
    check(*setting)
    assert f"Challenge {check.number}: reached. " in capsys.readouterr().out


@pytest.mark.parametrize("check", CHALLENGES, ids=lambda check: str(check.number))
def test_the_target_is_on_the_stops_and_not_at_the_start(check):
    reached = {
        (eta, lam, rule) for eta in ETAS for lam in LAMS for rule in RULES
        if check.judge(eta, lam, rule).status == "correct"
    }  # fmt: skip
    assert 5 <= len(reached) < len(ETAS) * len(LAMS) / 10
    for rule in RULES:
        for optimiser in OPTIMISERS:
            assert check.judge(0.1, 1.0, rule, optimiser).status == "wrong"


def test_each_target_forces_its_insight():
    """2: λ must follow η. 3: the weight that is needed diverges at the η of the start."""
    for eta, lam in [(eta, lam) for eta in ETAS for lam in LAMS]:
        if check_challenge_2.judge(eta, lam, "printed").status == "correct":
            assert lam < 1 and 7 < lam / eta < 13
        if check_challenge_3.judge(eta, lam).status == "correct":
            assert lam > 12 and eta < 0.1
    assert not any(check_challenge_3.judge(0.1, lam / 10).status == "correct" for lam in range(1000))


@pytest.mark.parametrize("check", (check_challenge_1, check_challenge_3))
def test_judged_by_the_explorers_own_walk(check):
    name, goals = {1: ("linear regression", (0.05, 0.05)), 3: ("quadratic", (0.7, 0.02))}[check.number]
    which = problem(name)
    for eta in ETAS[::5]:
        for lam in LAMS[::5]:
            risks = which.risks(walk(which, eta, lam, steps=30)[30])
            met = all(float(risk) < goal for risk, goal in zip(risks, goals, strict=True))
            assert met == (check.judge(eta, lam).status == "correct")


@pytest.mark.parametrize(("check", "setting", "words", "hint"), MISSES)
def test_a_miss_is_named_measured_and_hinted(check, setting, words, hint):
    verdict = check.judge(*setting)
    assert verdict.status == "wrong" and words in verdict.finding, verdict.finding
    assert len(set(verdict.hints)) == 3 and hint in verdict.hints[2].lower() + verdict.hints[2], verdict.hints[2]


def test_every_ladder_of_hints_is_reached():
    ladders = {name for name, value in vars(challenges).items() if isinstance(value, tuple) and len(value) == 3}
    seen = {check.judge(*setting).hints for check, setting, _, _ in MISSES}
    missing = {name for name in ladders if getattr(challenges, name) not in seen} - {"SETTINGS", "GENERAL"}
    assert not missing


@pytest.mark.parametrize("check", CHALLENGES, ids=lambda check: str(check.number))
def test_nothing_given_is_not_attempted(check, capsys):
    for setting in ((), (None, 1.0), (0.1, None), (..., ...), (0.1, 1.0, None)):
        assert check.judge(*setting).status == "not attempted"
    check(eta=None, lam=None)
    assert capsys.readouterr().out == f"Challenge {check.number}: not attempted yet. {check.goal}\n"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ((0, 1), "η = 0;"), ((-0.1, 1), "η = -0.1;"), ((float("nan"), 1), "η = nan;"), (("0.1", 1), "η = '0.1';"),
        ((True, 1), "η = True;"), ((0.1, -1), "λ = -1;"), ((0.1, float("inf")), "λ = inf;"), (([0.1], 1), "η = [0.1];"),
        ((0.1, 1, "Derived"), "rule = 'Derived'; expected one of derived, printed"),
        ((0.1, 1, "derived", "lbfgs"), "optimiser = 'lbfgs'"), ((0.1, 1, ["derived"]), "rule = ['derived']"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_told_so(setting, words):
    for check in CHALLENGES:
        verdict = check.judge(*setting)
        assert verdict.status == "wrong" and words in verdict.finding


def test_any_setting_of_the_explorer_gets_a_verdict(capsys):
    for check in CHALLENGES:
        for eta in (0.001, 0.1, 3.0, 1e9, 1e-9):
            for lam in (0.0, 1.0, 1e9):
                for rule in RULES:
                    for optimiser in OPTIMISERS:
                        check(eta, lam, rule, optimiser)
    assert "nan" not in capsys.readouterr().out


def test_hints_climb_three_rungs_and_stay(capsys):
    for lam in (1.0, 0.5, 0.9, 0.8):  # one mistake, other numbers
        check_challenge_1(0.1, lam)
    check_challenge_1(1.0, 10.0)  # another mistake
    hints = [line[:11] for line in capsys.readouterr().out.splitlines() if line.startswith("Hint")]
    assert hints == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 3 of 3", "Hint 1 of 3"]


def test_passing_by_is_said(capsys):
    """Stopped early on the way to a limit point that misses the target: reached, and told so."""
    check_challenge_3(0.005, 40.0)
    out = capsys.readouterr().out
    assert "reached" in out and "only passes by" in out
    assert isinstance(check_challenge_3, Challenge)
