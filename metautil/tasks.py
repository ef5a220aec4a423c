"""Data sets, tasks and task families: what learners are given.

A data set is D = {(x_i, y_i)}, i = 1..N, stored as two tensors with the examples along the first axis. A task is a
pair of data sets: a support set S, from which a learner adapts, and a query set Q, on which it is judged. A task
family draws tasks; many tasks drawn at once share one leading axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
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
        Labels, shape (N,) for classes (int64), (N, C) for real outputs. Written y* in formulas where y is a prediction.
    """

    x: Tensor
    y: Tensor


class Task(NamedTuple):
    """A task: adapt on ``support``, be judged on ``query``. Both are `Data`; a batch of tasks has one more leading axis."""

    support: Data
    query: Data


class Alphabets(NamedTuple):
    """Images of characters in many small classes, and the alphabet of each class.

    Attributes
    ----------
    x : Tensor
        Images, shape (N, 1, height, width), uint8 from 0 (paper) to 255 (ink): an eighth of the memory that real
        numbers take. `data` and `few_shot_tasks` hand out real numbers in [0, 1].
    y : Tensor
        Class of each image, int64 in 0..C−1, shape (N,).
    alphabet : Tensor
        Alphabet of each class, a position in ``names``, int64, shape (C,).
    names : tuple of str
        The alphabets.
    characters : tuple of str
        The character that each class shows, C of them.
    parts : mapping of str to Tensor
        The fixed split: "training", "validation" and "test", with the classes of each (int64 positions). Most often they
        are whole alphabets, but a published split may cut through one.
    """

    x: Tensor
    y: Tensor
    alphabet: Tensor
    names: tuple[str, ...]
    characters: tuple[str, ...]
    parts: Mapping[str, Tensor]

    def part(self, name: str) -> Alphabets:
        """The classes of "training", "validation" or "test" alone; classes and alphabets are numbered anew from 0.

        Raises ValueError if there is no such part.
        """
        if name not in self.parts:
            raise ValueError(f"part {name!r}; there are {', '.join(map(repr, self.parts))}.")
        wanted = torch.zeros(len(self.alphabet), dtype=torch.bool)
        wanted[self.parts[name]] = True
        number = wanted.cumsum(0) - 1
        images = wanted[self.y]
        left = self.alphabet[wanted].unique()
        return Alphabets(
            self.x[images],
            number[self.y[images]],
            torch.searchsorted(left, self.alphabet[wanted]),
            tuple(self.names[position] for position in left.tolist()),
            tuple(c for c, kept in zip(self.characters, wanted.tolist(), strict=True) if kept),
            {part: number[kept] for part, held in self.parts.items() if len(kept := held[wanted[held]])},
        )

    def data(self) -> Data:
        """All images as one data set, x in [0, 1] of torch's default dtype."""
        return Data(_real(self.x), self.y)


def _real(x: Tensor) -> Tensor:
    """Whole-number images (0..255) as real numbers in [0, 1]; real ones as they are."""
    return x.to(torch.get_default_dtype()).div_(255) if x.dtype == torch.uint8 else x


def rotations(data: Alphabets) -> Alphabets:
    """Every class also turned by 90, 180 and 270 degrees, each as a class of its own (Santoro et al. 2016).

    Parameters
    ----------
    data : Alphabets
        C classes of square images; others are a ValueError.

    Returns
    -------
    Alphabets
        4C classes: the old ones, then all of them turned counterclockwise by 90 degrees, by 180, by 270. A turned
        class stays in the part of the one it comes from. Even so, a turned character may look like another character
        of another part (lesson 06 counts look-alikes).
    """
    height, width = data.x.shape[-2:]
    if height != width:
        raise ValueError(
            f"The images are {height} by {width}; only square ones keep their shape when turned by 90 degrees."
        )
    classes, turns = len(data.characters), range(4)
    return Alphabets(
        torch.cat([data.x.rot90(turn, (-2, -1)) for turn in turns]),
        torch.cat([data.y + turn * classes for turn in turns]),
        data.alphabet.repeat(4),
        data.names,
        tuple(f"{character}, {90 * turn}°" if turn else character for turn in turns for character in data.characters),
        {part: torch.cat([held + turn * classes for turn in turns]) for part, held in data.parts.items()},
    )


