"""The numeric targets of lesson 04's figures can be reached, and are not met at the start; its maps agree with simulation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lessons.shared.cells import ran, shown
from metautil.tasks import Data

LESSON = Path(__file__).parent / "04_two_risks_one_lambda.md"
pytestmark = pytest.mark.usefixtures("settled")


def lesson_data() -> tuple[Data, Data]:
    names = ran(LESSON).names
    return names["D"], names["T"]


def read(pattern: str, text: str) -> list[float]:
    return [float(value.replace("−", "-")) for value in re.search(pattern, text).groups()]


def test_two_risks():
    """The larger risk: below 0.9 on a stop, below 0.83 at a typed number, never below 0.82, whatever θ."""
    scene, controls = shown(LESSON)[0]
    weight = controls["lam"]
    larger = {lam: read(r"larger of the two (\S+)", scene.move(lam))[0] for lam in weight.stops()}
    assert larger[weight.default] > 0.9
    assert any(value < 0.9 for value in larger.values()) and all(value >= 0.83 for value in larger.values())
    assert read(r"larger of the two (\S+)", scene.move(weight.parse("0.88")))[0] < 0.83
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
    scene, controls = shown(LESSON)[1]
    pattern = r"printed: weight of T (\S+), slowest factor (\S+),"
    start = read(pattern, scene.move(controls["lam"].default, controls["eta"].default))
    assert start[1] > 0.9
    found = []
    for lam in controls["lam"].stops():
        for eta in controls["eta"].stops():
            weight, factor = read(pattern, scene.move(lam, eta))
            if weight >= 20 and factor <= 0.9:
                found.append((lam, eta))
    assert found and all(lam < 0.853 for lam, _ in found)
    lam, eta = found[0]
    same = read(r"derived: weight of T (\S+), slowest factor (\S+),", scene.move(lam / eta, eta))
    assert same == read(pattern, scene.move(lam, eta))


def test_simulated_dots_lie_in_the_region_of_the_eigenvalues():
    """Each dot of the map inside the shaded region, each cross outside."""
    scene, _ = shown(LESSON)[1]
    H_D, H_T = (data.x.T @ data.x / len(data.y) for data in lesson_data())
    for name, axes in zip(("derived", "printed"), scene.figure.axes, strict=True):
        drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
        for label, inside in (("simulated: converged", True), ("simulated: diverged", False)):
            assert len(drawn[label]) > 20
            for lam, eta in drawn[label]:
                matrix = eta * H_D + (lam if name == "printed" else eta * lam) * H_T
                assert (torch.linalg.eigvalsh(matrix)[-1] < 2) == inside, (name, lam, eta)
