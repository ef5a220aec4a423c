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
    [(0.12345, "0.123"), (-0.5, "−0.5"), (1e-16, "0"), (-0.0, "0"), (12345.6, "1.23e+04"), (1.2e-5, "1.2e−05"), (100, "100")],
)  # fmt: skip
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


def test_intervals_by_hand_and_how_often_they_cover():
    mean, low, high = mean_interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.302653
    assert mean == 2 and abs(high - 2 - 4.302653 / math.sqrt(3)) < 1e-6 and abs(low + high - 4) < 1e-12
    rng = np.random.default_rng(0)
    covered = [low <= 5 <= high for _, low, high in (mean_interval(rng.normal(5, 2, 6)) for _ in range(2000))]
    assert abs(np.mean(covered) - 0.95) < 0.015
    z = 1.959964
    centre, half = (8 + z * z / 2) / (10 + z * z), z / (10 + z * z) * math.sqrt(8 * 2 / 10 + z * z / 4)
    assert np.allclose(share_interval(8, 10), (0.8, centre - half, centre + half), atol=1e-6)
    assert share_interval(0, 10).low == 0 and share_interval(10, 10).high == 1


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        *((mean_interval, (values,), r"seed|diverged") for values in ([1.0], [1.0, math.nan], [])),
        *((share_interval, counts, "trials") for counts in ((3, 2), (-1, 5), (0, 0))),
        (difference, (torch.zeros(3), torch.zeros(3, 1)), "like with like"),
    ],
)
def test_what_has_no_interval_or_difference_is_refused(function, arguments, words):
    with pytest.raises(ValueError, match=words):
        function(*arguments)


def test_begin_settles_type_threads_and_seed(generator):
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(2)
    first, second = metautil.begin(3), metautil.begin(3)
    assert torch.get_default_dtype() == torch.float64 and torch.get_num_threads() == 1
    assert torch.equal(torch.rand(4, generator=first), torch.rand(4, generator=second))
