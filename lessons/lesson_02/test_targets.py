"""Lesson 02: the numeric targets of its figures can be reached on the sliders' own stops, and are not met at the start."""

from __future__ import annotations

import re

import pytest
import torch

import metautil
from lessons.lesson_02 import figures
from lessons.lesson_02.figures import COUNTS, PARAMETERS


@pytest.fixture(autouse=True)
def settled():
    metautil.begin(0)
    yield
    torch.set_default_dtype(torch.float32)


def read(pattern: str, text: str) -> float:
    return float(re.search(pattern, text)[1].replace("−", "-"))


def test_spread():
    """At most 0.1 from N = 256 on, in the measurement and in the closed form; the minima are too low on average."""
    scene = figures.risk_draws(sets=50)
    texts = {N: scene.move(N) for N in COUNTS}
    for pattern in (r"spread (\S+),", r"closed form (\S+),"):
        assert min(N for N, text in texts.items() if read(pattern, text) <= 0.1) == 256
    assert all(read(r"mean of the 50 minima (\S+),", text) < 0.5 for text in texts.values())


def test_surface():
    """Mean excess ≤ 0.01: 512 examples at σ = 2, 128 at 1, 32 at 0.5; the circle fails at N = 4."""
    scene = figures.risk_surface(sets=100)
    for sigma, expected in ((2.0, 512), (1.0, 128), (0.5, 32)):
        texts = {N: scene.move(N, sigma, 1) for N in COUNTS}
        assert min(N for N, text in texts.items() if read(r"mean excess (\S+)", text) <= 0.01) == expected
    assert read(r"mean excess (\S+)", scene.move(16, 1.0, 1)) > 0.01
    assert read(r"draws: (\d+) inside", scene.move(4, 1.0, 1)) < 85
    assert 88 <= read(r"draws: (\d+) inside", scene.move(1024, 1.0, 1)) <= 99


def test_gap():
    """Closed-form gap ≤ 0.05 at N = 32p for every p, and not before; measured beside it."""
    scene = figures.gap()
    for p in PARAMETERS:
        texts = {N: scene.move(p, N) for N in COUNTS[3:]}
        assert min(N for N, text in texts.items() if read(r"closed form (\S+)$", text) <= 0.05) == 32 * p
        for text in texts.values():
            assert abs(read(r"gap (\S+),", text) - read(r"closed form (\S+)$", text)) < 0.03
    assert read(r"closed form (\S+)$", scene.move(4, 32)) > 0.05
