"""Checks of lesson 01, *Everything is a mapping*: the entry diagnostic, and the exercises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake, Verdict


@dataclass(frozen=True)
class Question:
    """A question whose answer is a value: a number, or a tuple of words.

    Attributes
    ----------
    number : str
        Such as ``3``, or ``1.1`` for an exercise.
    right : object
        The answer.
    wrong : dict
        Typical wrong answer to what led there, one sentence without a full stop.
    remedy : str
        What to do if the question was missed.
    praise : str
        What a right answer shows.
    """

    number: str
    right: Any
    wrong: dict[Any, str]
    remedy: str
    praise: str

    def __call__(self, answer: Any) -> None:
        """Print whether ``answer`` is right; where not, what led there and what to do."""
        status, finding = self.judge(answer)
        name = f"{'Exercise' if '.' in self.number else 'Question'} {self.number}"
        if status == "not attempted":
            print(f"{name}: not attempted yet. Put your answer in and run this cell again.")
        elif status == "correct":
            print(f"{name}: correct. {self.praise}")
        else:
            print(f"{name}: not yet. {finding}.")
            print(f"If you missed it: {self.remedy}")

    def judge(self, answer: Any) -> tuple[str, str]:
        """Status ("not attempted", "correct", "wrong"), and what led to a wrong answer."""
        if answer is None or answer is Ellipsis:
            return "not attempted", ""
        if isinstance(self.right, tuple):
            given = tuple(answer) if isinstance(answer, (tuple, list)) else answer
            form = "a tuple of words"
        else:
            form = "a number"
            try:
                given = float(answer)
            except (TypeError, ValueError):
                given = None
        if given is None or isinstance(self.right, tuple) is not isinstance(given, tuple):
            return "wrong", f"The answer is {answer!r}; {form} is expected"
        for value, finding in {self.right: "", **self.wrong}.items():
            if given == value or (isinstance(value, (int, float)) and abs(given - value) < 1e-6 * max(1, abs(value))):
                return ("wrong", finding) if finding else ("correct", "")
        return "wrong", "The value is another one, and this check has no name for the way there"


check_chain = Question(
    number="1",
    right=24,
    wrong={
        8: "The derivative of the inner function is missing: the outer one alone gives 8",
        6: "The outer derivative was taken at t = 1; it belongs at g(1) = 4",
        16: "This is the value f(g(1)), not its derivative",
        11: "The two derivatives were added; the chain rule multiplies them",
    },
    remedy="read section 7 from its start, then come back; lesson 03 uses the chain rule in every section.",
    praise="Outer derivative at the inner value, times inner derivative.",
)
check_gradient = Question(
    number="2",
    right=4,
    wrong={
        8: "The ½ was forgotten: the derivative of ½ · 4b² is 4b",
        2: "The ½ was applied a second time; the square's 2 has cancelled it",
        5: "The entries were added; a gradient keeps one entry for each parameter",
        2.5: "This is the value of L at (1, 1), not its derivative",
    },
    remedy="differentiate ½b² and 4 · ½b² by hand; lesson 03, section 1, is the same with data in it.",
    praise="One entry for each parameter, and the ½ cancels the 2.",
)
check_product = Question(
    number="3",
    right=15,
    wrong={
        30: "This counts the products that are summed; each entry of the result is one sum of two of them",
        6: "These are the entries of the first matrix",
        10: "These are the entries of the second matrix",
        2: "This is the shared axis, which the product sums away",
    },
    remedy="write out shapes as (3, 2) times (2, 5): the inner two must agree and vanish. Any linear algebra text will do.",
    praise="The inner axes agree and vanish, the outer ones stay.",
)
check_guess = Question(
    number="4",
    right=15,
    wrong={
        37.5: "This would be guessing between two classes; there are five",
        5: "This is the number of classes",
        60: "These are the wrong ones",
        0.2: "This is the share; the question asks for the number",
    },
    remedy="each guess is right with probability 1/5, and means add up; lesson 02 goes on from there.",
    praise="A fifth of 75: that is the level below which nothing has been learned.",
)
check_closure = Question(
    number="5",
    right=5,
    wrong={
        6: "The two were multiplied; the inner function adds",
        2: "add(2) is a function that remembers 2; it was then called with 3",
        3: "The inner function adds the remembered 2",
        23: "The two were written one after the other; they are numbers and are added",
    },
    remedy="run the three lines in a cell of your own and print add(2), then add(2)(3). Section 2 is full of such functions.",
    praise="A function that returns a function: this is how a learner is written.",
)
check_spread = Question(
    number="6",
    right=0.5,
    wrong={
        0.25: "The variance of the mean falls to a quarter; the interval's width follows its root",
        2: "More runs make the interval narrower, not wider",
        1: "The spread of single runs stays; that of their mean does not",
        4: "More runs make the interval narrower, not wider",
    },
    remedy="lesson 02 measures this law; until then: with four times the runs, half as wide.",
    praise="Half as wide for four times the work.",
)
DIAGNOSTIC = (check_chain, check_gradient, check_product, check_guess, check_closure, check_spread)


# Exercise 1.1: a type puzzle

check_types = Question(
    number="1.1",
    right=("learner", "network", "risk"),
    wrong={
        ("risk", "network", "learner"): "This is the order in which ∘ is written, right to left; asked is the order "
        "in which the mappings are applied",
        ("learner", "risk", "network"): "The risk was given parameters; it takes a predictor 𝒳 → 𝒴",
        ("network", "learner", "risk"): "The network was given a data set; it takes parameters θ",
        ("learner", "network", "features", "head", "risk"): "The network already is head ∘ features, and a predictor "
        "is not an image that features could take",
        ("learner", "risk"): "Between parameters and the risk stands the mapping that makes a predictor of parameters",
        ("meta-learner", "learner", "network", "risk"): "The meta-learner takes many data sets; asked is a chain that "
        "begins with one support set",
    },
    remedy="write each type on a slip of paper and lay them so that every end meets an equal beginning.",
    praise="Support set → θ → predictor → number: every end meets its beginning.",
)


# Exercises whose answer is a function that returns a function


@dataclass(frozen=True)
class Curried(Exercise):
    """An exercise whose answer takes its first ``outer`` arguments and returns a function of the others."""

    outer: int = 1

    def judge(self, answer: Any, generator: torch.Generator, rounds: int = 4) -> Verdict:
        """Apply answer, reference and mistakes in two calls, then compare as any exercise does."""
        mistakes = tuple(replace(m, answer=self._applied(m.answer)) for m in self.mistakes)
        plain = Exercise(self.number, self.call, self._applied(self.reference), self.inputs, mistakes, self.praise)
        return plain.judge(self._applied(answer) if callable(answer) else answer, generator, rounds)

    def _applied(self, function: Callable) -> Callable:
        def both(*arguments: Any) -> Any:
            inner = function(*arguments[: self.outer])
            return inner(*arguments[self.outer :]) if callable(inner) else inner

        return both


# Exercise 1.2: a learner is a function that returns a function


def _points(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Support points of three classes, several each, and query points between them."""
    ways, width = 3, int(torch.randint(2, 5, (), generator=generator))
    y = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 2])[torch.randperm(9, generator=generator)]
    x = torch.randn(9, width, generator=generator, dtype=torch.float64)
    x = x + 1.2 * torch.randn(ways, width, generator=generator, dtype=torch.float64)[y]
    return x, y, 2 * torch.randn(60, width, generator=generator, dtype=torch.float64)


