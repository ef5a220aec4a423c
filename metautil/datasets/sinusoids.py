"""The sine waves on which MAML was introduced: each task is one wave, seen at a few points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metautil.tasks import Data, Task, TaskFamily, check_count


def sinusoids(
    shots: int = 10,
    queries: int = 10,
    amplitude: tuple[float, float] = (0.1, 5.0),
    phase: tuple[float, float] = (0.0, math.pi),
    x: tuple[float, float] = (-5.0, 5.0),
) -> TaskFamily:
    """Task family y = a sin(x − φ); a, φ and x uniform (Finn, Abbeel & Levine 2017, section 5.1).

    Parameters
    ----------
    shots, queries : int
        Points in the support set and in the query set.
    amplitude : (float, float)
        Range of a.
    phase : (float, float)
        Range of φ, radians.
    x : (float, float)
        Range of the inputs.

    Returns
    -------
    TaskFamily
        ``family(n_tasks, generator)`` → Task; x and y have shape (n_tasks, shots, 1) in the support set,
        (n_tasks, queries, 1) in the query set, and torch's default dtype. Equal seeds give equal tasks,
        whatever that dtype is.

    Raises
    ------
    ValueError
        If a number of points or of tasks is not a whole number of at least 1, or if a range is not a pair
        (low, high) of finite numbers with low ≤ high.
    TypeError
        If ``generator`` is not a `torch.Generator`.
    """
    check_count("shots", shots)
    check_count("queries", queries)
    ranges = {"amplitude": amplitude, "phase": phase, "x": x}
    for name, bounds in ranges.items():
        _check_range(name, bounds)

    def family(n_tasks: int, generator: torch.Generator) -> Task:
        check_count("n_tasks", n_tasks)
        if not isinstance(generator, torch.Generator):
            raise TypeError(
                f"generator is {generator!r}; a torch.Generator is expected, for example the one that "
                f"metautil.begin(seed=0) returns."
            )

        def draw(name: str, points: int) -> Tensor:
            low, high = ranges[name]
            unit = torch.rand(n_tasks, points, 1, generator=generator, dtype=torch.float64)
            return low + (high - low) * unit

        a, phi = draw("amplitude", 1), draw("phase", 1)

        def look(points: int) -> Data:
            inputs = draw("x", points)
            outputs = a * torch.sin(inputs - phi)
            return Data(inputs.to(torch.get_default_dtype()), outputs.to(torch.get_default_dtype()))

        return Task(support=look(shots), query=look(queries))

    return family


def _check_range(name: str, bounds: tuple[float, float]) -> None:
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"{name} = {bounds!r}; pass a pair (low, high) of finite numbers with low ≤ high.")
