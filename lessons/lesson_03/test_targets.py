"""The numeric targets of the interactive figures can be reached on the sliders' own stops, and are not met at the start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lessons.shared.cells import shown

LESSON = Path(__file__).parent / "03_the_gradient_update.md"
pytestmark = pytest.mark.usefixtures("settled")


def test_parabola():
    """|θ| ≤ 0.0001 after 12 steps on both sides of 1/L = 0.25, and a hop for ever at 0.5; not at the default."""
    scene, controls = shown(LESSON)[0]
    slider = controls["eta"]
    texts = {eta: scene.move(eta) for eta in (*slider.stops(), 0.5)}
    size = {eta: abs(float(re.search(r"12 steps: (\S+)", text)[1].replace("−", "-"))) for eta, text in texts.items()}
    assert size[slider.default] > 1e-4
    assert any(value <= 1e-4 for eta, value in size.items() if eta < 0.25)
    assert any(value <= 1e-4 for eta, value in size.items() if eta > 0.25)
    assert "hops between two points" in texts[0.5] and slider.parse("0.5") == 0.5


def test_bowl():
    """Below the goal from step 14 with memory, from step 18 by (3.15); never before step 39 without."""
    scene, controls = shown(LESSON)[1]
    eta, beta = controls["eta"], controls["beta"]

    def reached(eta, beta):
        match = re.search(r"from step (\d+)", scene.move(eta, beta))
        return int(match[1]) if match else 10**9

    fine = [0.005 * k for k in range(1, 600)]
    assert min(reached(e, 0.0) for e in fine) == 39
    assert reached(eta.default, beta.default) > 14
    assert min(reached(e, b) for e in eta.stops() if e > 0.5 for b in beta.stops()) <= 14
    root = 20**0.5
    assert reached(4 / (2**0.5 + 0.1**0.5) ** 2, ((root - 1) / (root + 1)) ** 2) == 18
