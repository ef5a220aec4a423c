"""The checks of the exercises: solutions pass, stubs are told apart, mistakes are recognised by name.

Wrong answers here are written anew, as a learner would write them; none is taken from the package.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from metautil.exercises import Exercise, lesson_00, lesson_03

LESSONS = Path(__file__).parent.parent / "lessons"
CHECKS = {
    name: check
    for module in (lesson_00, lesson_03)
    for name, check in vars(module).items()
    if isinstance(check, Exercise)
}
SEEDS = (0, 1, 12345)


def solution_of(name: str):
    """The reference solution as the lesson's source has it, run as a learner's cell would be."""
    for lesson in LESSONS.glob("*.md"):
        for cell in re.findall(r"```\{code-cell\}[^\n]*\n(.*?)```", lesson.read_text(encoding="utf-8"), re.DOTALL):
            called = re.search(rf"^{name}\((\w+)\)", cell, re.MULTILINE)
            if called:
                scope = {"torch": torch}
                exec(cell[: called.start()], scope)
                return scope[called[1]]
    raise AssertionError(f"no lesson calls {name}")


# Exercise 0.1


def risk_by_loop(y, y_star):
    return sum(0.5 * torch.dot(a - b, a - b) for a, b in zip(y, y_star, strict=True)) / y.shape[0]


def risk_by_mse(y, y_star):
    return F.mse_loss(y, y_star) * y.shape[1] / 2


# Exercise 3.1


def line_by_loop(theta, x, y_star):
    total = torch.zeros_like(theta)
    for row, label in zip(x, y_star, strict=True):
        total += (row @ theta - label) * row
    return total / x.shape[0]


def line_by_autograd(theta, x, y_star):
    theta = theta.clone().requires_grad_()
    return torch.autograd.grad(((x @ theta - y_star) ** 2).mean() / 2, theta)[0]


# Exercise 3.2


def W1_by_autograd(x, y_star, W1, b1, W2, b2):
    W1 = W1.clone().requires_grad_()
    risk = 0.5 * ((torch.tanh(x @ W1 + b1) @ W2 + b2 - y_star) ** 2).sum() / x.shape[0]
    return torch.autograd.grad(risk, W1)[0]


def W1_by_einsum(x, y_star, W1, b1, W2, b2):
    h = torch.tanh(x @ W1 + b1)
    return torch.einsum("ni,nc,hc,nh->ih", x, h @ W2 + b2 - y_star, W2, 1 - h * h) / x.shape[0]


def W1_wrong(change):
    """The correct chain with one link exchanged."""

    def answer(x, y_star, W1, b1, W2, b2):
        a = x @ W1 + b1
        h, y = torch.tanh(a), torch.tanh(a) @ W2 + b2
        links = {"delta": y - y_star, "slope": 1 - h.pow(2), "count": x.shape[0]} | change(a, h, y, y_star)
        return x.t() @ ((links["delta"] @ W2.t()) * links["slope"]) / links["count"]

    return answer


# Exercise 3.4


def ball_in_one_line(gradient, velocity, eta, beta):
    return -eta * (gradient + beta * velocity), gradient + beta * velocity


def ball_with_list(gradient, velocity, eta, beta):
    new = torch.add(gradient, velocity, alpha=beta)
    return [new.mul(-eta), new]


OTHER_SOLUTIONS = {
    "check_risk": (risk_by_loop, risk_by_mse),
    "check_objective": (
        lambda risk_D, risk_T, lam: risk_D / (1 + lam) + risk_T * lam / (1 + lam),
        lambda risk_D, risk_T, lam: risk_D + (risk_T - risk_D) * lam / (1 + lam),
    ),
    "check_reported": (
        lambda validation, test: test[int(validation.topk(1).indices)],
        lambda validation, test: max(zip(validation.tolist(), test.tolist(), strict=True))[1],
    ),
    "check_line_gradient": (line_by_loop, line_by_autograd),
    "check_W1_gradient": (W1_by_autograd, W1_by_einsum),
    "check_largest_step": (
        lambda H: 2 / torch.linalg.svdvals(H)[0],
        lambda H: 2.0 / max(torch.linalg.eigvals(H).real.tolist()),
    ),
    "check_heavy_ball": (ball_in_one_line, ball_with_list),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_risk", "½ of the loss is missing", lambda y, t: (y - t).pow(2).sum(dim=1).mean()),
    ("check_risk", "sum over the examples", lambda y, t: 0.5 * (y - t).pow(2).sum()),
    ("check_risk", "outputs are averaged", lambda y, t: 0.5 * F.mse_loss(y, t)),
    ("check_risk", "mse_loss", lambda y, t: F.mse_loss(y, t)),
    ("check_risk", "square root", lambda y, t: ((y - t).pow(2).sum(1) / 2).mean() ** 0.5),
    ("check_objective", "not divided by 1 + λ", lambda a, b, lam: a + lam * b),
    ("check_objective", "bracket is missing", lambda a, b, lam: a + (lam * b) / (1 + lam)),
    ("check_objective", "λ weighs D", lambda a, b, lam: (b + lam * a) / (1 + lam)),
    ("check_objective", "turns negative", lambda a, b, lam: a - lam * a + lam * b),
    ("check_objective", "divided by λ", lambda a, b, lam: a / lam + b),
    ("check_reported", "chosen on the test scans", lambda v, t: t.sort().values[-1]),
    ("check_reported", "validation accuracy itself", lambda v, t: v.sort().values[-1]),
    ("check_reported", "position of the best λ", lambda v, t: int(v.argmax())),
    ("check_reported", "mean over all λ", lambda v, t: t.sum() / t.numel()),
    ("check_reported", "worst λ", lambda v, t: t[v.argsort()[0]]),
    ("check_line_gradient", "½ of the loss is missing", lambda theta, x, y: 2 / len(y) * x.T @ (x @ theta - y)),
    ("check_line_gradient", "sum stands", lambda theta, x, y: x.t() @ (x @ theta - y)),
    ("check_line_gradient", "wrong sign", lambda theta, x, y: x.t() @ (y - x @ theta) / y.numel()),
    ("check_line_gradient", "factor x_i is missing", lambda theta, x, y: (x.mv(theta) - y) / y.numel()),
    ("check_line_gradient", "p parameters", lambda theta, x, y: x.t() @ (x.mv(theta) - y) / x.shape[1]),
    ("check_W1_gradient", "slope of tanh is missing", W1_wrong(lambda a, h, y, t: {"slope": 1.0})),
    ("check_W1_gradient", "it is 1 − h²", W1_wrong(lambda a, h, y, t: {"slope": 1 - a.pow(2)})),
    ("check_W1_gradient", "applied twice", W1_wrong(lambda a, h, y, t: {"slope": 1 - torch.tanh(h).pow(2)})),
    ("check_W1_gradient", "sum stands", W1_wrong(lambda a, h, y, t: {"count": 1})),
    ("check_W1_gradient", "½ of the loss is missing", W1_wrong(lambda a, h, y, t: {"delta": 2 * (y - t)})),
    ("check_W1_gradient", "divided by N·C", W1_wrong(lambda a, h, y, t: {"count": y.numel()})),
    ("check_largest_step", "This is 1/L", lambda H: 1 / torch.linalg.norm(H, 2)),
    ("check_largest_step", "smallest eigenvalue", lambda H: 2 * torch.linalg.norm(torch.linalg.inv(H), 2)),
    ("check_largest_step", "fastest step size",
     lambda H: 2 / (torch.linalg.eigvalsh(H)[0] + torch.linalg.eigvalsh(H)[-1])),
    ("check_largest_step", "trace", lambda H: 2 / torch.linalg.eigvalsh(H).sum()),
    ("check_largest_step", "diagonal entry", lambda H: 2 / torch.diag(H).max()),
    ("check_heavy_ball", "old velocity, so the newest", lambda g, v, eta, beta: (-eta * v, g + beta * v)),
    ("check_heavy_ball", "weighted by 1 − β",
     lambda g, v, eta, beta: (-eta * v.lerp(g, 1 - beta), v.lerp(g, 1 - beta))),
    ("check_heavy_ball", "Nesterov",
     lambda g, v, eta, beta: (-eta * g - eta * beta * (beta * v + g), beta * v + g)),
    ("check_heavy_ball", "η has been applied twice",
     lambda g, v, eta, beta: (-eta * (beta * v + eta * g), beta * v + eta * g)),
    ("check_heavy_ball", "remembers nothing", lambda g, v, eta, beta: (-eta * (beta * v + g), v)),
    ("check_heavy_ball", "it climbs", lambda g, v, eta, beta: (eta * (beta * v + g), beta * v + g)),
    ("check_heavy_ball", "changed places", lambda g, v, eta, beta: (beta * v + g, -eta * (beta * v + g))),
]  # fmt: skip


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
        lesson = next(LESSONS.glob(f"{int(check.number.split('.')[0]):02d}_*.md")).read_text(encoding="utf-8")
        heading = lesson.index(f"### Exercise {check.number} ·")
        end = lesson.find("### Exercise", heading + 5)
        assert f"{name}(" in lesson[heading:end], f"{name} is not called under exercise {check.number}"
        ast.parse(check.call.split(" with ")[0].split(",  ")[0].split(", returning")[0])