def _means(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([x[y == label].mean(0) for label in range(3)])


def _nearest_mean(x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
    means = _means(x, y)
    return lambda query: torch.cdist(query, means).argmin(1)


def _summed(x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
    sums = torch.stack([x[y == label].sum(0) for label in range(3)])
    return lambda query: torch.cdist(query, sums).argmin(1)


check_learner = Curried(
    number="1.2",
    call="answer_2(x, y)(query) with x (N, d), y (N,) in 0, 1, 2 and query (n, d)",
    reference=_nearest_mean,
    inputs=_points,
    outer=2,
    mistakes=(
        Mistake(
            "This is the nearest single example; the nearest class mean was asked for",
            lambda x, y: lambda query: y[torch.cdist(query, x).argmin(1)],
            "How many points should a query be compared with: nine examples, or three means?",
            "First one mean for each class, then distances to these.",
            "means = torch.stack([x[y == c].mean(0) for c in range(3)]).",
        ),
        Mistake(
            "The farthest mean was chosen",
            lambda x, y: lambda query: torch.cdist(query, _means(x, y)).argmax(1),
            "Is a large distance a sign of belonging?",
            "The nearest is the smallest distance.",
            "argmin(1) in the place of argmax(1).",
        ),
        Mistake(
            "Sums stand where means should: a class with more examples is moved away from zero",
            _summed,
            "If every example came twice, should the class's point move?",
            "Divide the sum of a class by its number of examples.",
            "x[y == c].mean(0), not .sum(0).",
        ),
        Mistake(
            "Every query got the most frequent class: the returned function does not look at its query",
            lambda x, y: lambda query: torch.full((len(query),), int(y.bincount().argmax())),
            "What does your inner function do with its argument?",
            "The inner function measures distances from its query to what the outer one remembered.",
            "lambda query: torch.cdist(query, means).argmin(1).",
        ),
        Mistake(
            "The distances are returned; a class number for each query was asked for",
            lambda x, y: lambda query: torch.cdist(query, _means(x, y)),
            "Which type has the answer, a table or one class for each query?",
            "Take the position of the smallest distance in each row.",
            "Add .argmin(1).",
        ),
    ),
    praise="It takes data and returns a predictor: that is the type of every learner in this course.",
)


# Exercise 1.3: a vector-Jacobian product by hand


def _layer(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    width = int(torch.randint(2, 6, (), generator=generator))
    W, pair = (torch.randn(n, width, generator=generator, dtype=torch.float64) for n in (width, 2))
    return W, pair[0], pair[1]


def _slope(W: Tensor, x: Tensor) -> Tensor:
    return 1 - torch.tanh(W @ x) ** 2


check_pull_back = Exercise(
    number="1.3",
    call="answer_3(W, x, u) with shapes (n, n), (n,), (n,)",
    reference=lambda W, x, u: W.T @ (_slope(W, x) * u),
    inputs=_layer,
    mistakes=(
        Mistake(
            "This is Ju, the product from the other side: it pushes a direction forwards",
            lambda W, x, u: _slope(W, x) * (W @ u),
            "Does u live where x lives, or where f(x) lives?",
            "Going back, the last mapping comes first: the slope of tanh, then W.",
            "Multiply u by the slope, then by W.T.",
        ),
        Mistake(
            "The slope of tanh is missing",
            lambda W, x, u: W.T @ u,
            "Between Wx and f(x) stands another mapping. Which?",
            "Its derivative is 1 − tanh²(Wx), entry by entry.",
            "W.T @ ((1 - torch.tanh(W @ x) ** 2) * u).",
        ),
        Mistake(
            "The slope was taken at x; tanh is applied to Wx",
            lambda W, x, u: W.T @ ((1 - torch.tanh(x) ** 2) * u),
            "At which value is tanh evaluated in f?",
            "The chain rule takes the outer derivative at the inner value, Wx.",
            "1 - torch.tanh(W @ x) ** 2.",
        ),
        Mistake(
            "W is not transposed",
            lambda W, x, u: W @ (_slope(W, x) * u),
            "With W of shape (3, 2), which shape has u, and which the result?",
            "uᵀ diag(slope) W, written as a column, is Wᵀ (slope · u).",
            "Use W.T in front.",
        ),
        Mistake(
            "The order is swapped: back through W first and through tanh last",
            lambda W, x, u: _slope(W, x) * (W.T @ u),
            "Which mapping did x meet last on its way forwards?",
            "Backwards, the last one comes first.",
            "Multiply u by the slope first, then apply W.T.",
        ),
    ),
    praise="Backwards, the last mapping comes first: this is all that automatic differentiation does.",
)


# Exercise 1.4: a meta-learner


def _many_tasks(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    centre = 3 + noise(40, 1)
    return centre + noise(40, 3), centre + noise(40, 5), 3 + noise(3)


def _shrinking(support: Tensor, query: Tensor) -> Callable[[Tensor], Tensor]:
    s, q = support.mean(1), query.mean(1)
    m = s.mean()
    w = ((s - m) * (q - m)).sum() / ((s - m) ** 2).sum()
    return lambda new: m + w * (new.mean() - m)


def _uncentred(support: Tensor, query: Tensor) -> Callable[[Tensor], Tensor]:
    s, q = support.mean(1), query.mean(1)
    return lambda new: (s * q).sum() / (s * s).sum() * new.mean()


def _inverted(support: Tensor, query: Tensor) -> Callable[[Tensor], Tensor]:
    s, q = support.mean(1), query.mean(1)
    m = s.mean()
    return lambda new: m + ((s - m) ** 2).sum() / ((s - m) * (q - m)).sum() * (new.mean() - m)


def _swapped(support: Tensor, query: Tensor) -> Callable[[Tensor], Tensor]:
    s, q = support.mean(1), query.mean(1)
    m = s.mean()
    return lambda new: m + ((s - m) * (q - m)).sum() / ((q - m) ** 2).sum() * (new.mean() - m)


check_meta_learner = Curried(
    number="1.4",
    call="answer_4(support, query)(new) with shapes (tasks, K), (tasks, Q) and (K,)",
    reference=_shrinking,
    inputs=_many_tasks,
    outer=2,
    mistakes=(
        Mistake(
            "The learner answers with the mean of the new support set: nothing was learned from the other tasks",
            lambda support, query: lambda new: new.mean(),
            "Which part of your answer would change if the training tasks were others?",
            "The learner has the form m + w(s̄ − m); m and w come from the training tasks.",
            "Compute m = support.mean() and the w of the formula, then return m + w * (new.mean() - m).",
        ),
        Mistake(
            "The learner answers with m for every task: it does not look at the new support set",
            lambda support, query: lambda new: support.mean(),
            "What should happen to the answer if all new numbers are large?",
            "The learner has the form m + w(s̄ − m), with s̄ the mean of the new support set.",
            "Return m + w * (new.mean() - m), with w from the formula.",
        ),
        Mistake(
            "m was not subtracted: the line goes through zero instead of through the mean of the tasks",
            _uncentred,
            "What does your learner answer when the new mean equals the mean of all tasks?",
            "Both s̄ and q̄ enter as differences from m.",
            "Use (s - m) and (q - m), and add m at the end.",
        ),
        Mistake(
            "The fraction stands upside down",
            _inverted,
            "Should noisy support sets be trusted more than fully, w > 1?",
            "Least squares: the product of the differences over the squares of those of s̄.",
            "w = ((s - m) * (q - m)).sum() / ((s - m) ** 2).sum().",
        ),
        Mistake(
            "The squares of q̄ stand in the denominator: this predicts support from query",
            _swapped,
            "Which of the two is known when a new task comes?",
            "The known one, s̄, is the input, and its squares divide.",
            "Divide by ((s - m) ** 2).sum().",
        ),
    ),
    praise="Data sets in, learner out: m is what it remembers of the tasks, w how far it trusts a new one.",
)
