"""Training loops on explicit parameters: batches in, parameters out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.func import grad_and_value
from tqdm.auto import tqdm

from metautil.risks import Loss, check_weight, normalised_joint_risk
from metautil.tasks import Data, take
from metautil.updates import State, UpdateRule

Item = TypeVar("Item")


@dataclass(frozen=True)
class MetaLearner:
    """The objective (θ, batch) → (L_D(θ) + λ L_T(θ)) / (1 + λ), formula (0.5), with L_D taken on a batch.

    What learns here is one θ, trained on the data and on the task together: joint training. Nothing learns how to
    learn yet, though a learner of this form has been called a meta-learner. Where θ is judged by what it becomes
    after adapting to a task, as in lesson 09, the name is earned.

    Attributes
    ----------
    meta_loss : callable
        (θ, batch) → L_batch(θ), such as `metautil.risks.MetaLoss`.
    task_loss : callable
        θ → L_T(θ), such as `metautil.risks.TaskLoss`. Its weight may be 0.
    lam : float
        Weight λ ≥ 0 of the task's risk, a pure number.

    Raises
    ------
    ValueError
        If λ is negative or not a finite number.
    """

    meta_loss: Callable[[Tensor, Data], Tensor]
    task_loss: Callable[[Tensor], Tensor]
    lam: float

    def __post_init__(self) -> None:
        check_weight(self.lam)

    def __call__(self, theta: Tensor, batch: Data) -> Tensor:
        """The objective at θ, a scalar, differentiable in ``theta``."""
        return normalised_joint_risk(self.meta_loss(theta, batch), self.task_loss(theta), self.lam)


class Evaluation(NamedTuple):
    """What a model does on a data set of N examples.

    Attributes
    ----------
    risk : float
        L_D(θ), the mean loss.
    accuracy : float
        Share of the examples whose largest output is at the true class, in [0, 1].
    predicted : Tensor
        Class with the largest output, int64, shape (N,).
    """

    risk: float
    accuracy: float
    predicted: Tensor


def progress(items: Iterable[Item], label: str) -> Iterator[Item]:
    """Go through ``items`` with a progress bar named ``label``; for everything that takes over two seconds."""
    return iter(tqdm(items, desc=label))


def minibatches(data: Data, size: int, generator: torch.Generator) -> Iterator[Data]:
    """One pass over ``data`` in random order, ``size`` examples at a time; a smaller rest is left out.

    Parameters
    ----------
    data : Data
        N examples.
    size : int
        Examples per batch, 1 ≤ size ≤ N. Batches of one size keep the mean over batches an unbiased L_D.
    generator : torch.Generator
        Decides the order.

    Raises
    ------
    ValueError
        If ``size`` is not in 1..N.
    """
    count = len(data.y)
    if not 1 <= size <= count:
        raise ValueError(f"Batches of {size} were asked for; the data set has {count} examples: choose 1 to {count}.")
    order = torch.randperm(count, generator=generator)
    for start in range(0, count - size + 1, size):
        yield take(data, order[start : start + size])


def train_epoch(
    objective: Callable[[Tensor, Data], Tensor],
    theta: Tensor,
    rule: UpdateRule,
    state: State,
    batches: Iterable[Data],
) -> tuple[Tensor, State, float]:
    """Apply an update rule once per batch.

    Parameters
    ----------
    objective : callable
        (θ, batch) → the scalar to descend, such as `metautil.risks.empirical_risk` of that batch.
    theta : Tensor
        Parameters, shape (p,). Not changed in place.
    rule : UpdateRule
    state : State
        ``rule.init(theta)`` before the first epoch, afterwards what the last epoch returned.
    batches : iterable of Data
        At least one.

    Returns
    -------
    theta : Tensor
        Parameters after the epoch, shape (p,).
    state : State
    mean : float
        Mean of the objective over the batches, each taken before its step.

    Raises
    ------
    ValueError
        If there is no batch.
    FloatingPointError
        If the objective stops being finite; the message names the step and what to try.
    """
    gradient_and_value = grad_and_value(objective)
    values = []
    for count, batch in enumerate(batches, start=1):
        gradient, value = gradient_and_value(theta, batch)
        if not value.isfinite():
            raise FloatingPointError(
                f"The objective is {value.item()} at step {count} of this epoch: the steps are too long. "
                f"Try a smaller step size η (a third, say), or a smaller λ if the objective is not divided by 1 + λ."
            )
        step, state = rule(gradient, state)
        theta = theta + step
        values.append(value)
    if not values:
        raise ValueError("No batches: an epoch needs at least one. Is the data set empty, or the batch size too large?")
    return theta, state, torch.stack(values).mean().item()


def predict(model: Callable[[Tensor, Tensor], Tensor], theta: Tensor, x: Tensor) -> Tensor:
    """Class with the largest output for each input, int64, shape (N,)."""
    with torch.no_grad():
        return model(theta, x).argmax(-1)


def accuracy(model: Callable[[Tensor, Tensor], Tensor], theta: Tensor, data: Data) -> float:
    """Share of examples whose largest output is at the true class, in [0, 1].

    Raises
    ------
    ValueError
        If the data set is empty.
    """
    if len(data.y) == 0:
        raise ValueError("The data set is empty; accuracy is a share of at least one example.")
    return (predict(model, theta, data.x) == data.y).double().mean().item()


def evaluate(
    model: Callable[[Tensor, Tensor], Tensor], theta: Tensor, data: Data, loss: Loss, size: int = 500
) -> Evaluation:
    """Risk, accuracy and predictions of M_θ on a classified data set, ``size`` examples at a time, without gradients.

    Each example counts once, those of a smaller last batch too.

    Parameters
    ----------
    model : callable
        (θ, x) → y.
    theta : Tensor
        Parameters, shape (p,).
    data : Data
        N ≥ 1 examples with class numbers, int64.
    loss : Loss
        One number per example.
    size : int
        Examples held in memory at once; it changes nothing but speed and memory.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If the data set is empty, its inputs are not finite or not as many as its labels, or ``size`` is below 1.
    """
    check_data(data)
    if size < 1:
        raise ValueError(f"size = {size}; evaluate at least 1 example at a time.")
    losses, predicted = [], []
    with torch.no_grad():
        for x, y in zip(data.x.split(size), data.y.split(size), strict=True):
            outputs = model(theta, x)
            losses.append(loss(outputs, y))
            predicted.append(outputs.argmax(-1))
    classes = torch.cat(predicted)
    return Evaluation(torch.cat(losses).mean().item(), (classes == data.y).double().mean().item(), classes)


def check_data(data: Data) -> None:
    """Raise ValueError if ``data`` hold no example, inputs without labels, or numbers that are not finite."""
    x, y = data
    if len(x) != len(y):
        raise ValueError(f"There are {len(x)} inputs and {len(y)} labels; each input needs exactly one.")
    if len(y) == 0:
        raise ValueError("The data set is empty; at least one example is needed.")
    for what, values in (("inputs", x), ("labels", y)):
        broken = (~values.isfinite()).reshape(len(values), -1).any(1).nonzero()
        if len(broken):
            raise ValueError(
                f"{len(broken)} of {len(values)} {what} hold NaN or infinite numbers, the first at index "
                f"{broken[0].item()}. Look at how they were read or scaled; leave them out or repair them."
            )
