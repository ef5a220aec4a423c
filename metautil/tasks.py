"""Data sets, tasks and task families: what learners are given.

A data set is D = {(x_i, y_i)}, i = 1..N, stored as two tensors with the examples along the first axis. A task is a
pair of data sets: a support set S, from which a learner adapts, and a query set Q, on which it is judged. A task
family draws tasks; many tasks drawn at once share one leading axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Data(NamedTuple):
    """A data set D = {(x_i, y_i)}.

    Attributes
    ----------
    x : Tensor
        Inputs, shape (N, ...).
    y : Tensor
        Labels, shape (N,) for classes (int64), (N, C) for real outputs. Written y* in formulas where y is a
        prediction.
    """

    x: Tensor
    y: Tensor


class Task(NamedTuple):
    """A task: adapt on ``support``, be judged on ``query``. Both are `Data`; a batch of tasks has one more leading axis."""

    support: Data
    query: Data


TaskFamily = Callable[[int, torch.Generator], Task]
"""A task family: (number of tasks, generator) → that many tasks as one batched `Task`."""


def take(data: Data, index: Tensor) -> Data:
    """Select the examples of ``data`` that ``index`` names (int64 positions or a boolean mask, shape (n,) or (N,))."""
    return Data(data.x[index], data.y[index])


def split_per_class(data: Data, shots: int, generator: torch.Generator) -> Task:
    """Draw a few labelled examples of every class; keep the others to judge by.

    Parameters
    ----------
    data : Data
        Labels of shape (N,), int64.
    shots : int
        Examples drawn per class, K in "N-way K-shot".
    generator : torch.Generator
        Decides which examples are drawn.

    Returns
    -------
    Task
        ``support``: ``shots`` examples of each class, classes in ascending order; ``query``: all others, in
        their old order.

    Raises
    ------
    ValueError
        If ``shots`` is below 1 or a class has no example left for the query set.
    """
    if shots < 1:
        raise ValueError(f"shots = {shots}; at least 1 example per class is needed.")
    drawn = []
    for label in data.y.unique():
        members = (data.y == label).nonzero().squeeze(1)
        if len(members) <= shots:
            raise ValueError(
                f"Class {label.item()} has {len(members)} examples; {shots} for the support set and at least one "
                f"for the query set are needed. Use a smaller `shots`."
            )
        drawn.append(members[torch.randperm(len(members), generator=generator)[:shots]])
    support = torch.cat(drawn)
    rest = torch.ones(len(data.y), dtype=torch.bool)
    rest[support] = False
    return Task(take(data, support), take(data, rest))
