"""Challenges at the λ/η explorer: a numeric target each, judged by the same walk that the explorer draws."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from lessons.shared.checks import Hints, Verdict
from lessons.shared.problems import FAR, OPTIMISERS, RULES, Outcome, Problem, outcome, problem, relative_weight
from metautil.printing import number

STEPS = 30


@dataclass(frozen=True)
class Challenge:
    """Settings of the explorer to find.

    Attributes
    ----------
    number : int
    goal : str
        One sentence with the target's numbers, as printed when nothing has been tried.
    test : callable
        (η, λ, rule, optimiser) → Verdict, for settings that make sense.
    praise : callable
        (η, λ, rule, optimiser) → one sentence on what the settings have shown.
    """

    number: int
    goal: str
    test: Callable[[float, float, str, str], Verdict]
    praise: Callable[[float, float, str, str], str]
    _told: Counter = field(default_factory=Counter, repr=False, compare=False)

    def __call__(
        self, eta: float | None = None, lam: float | None = None, rule: str = "derived", optimiser: str = "sgd"
    ) -> None:
        """Print by how much the settings miss the target, and the next hint; or that they reach it."""
        verdict = self.judge(eta, lam, rule, optimiser)
        if verdict.status == "not attempted":
            print(f"Challenge {self.number}: not attempted yet. {self.goal}")
        elif verdict.status == "correct":
            print(f"Challenge {self.number}: reached. {self.praise(eta, lam, rule, optimiser)}")
        else:
            rung = min(self._told[verdict.hints], 2)
            self._told[verdict.hints] += 1
            print(f"Challenge {self.number}: not yet. {verdict.finding}.")
            print(f"Hint {rung + 1} of 3: {verdict.hints[rung]}")

    def judge(self, eta: Any = None, lam: Any = None, rule: Any = "derived", optimiser: Any = "sgd") -> Verdict:
        """Judge the settings; whatever they are, no error is raised."""
        if any(value is None or value is Ellipsis for value in (eta, lam, rule, optimiser)):
            return Verdict("not attempted")
        for symbol, value, least in (("η", eta, "above 0"), ("λ", lam, "0 or larger")):
            if not _is_number(value) or value < 0 or (value == 0 and symbol == "η"):
                return Verdict("wrong", f"{symbol} = {value!r}; a finite number is expected, {least}", SETTINGS)
        for what, value, options in (("rule", rule, RULES), ("optimiser", optimiser, tuple(OPTIMISERS))):
            if value not in options:
                return Verdict("wrong", f"{what} = {value!r}; expected one of {', '.join(options)}", SETTINGS)
        return self.test(float(eta), float(lam), rule, optimiser)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


SETTINGS: Hints = (
    "Which settings does the read-out under the explorer show, and in which form?",
    "η and λ are numbers; rule and optimiser are the names on the buttons, in quotes.",
    "For example: eta=0.1, lam=1.0, rule=\"derived\", optimiser=\"sgd\".",
)  # fmt: skip
TOO_LONG: Hints = (
    "Find the setting on the map. On which side of the black line does it lie?",
    "The black line is η·λmax(H_D + wH_T) = 2, with the relative weight w: a larger weight of T calls for a smaller step.",
    "Lower η until the point lies below the dashed line, and keep λ.",
)
PRINTED_TOO_LONG: Hints = (
    "Move η alone. Does the point ever come back into the white part of the map?",
    "Under the printed rule λ is itself the step size on T: λ·λmax(H_T) < 2 is necessary, however small η is.",
    "Lower λ. The weight λ/η can be kept by lowering η in proportion.",
)
TOO_SLOW: Hints = (
    "Where is the limit point, and where is the path after 30 steps?",
    "The limit point reaches the target, so the weight is right. What decides how fast the path comes there?",
    "Under the derived rule raise η and keep λ. Under the printed rule raise both in proportion, so that λ/η stays.",
)
SWINGS: Hints = (
    "Look at the learning curves around step 30: do they still swing?",
    "The limit point reaches the target, but the path swings about it. Swings are shorter with shorter steps.",
    "Lower η to half, under the printed rule λ too; or choose sgd and stay below the dashed line of the map.",
)
T_TOO_LIGHT: Hints = (
    "Which of the two risks is too large, and towards which star must the limit point move?",
    "Under the derived rule λ alone moves the limit point: η changes how fast the path goes, not where it ends.",
    "Raise λ, a stop at a time, and watch the ring move towards T. If the path then diverges, lower η.",
)
T_TOO_HEAVY: Hints = (
    "Which of the two risks is too large, and towards which star must the limit point move?",
    "T pulls too strongly. Under the derived rule λ alone decides how strongly; η does not.",
    "Lower λ, a stop at a time, and watch the ring move towards D.",
)
PRINTED_TOO_LIGHT: Hints = (
    "Which weight does the read-out give: λ, or λ/η?",
    "Under the printed rule T has the weight λ/η. There are two ways to make it larger.",
    "Lower η and keep λ: D's step gets shorter, T's stays.",
)
PRINTED_TOO_HEAVY: Hints = (
    "Which weight does the read-out give: λ, or λ/η?",
    "Under the printed rule T has the weight λ/η: lowering η has made T heavier.",
    "Lower λ in proportion to η, or raise η.",
)


def _reach(
    name: str, goal_D: float, goal_T: float, eta: float, lam: float, rule: str, optimiser: str
) -> Verdict:  # fmt: skip
    """Both risks below their goals after 30 steps; if not, why not: the step, or the weight."""
    which = problem(name)
    found = outcome(which, eta, lam, rule, optimiser)
    goals, risks = (goal_D, goal_T), (float(found.risk_D[STEPS]), float(found.risk_T[STEPS]))
    if all(risk < goal for risk, goal in zip(risks, goals, strict=True)):
        return Verdict("correct")
    missed = " and ".join(
        _missed(symbol, risk, goal)
        for symbol, risk, goal in zip(("L_D", "L_T"), risks, goals, strict=True)
        if risk >= goal
    )
    at_limit = [float(risk) for risk in which.risks(found.limit)]
    if found.verdict in ("diverges", "hops for ever"):
        alone = rule == "printed" and not _some_step_is_stable(which, lam)
        return Verdict("wrong", f"The path {found.verdict}: {missed}", PRINTED_TOO_LONG if alone else TOO_LONG)
    if all(risk < goal for risk, goal in zip(at_limit, goals, strict=True)):
        if "oscillat" in found.verdict and not _is_early(found):
            return Verdict("wrong", f"The weight of T is right, but the path still swings: {missed}", SWINGS)
        return Verdict("wrong", f"The weight of T is right, but the path has not arrived: {missed}", TOO_SLOW)
    weight = f"{'λ' if rule == 'derived' else 'λ/η'} = {number(found.weight)}"
    if at_limit[1] >= goal_T:
        hints = T_TOO_LIGHT if rule == "derived" else PRINTED_TOO_LIGHT
        return Verdict("wrong", f"T weighs too little, {weight}: {missed}", hints)
    hints = T_TOO_HEAVY if rule == "derived" else PRINTED_TOO_HEAVY
    return Verdict("wrong", f"T weighs too much, {weight}: {missed}", hints)


def _transient(name: str, goal_D: float, goal_T: float, eta: float, lam: float, rule: str) -> str:
    """What to add if only step 30 reaches the goals, and the limit point does not."""
    which = problem(name)
    risk_D, risk_T = which.risks(which.limit(relative_weight(eta, lam, rule)))
    if risk_D < goal_D and risk_T < goal_T:
        return ""
    return (
        f"This path only passes by: at its limit point L_D = {number(risk_D)} and L_T = {number(risk_T)}. "
        "Find a setting that stays."
    )


def _missed(symbol: str, risk: float, goal: float) -> str:
    if risk >= FAR:
        return f"{symbol} is over 1e+06, the goal is below {number(goal)}"
    return f"{symbol} = {number(risk)} after {STEPS} steps misses {number(goal)} by {number(risk - goal, 2)}"


def _some_step_is_stable(which: Problem, lam: float) -> bool:
    """Whether the printed rule converges with this λ if η is small enough: λ·λmax(H_T) < 2."""
    H_T = which.hessians(which.limit(FAR))[1]
    return lam * float(torch.linalg.eigvalsh(H_T)[-1]) < 2


def _is_early(found: Outcome) -> bool:
    """Whether the path has not come near the limit point yet, so that a swing is not what is wrong."""
    distances = (found.path[: STEPS + 1] - found.limit).norm(dim=1)
    return bool(distances.argmin() == STEPS)


check_challenge_1 = Challenge(
    1,
    "Linear regression: bring both risks below 0.05 after 30 steps.",
    lambda *settings: _reach("linear regression", 0.05, 0.05, *settings),
    lambda eta, lam, rule, optimiser: (
        _transient("linear regression", 0.05, 0.05, eta, lam, rule)
        or (
            f"The weight {number(relative_weight(eta, lam, rule))} puts the limit point where both risks are small, "
            "and the step reaches it in time."
        )
    ),
)


# Challenge 2: the same limit point with half the step, under the printed rule

HALF, LIMIT_WITHIN, START_WEIGHT = 0.05, 0.05, 10.0
NOT_PRINTED: Hints = (
    "Under which of the two rules does η move the limit point at all?",
    "The derived rule keeps its limit point whatever η is; this challenge is about the other one.",
    "Set rule to \"printed\", and then find λ.",
)  # fmt: skip
ETA_KEPT: Hints = (
    "Which of the two step sizes has been halved: the one on D, η, or the one on T, λ?",
    "The challenge halves η first. Then it asks which λ undoes what that did to the limit point.",
    "Set η = 0.05, and look for λ there.",
)
LAM_KEPT: Hints = (
    "What has halving η done to λ/η?",
    "D's step is half as long, T's is what it was: T's weight has doubled.",
    "Change λ by the same factor as η.",
)
LAM_OPPOSITE: Hints = (
    "In λ/η, what happens if one goes down and the other goes up?",
    "A smaller η already makes T heavier; a larger λ makes it heavier again.",
    "Change λ in the same direction as η, and by the same factor.",
)
LAM_AS_DERIVED: Hints = (
    "Which number does the rule compare: λ, or λ/η?",
    "With λ itself equal to the weight you want, the printed rule has the weight λ/η, which is much larger.",
    "λ_printed = η · weight.",
)
LAM_OFF: Hints = (
    "Which weight does the read-out show at η = 0.1, λ = 1 under the printed rule?",
    "All settings with the same λ/η have the same limit point: the dotted line of the map.",
    "Choose λ = 10 η.",
)


def _same_limit(eta: float, lam: float, rule: str, optimiser: str) -> Verdict:
    which = problem("linear regression")
    if rule != "printed":
        return Verdict("wrong", "The rule is the derived one, whose limit point does not depend on η", NOT_PRINTED)
    if eta > HALF:
        excess = number(eta - HALF, 2)
        return Verdict("wrong", f"η = {number(eta)} is {excess} above {number(HALF)}, half of where it stood", ETA_KEPT)
    weight = relative_weight(eta, lam, rule)
    away = float((which.limit(weight) - which.limit(START_WEIGHT)).norm())
    if away > LIMIT_WITHIN:
        finding = (
            f"λ/η = {number(weight)} moves the limit point by {number(away, 2)}, "
            f"{number(away - LIMIT_WITHIN, 2)} more than {number(LIMIT_WITHIN)}"
        )
        hints = LAM_OFF
        if lam == 1:
            hints = LAM_KEPT
        elif math.isclose(lam, START_WEIGHT):
            hints = LAM_AS_DERIVED
        elif lam > 1:
            hints = LAM_OPPOSITE
        return Verdict("wrong", finding, hints)
    return Verdict("correct")


check_challenge_2 = Challenge(
    2,
    "Linear regression, printed rule: from η = 0.1, λ = 1 lower η to 0.05 or less, and set λ so that the limit point "
    "moves by no more than 0.05.",
    _same_limit,
    lambda eta, lam, rule, optimiser: (
        f"λ/η = {number(lam / eta)}, and it was 10 at the start: under the printed rule λ has to follow η, because it is "
        "a step size of its own."
    ),
)


# Challenge 3: more weight on T calls for a shorter step

ANOTHER_RULE: Hints = (
    "Which rule does the challenge name?",
    "Under the derived rule λ is the weight and η the step, one job each.",
    "Set rule to \"derived\".",
)  # fmt: skip


def _heavy_task(eta: float, lam: float, rule: str, optimiser: str) -> Verdict:
    if rule != "derived":
        return Verdict("wrong", "The rule is the printed one; the derived one is asked for", ANOTHER_RULE)
    return _reach("quadratic", 0.7, 0.02, eta, lam, rule, optimiser)


check_challenge_3 = Challenge(
    3,
    "Quadratic, derived rule: bring T's risk below 0.02 after 30 steps while D's stays below 0.7.",
    _heavy_task,
    lambda eta, lam, rule, optimiser: (
        _transient("quadratic", 0.7, 0.02, eta, lam, rule)
        or (
            f"λ = {number(lam)} moved the limit point, η = {number(eta)} kept the path stable: with more weight on T the "
            "objective is steeper, and the largest stable η smaller."
        )
    ),
)
