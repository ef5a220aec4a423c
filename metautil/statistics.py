"""Intervals: how far a measured number can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats


class Estimate(NamedTuple):
    """A mean with its confidence interval [low, high], in the unit of what was measured."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean of repeated runs with Student's interval: mean ± t · s / √n, with s² the sample variance (lesson 00).

    Parameters
    ----------
    values : sequence of float
        One value per seed, at least two. The interval speaks of the mean over seeds, not of a single run.
    confidence : float
        Coverage, in (0, 1).

    Raises
    ------
    ValueError
        If fewer than two values are given or one is not finite.
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"{count} value(s): an interval needs at least two runs; run another seed.")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(
            f"Not every value is finite: {list(values)}. A run that diverged has to be reported, not averaged."
        )
    mean = sum(values) / count
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * deviation / math.sqrt(count)
    return Estimate(mean, mean - half, mean + half)


def share_interval(hits: int, count: int, confidence: float = 0.95) -> Estimate:
    """Share of hits among ``count`` independent trials with Wilson's interval (Wilson, 1927), as for a test accuracy.

    Raises
    ------
    ValueError
        If ``count`` is below 1 or ``hits`` is outside 0..count.
    """
    if count < 1 or not 0 <= hits <= count:
        raise ValueError(f"{hits} hits of {count} trials; expected 0 ≤ hits ≤ trials and at least one trial.")
    interval = stats.binomtest(hits, count).proportion_ci(confidence, method="wilson")
    return Estimate(hits / count, float(interval.low), float(interval.high))
