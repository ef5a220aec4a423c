"""Exercises that say what is wrong with an answer, not only that it is.

An exercise compares the learner's answer with a reference on random inputs. Where the two differ it compares the answer
with the typical mistakes of that exercise, names the one it recognises, and gives the next of three hints each time.
One module a lesson holds that lesson's exercises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Hints = tuple[str, str, str]

GENERAL: Hints = (
    "Try your answer on the smallest case that you can work out by hand, and compare.",
    "Write the formula of the section beside your code and match the factors one by one: signs, sums, counts.",
    "Open the solution notebook beside this one, find the first factor that differs, and say why it must be there.",
)


SHAPES: Hints = (
    "Which axis of your result is left over or missing, and what does the formula do with it?",
    "A sum or a mean removes an axis, .T swaps two, [:, None] adds one.",
    "Print the shape after each operation; the first that surprises you is the place.",
)

IN_PLACE: Hints = (
    "Which of your operations write into the tensor that was handed over?",
    "Operations with a trailing underscore and the operators +=, -=, *= change a tensor in place.",
    "Write v = beta * v instead of v *= beta: the result is a new tensor, and the old one stays.",
)


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer.

    Attributes
    ----------
    name : str
        What went wrong, as a full sentence without a full stop.
    answer : callable
        Computes what an answer with this mistake computes.
    question, pointer, remedy : str
        The three hints, from a question to nearly the answer.
    """

    name: str
    answer: Callable[..., Any]
    question: str
    pointer: str
    remedy: str

    @property
    def hints(self) -> Hints:
        """The hints in the order in which they are given."""
        return self.question, self.pointer, self.remedy


class Verdict(NamedTuple):
    """Outcome of one check: ``status``, the recognised mistake's name (or what is wrong), and the hints for it."""

    status: Literal["not attempted", "correct", "wrong"]
    finding: str = ""
    hints: Hints = GENERAL


@dataclass(frozen=True)
class Exercise:
    """An exercise whose answer is a function.

    Attributes
    ----------
    number : str
        Such as ``3.1``.
    call : str
        How the answer is called, such as ``answer_1(theta, x, y_star)``.
    reference : callable
        A correct answer.
    inputs : callable
        Generator → arguments of one random call.
    mistakes : tuple of Mistake
    praise : str
        What a correct answer has shown, one sentence.
    """

    number: str
    call: str
    reference: Callable[..., Any]
    inputs: Callable[[torch.Generator], tuple]
    mistakes: tuple[Mistake, ...]
    praise: str
    _told: Counter = field(default_factory=Counter, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the answer in the notebook."""
        return self.call.split("(")[0]

    def __call__(self, answer: Any) -> None:
        """Print the verdict on ``answer`` and, where it is wrong, the next hint."""
        verdict = self.judge(answer, torch.Generator().manual_seed(0))
        if verdict.status == "not attempted":
            print(
                f"Exercise {self.number}: not attempted yet. Define {self.name} where the dots are, then run this cell again."
            )
        elif verdict.status == "correct":
            print(f"Exercise {self.number}: correct. {self.praise}")
        else:
            rung = min(self._told[verdict.finding], 2)
            self._told[verdict.finding] += 1
            print(f"Exercise {self.number}: not yet. {verdict.finding}.")
            print(f"Hint {rung + 1} of 3: {verdict.hints[rung]}")

    def judge(self, answer: Any, generator: torch.Generator, rounds: int = 4) -> Verdict:
        """Compare ``answer`` with the reference, then with each mistake, on ``rounds`` random inputs."""
        if answer is None or answer is Ellipsis:
            return Verdict("not attempted")
        if not callable(answer):
            return Verdict("wrong", f"The answer is {_describe(answer)}; a function is expected, called as {self.call}")
        calls = [self.inputs(generator) for _ in range(rounds)]
        try:
            handed = [_copied(arguments) for arguments in calls]
            given = [answer(*arguments) for arguments in handed]
        except Exception as error:  # whatever the learner's code raises is feedback, not a crash
            return Verdict("wrong", f"Called as {self.call}, it raised {type(error).__name__}: {error}")
        if any(result is Ellipsis or result is None for result in given):
            if all(result is Ellipsis for result in given):
                return Verdict("not attempted")
            return Verdict("wrong", "It returned None; a value is expected. Does every path end in a return")
        if not all(map(_unchanged, handed, calls)):
            return Verdict(
                "wrong", "An argument has been changed in place: what came in is no longer what it was", IN_PLACE
            )
        expected = [self.reference(*arguments) for arguments in calls]
        if all(map(_same, given, expected)):
            return Verdict("correct")
        for mistake in self.mistakes:
            wrong = [mistake.answer(*arguments) for arguments in calls]
            if all(map(_same, given, wrong)):
                return Verdict("wrong", mistake.name, mistake.hints)
        if _shape(given[0]) != _shape(expected[0]):
            return Verdict("wrong", f"It returned {_describe(given[0])}; {_describe(expected[0])} is expected", SHAPES)
        return Verdict("wrong", "The values differ from the expected ones, in a way this check has no name for")


def _copied(arguments: tuple) -> tuple:
    """Clone tensors, so that an answer that works in place cannot change what the reference sees."""
    return tuple(item.clone() if isinstance(item, Tensor) else item for item in arguments)


def _unchanged(after: tuple, before: tuple) -> bool:
    return all(torch.equal(a, b) for a, b in zip(after, before, strict=True) if isinstance(b, Tensor))


def _tensors(value: Any) -> list[Tensor] | None:
    """Flatten a number, a tensor or a tuple of them; None where it is something else."""
    try:
        items = value if isinstance(value, (tuple, list)) else (value,)
        return [torch.as_tensor(item, dtype=torch.float64).detach() for item in items]
    except (TypeError, ValueError, RuntimeError):
        return None


def _same(a: Any, b: Any) -> bool:
    """Agreement as far as 32 bits carry, so that an answer in float32 is not wrong for that."""
    first, second = _tensors(a), _tensors(b)
    if first is None or second is None or len(first) != len(second):
        return False
    return all(
        x.shape == y.shape and torch.allclose(x, y, rtol=1e-4, atol=1e-5) for x, y in zip(first, second, strict=True)
    )


def _shape(value: Any) -> Any:
    tensors = _tensors(value)
    return None if tensors is None else [tuple(item.shape) for item in tensors]


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (tuple, list)) and len(value) > 4:
        return f"a {type(value).__name__} of {len(value)} items"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}: " + ", ".join(_describe(item) for item in value)
    return f"{value!r} of type {type(value).__name__}"
