"""Printing, intervals and settings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import metautil
from metautil.printing import difference, number
from metautil.statistics import mean_interval, share_interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-0.5, "−0.5"),
        (1e-16, "0"),
        (-0.0, "0"),
        (12345.6, "1.23e+04"),
        (1.2e-5, "1.2e−05"),
        (100, "100"),
    ],
)
def test_number(value, text):
    assert number(value) == text
    assert number(torch.tensor(value, dtype=torch.float64)) == text


@pytest.mark.parametrize(
    ("off", "text"),
    [(0, "at most 1e-09"), (3e-16, "at most 1e-09"), (5e-11, "at most 1e-09"), (2e-9, "at most 1e-08"),
     (1.5e-4, "at most 1e-03"), (0.25, "0.25"), (math.nan, "not finite")],
)  # fmt: skip
def test_difference_is_a_bound(off, text):
    a = torch.zeros(3, dtype=torch.float64)
    assert difference(a, a + off) == text
    if text.startswith("at most"):
        assert off <= float(text.split()[-1])


def test_difference_refuses_other_shapes():
    with pytest.raises(ValueError, match="like with like"):
        difference(torch.zeros(3), torch.zeros(3, 1))


def test_mean_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low <= 5 <= high for _, low, high in (mean_interval(rng.normal(5, 2, 6)) for _ in range(2000))]
    assert abs(np.mean(covered) - 0.95) < 0.015


def test_mean_interval_by_hand():
    estimate = mean_interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.302653
    assert estimate.mean == 2 and abs(estimate.high - 2 - 4.302653 / math.sqrt(3)) < 1e-6
    assert abs(estimate.low + estimate.high - 4) < 1e-12


def test_share_interval_by_hand():
    z = 1.959964
    centre, half = (8 + z * z / 2) / (10 + z * z), z / (10 + z * z) * math.sqrt(8 * 2 / 10 + z * z / 4)
    estimate = share_interval(8, 10)
    assert np.allclose(estimate, (0.8, centre - half, centre + half), atol=1e-6)
    assert share_interval(0, 10).low == 0 and share_interval(10, 10).high == 1


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan], []])
def test_mean_interval_refuses(values):
    with pytest.raises(ValueError, match=r"seed|diverged"):
        mean_interval(values)


@pytest.mark.parametrize(("hits", "count"), [(3, 2), (-1, 5), (0, 0)])
def test_share_interval_refuses(hits, count):
    with pytest.raises(ValueError, match="trials"):
        share_interval(hits, count)


def test_begin_settles_type_threads_and_seed():
    before = torch.get_default_dtype(), torch.get_num_threads()
    try:
        first, second = metautil.begin(3), metautil.begin(3)
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_num_threads() == 1
        assert torch.equal(torch.rand(4, generator=first), torch.rand(4, generator=second))
    finally:
        torch.set_default_dtype(before[0])
        torch.set_num_threads(before[1])
