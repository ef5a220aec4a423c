"""The numeric targets of lesson 04's figures can be reached, and are not met at the start; its maps agree with simulation."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
import torch

import metautil
from lessons.lesson_04 import figures
from metautil.tasks import Data
from metautil.widgets import Slider

LAM = Slider("λ", "weight of the new task", 0.01, 100.0, default=0.1, zero=True)
MAP_LAM = Slider("λ", "as each rule uses it", 0.01, 100.0, default=1.0)
MAP_ETA = Slider("η", "step size", 0.01, 3.0, default=0.1)


@pytest.fixture(autouse=True)
def settled():
    """The lesson's number type; the figure style does not leak into other tests."""
    with matplotlib.rc_context():
        yield
    torch.set_default_dtype(torch.float32)


def lesson_data() -> tuple[Data, Data]:
    """D and T as the lesson's second cell draws them."""
    generator = metautil.begin(seed=4)

    def points(count, low, high, intercept, slope):
        x = low + (high - low) * torch.rand(count, generator=generator)
        y = intercept + slope * x + 0.3 * torch.randn(count, generator=generator)
        return Data(torch.stack([torch.ones(count), x], dim=1), y.unsqueeze(1))

    return points(20, -2, 2, 1, 2), points(5, 0, 2, 2, -1)


def read(pattern: str, text: str) -> list[float]:
    return [float(value.replace("−", "-")) for value in re.search(pattern, text).groups()]


def test_two_risks():
    """The larger risk: below 0.9 on a stop, below 0.83 at a typed number, never below 0.82, whatever θ."""
    scene = figures.two_risks(*lesson_data())
    larger = {lam: read(r"larger of the two (\S+)", scene.move(lam))[0] for lam in LAM.stops()}
    assert larger[LAM.default] > 0.9
    assert any(value < 0.9 for value in larger.values()) and all(value >= 0.83 for value in larger.values())
    assert read(r"larger of the two (\S+)", scene.move(LAM.parse("0.88")))[0] < 0.83
    # any θ: max(L_D, L_T) ≥ (L_D + λ L_T)/(1 + λ) ≥ its minimum over θ, for every λ; take the best λ
    D, T = lesson_data()
    H = [data.x.T @ data.x / len(data.y) for data in (D, T)]
    b = [(data.x.T @ data.y)[:, 0] / len(data.y) for data in (D, T)]
    best = 0.0
    for lam in np.linspace(0.5, 1.5, 201).tolist():
        theta = torch.linalg.solve(H[0] + lam * H[1], b[0] + lam * b[1])
        risks = [0.5 * (data.x @ theta - data.y[:, 0]).square().mean().item() for data in (D, T)]
        best = max(best, (risks[0] + lam * risks[1]) / (1 + lam))
    assert best > 0.82


def test_stability_map():
    """Weight 20 or more with a slowest factor of 0.9 or less under the printed rule; the derived rule then takes its steps."""
    scene = figures.stability_map(*lesson_data())
    pattern = r"printed: weight of T (\S+), slowest factor (\S+),"
    start = read(pattern, scene.move(MAP_LAM.default, MAP_ETA.default))
    assert start[1] > 0.9
    found = []
    for lam in MAP_LAM.stops():
        for eta in MAP_ETA.stops():
            weight, factor = read(pattern, scene.move(lam, eta))
            if weight >= 20 and factor <= 0.9:
                found.append((lam, eta))
    assert found and all(lam < 0.853 for lam, _ in found)
    lam, eta = found[0]
    same = read(r"derived: weight of T (\S+), slowest factor (\S+),", scene.move(lam / eta, eta))
    assert same == read(pattern, scene.move(lam, eta))


def test_simulated_dots_lie_in_the_region_of_the_eigenvalues():
    """Each dot of the map inside the shaded region, each cross outside."""
    scene = figures.stability_map(*lesson_data())
    H_D, H_T = (data.x.T @ data.x / len(data.y) for data in lesson_data())
    for name, axes in zip(("derived", "printed"), scene.figure.axes, strict=True):
        drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
        for label, inside in (("simulated: converged", True), ("simulated: diverged", False)):
            assert len(drawn[label]) > 20
            for lam, eta in drawn[label]:
                matrix = eta * H_D + (lam if name == "printed" else eta * lam) * H_T
                assert (torch.linalg.eigvalsh(matrix)[-1] < 2) == inside, (name, lam, eta)
