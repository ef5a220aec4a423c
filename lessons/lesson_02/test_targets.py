"""Lesson 02: the numeric targets of its figures can be reached on the sliders' own stops, and are not met at the start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lessons.shared.cells import shown

LESSON = Path(__file__).parent / "02_empirical_risk.md"
pytestmark = pytest.mark.usefixtures("settled")


def read(pattern: str, text: str) -> float:
    return float(re.search(pattern, text)[1].replace("−", "-"))


def test_spread():
    """At most 0.1 from N = 256 on, in the measurement and in the closed form; the minima are too low on average."""
    scene, controls = shown(LESSON)[0]
    texts = {N: scene.move(N) for N in controls["N"].stops()}
    for pattern in (r"spread (\S+),", r"closed form (\S+),"):
        assert min(N for N, text in texts.items() if read(pattern, text) <= 0.1) == 256
    assert all(read(r"mean of the 50 minima (\S+),", text) < 0.5 for text in texts.values())


def test_surface():
    """Mean excess ≤ 0.01: 512 examples at σ = 2, 128 at 1, 32 at 0.5; the circle fails at N = 4."""
    scene, controls = shown(LESSON)[1]
    for sigma, expected in ((2.0, 512), (1.0, 128), (0.5, 32)):
        assert sigma in controls["sigma"].stops()
        texts = {N: scene.move(N, sigma, 1) for N in controls["N"].stops()}
        assert min(N for N, text in texts.items() if read(r"mean excess (\S+)", text) <= 0.01) == expected
    assert (
        read(r"mean excess (\S+)", scene.move(**{name: control.default for name, control in controls.items()})) > 0.01
    )
    assert read(r"draws: (\d+) inside", scene.move(4, 1.0, 1)) < 85
    assert 88 <= read(r"draws: (\d+) inside", scene.move(1024, 1.0, 1)) <= 99


def test_gap():
    """Closed-form gap ≤ 0.05 at N = 32p for every p, and not before; measured beside it."""
    scene, controls = shown(LESSON)[2]
    for p in controls["p"].stops():
        texts = {N: scene.move(p, N) for N in controls["N"].stops()}
        assert min(N for N, text in texts.items() if read(r"closed form (\S+)$", text) <= 0.05) == 32 * p
        for text in texts.values():
            assert abs(read(r"gap (\S+),", text) - read(r"closed form (\S+)$", text)) < 0.03
    assert read(r"closed form (\S+)$", scene.move(controls["p"].default, controls["N"].default)) > 0.05
