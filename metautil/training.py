"""Training loops on explicit parameters: batches in, parameters out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor
from torch.func import grad_and_value
from tqdm.auto import tqdm

from metautil.tasks import Data, take
from metautil.updates import State, UpdateRule

Item = TypeVar("Item")


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