TaskFamily = Callable[[int, torch.Generator], Task]
"""A task family: (number of tasks, generator) → that many tasks as one batched `Task`."""


def take(data: Data, index: Tensor) -> Data:
    """Select the examples of ``data`` that ``index`` names (int64 positions or a boolean mask, shape (n,) or (N,))."""
    return Data(data.x[index], data.y[index])


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


def few_shot_tasks(data: Data | Alphabets, ways: int = 5, shots: int = 1, queries: int = 15) -> TaskFamily:
    """Task family of N-way K-shot classification: each task draws ``ways`` classes and a few images of each.

    Parameters
    ----------
    data : Data or Alphabets
        Labels of shape (n,), int64. Every class needs at least ``shots + queries`` examples.
    ways : int
        Classes per task, N. Within a task they are numbered 0..N−1, in random order.
    shots, queries : int
        Examples per class in the support set (K) and in the query set; no example is in both.

    Returns
    -------
    TaskFamily
        ``family(n_tasks, generator)`` → Task; x has shape (n_tasks, ways · shots, ...) in the support set and
        (n_tasks, ways · queries, ...) in the query set, y the same without what follows; classes one after another.
        Images of type uint8 become real numbers in [0, 1]. A hundred tasks at once are quick and small.

    Raises
    ------
    ValueError
        If a number is not whole and at least 1, or the data have too few classes or too few examples of one.
    """
    for name, count in (("ways", ways), ("shots", shots), ("queries", queries)):
        check_count(name, count)
    labels, sizes = data.y.unique(return_counts=True)
    each = shots + queries
    if len(labels) < ways:
        raise ValueError(f"ways = {ways}, but the data have {len(labels)} classes. Use fewer ways or more classes.")
    if int(sizes.min()) < each:
        raise ValueError(
            f"Class {labels[sizes.argmin()].item()} has {int(sizes.min())} examples; {shots} shots and {queries} queries "
            f"need {each}. Use fewer of them."
        )
    members = data.y.argsort(stable=True)  # the examples, class by class
    first = sizes.cumsum(0) - sizes
    largest = int(sizes.max())
    numbers = torch.arange(ways)

    def family(n_tasks: int, generator: torch.Generator) -> Task:
        check_count("n_tasks", n_tasks)
        # The smallest of random keys: a random subset in random order, for all tasks at once.
        drawn = torch.rand(n_tasks, len(labels), generator=generator, dtype=torch.float64)
        classes = drawn.topk(ways, dim=1, largest=False).indices
        keys = torch.rand(n_tasks, ways, largest, generator=generator, dtype=torch.float64)
        keys.masked_fill_(torch.arange(largest) >= sizes[classes].unsqueeze(2), 2.0)
        chosen = keys.topk(each, dim=2, largest=False).indices
        index = members[first[classes].unsqueeze(2) + chosen]

        def look(part: Tensor) -> Data:
            count = part.shape[2]
            x = data.x.index_select(0, part.reshape(-1))  # many times quicker than data.x[...]
            x = x.reshape(n_tasks, ways * count, *data.x.shape[1:])
            return Data(_real(x), numbers.repeat_interleave(count).expand(n_tasks, -1).contiguous())

        return Task(support=look(index[:, :, :shots]), query=look(index[:, :, shots:]))

    return family


def check_count(name: str, count: int) -> None:
    """Raise ValueError unless ``count``, called ``name`` in the message, is a whole number of at least 1."""
    if not isinstance(count, Integral) or count < 1:
        raise ValueError(f"{name} = {count!r}; pass a whole number, 1 or more.")
