"""The numeric targets of lesson 11's figures can be reached, and are not met at the start; its prose is true of its numbers."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

from lessons.shared.cells import Ran, ran
from metautil.widgets import frame

LESSON = Path(__file__).parent / "11_learning_to_adapt.md"
pytestmark = pytest.mark.usefixtures("settled")


def section_2() -> Ran:
    """The map of section 2, with the names that the cells before it leave."""
    return ran(LESSON, until=r"adaptation_map\(")


@pytest.fixture
def scene():
    return section_2().scenes[0][0]


@pytest.fixture
def sliders():
    return section_2().scenes[0][1]


def risks(readout: str) -> dict[str, float]:
    found = re.findall(r"(joint|MAML|FOMAML|Reptile|yours) (\d\S*)", readout)
    return {name: float(value) for name, value in found}


def mean_risk(phi: np.ndarray, alpha: float, steps: int) -> float:
    """The mean risk after adapting, by loops in numpy."""
    total = 0.0
    for A, c in zip(*(section_2().names[name].numpy() for name in "Ac"), strict=True):
        theta = phi
        for _ in range(steps):
            theta = theta - alpha * A @ (theta - c)
        total += 0.5 * (theta - c) @ A @ (theta - c) / 3
    return total


def test_map_target_takes_a_start_near_mamls(scene, sliders):
    """At most 0.13 at α = 0.4, K = 1: reached on stops, all near MAML's mark; not at the default start nor at joint's."""
    starts = itertools.product(sliders["u"].stops(), sliders["v"].stops())
    readings = {start: risks(scene.move(0.4, 1, *start)) for start in starts}
    met = [start for start, found in readings.items() if found["yours"] <= 0.13]
    at_default = readings[sliders["u"].default, sliders["v"].default]
    assert at_default["yours"] > 0.13 and at_default["joint"] == 0.249
    assert (0.5, 0.1) in met and len(met) < 60
    assert all(u > 0 for u, _ in met), "no start near the steep task 1 meets it"
    # before adapting, such a start is worse than joint training's, as the prose says
    assert mean_risk(np.array([0.5, 0.1]), 0.4, 0) > 1 > 2 * 0.49
    assert mean_risk(np.array([0.5, 0.1]), 0.4, 0) > 2 * mean_risk(np.array([-0.608, 0.51]), 0.4, 0)


@pytest.mark.parametrize(("alpha", "steps"), [(0.05, 1), (0.4, 1), (0.4, 2), (0.5, 10)])
def test_each_learner_is_best_at_what_it_minimises(scene, alpha, steps):
    """MAML has the lowest mean risk after K steps, and the read-out agrees with loops."""
    readout = scene.move(alpha, steps, 0.3, 1.0)
    found = risks(readout)
    assert min(found, key=found.get) == "MAML"
    assert found["yours"] == pytest.approx(mean_risk(np.array([0.3, 1.0]), alpha, steps), rel=6e-3)
    start = re.search(r"MAML starts at \((\S+), (\S+)\)", readout).groups()
    start = np.array([float(entry.replace("−", "-")) for entry in start])
    assert found["MAML"] == pytest.approx(mean_risk(start, alpha, steps), rel=2e-2)


def test_marks_move_as_the_prose_says(scene):
    """With K = 1 joint and Reptile stay together; FOMAML moves, MAML about twice as far, towards task 2."""
    marks = {"joint": "o", "MAML": "D", "FOMAML": "^", "Reptile": "s"}

    def place(alpha):
        scene.move(alpha, 1, 0.0, 0.0)
        lines = {line.get_marker(): line.get_xydata()[0] for line in scene.moving if len(line.get_xydata()) == 1}
        return {name: lines[mark] for name, mark in marks.items()}

    before, after = place(0.01), place(0.4)
    moved = {name: np.linalg.norm(after[name] - before[name]) for name in marks}
    assert moved["joint"] == pytest.approx(0, abs=1e-12) and moved["Reptile"] == pytest.approx(0, abs=1e-12)
    assert 1.5 < moved["MAML"] / moved["FOMAML"] < 2.5
    away = [np.linalg.norm(spot["MAML"] - [1.2, -0.4]) for spot in (before, after)]
    assert away[1] < away[0] - 1


def test_more_steps_leave_less_to_save(scene):
    """Joint training's mean risk and what MAML's start saves of it, at α = 0.4, as the prose says."""
    first, last = (risks(scene.move(0.4, steps, 0.0, 0.0)) for steps in (1, 10))
    assert last["joint"] == 0.0221
    assert round(first["joint"] - first["MAML"], 2) == 0.12
    assert round(last["joint"] - last["MAML"], 4) == 0.0094


def test_held_out_examples_would_have_been_worth_a_lambda():
    """Excess risk on the task itself, y = 1.6 + 1.5x with x uniform in ±2: examples of V added to T, against the best λ."""
    data = (section_2().names[name] for name in "DTV")
    (X_D, y_D), (X_T, y_T), (X_V, y_V) = ((part.x.numpy(), part.y[:, 0].numpy()) for part in data)

    def excess(theta):
        return 0.5 * ((theta[0] - 1.6) ** 2 + 4 / 3 * (theta[1] - 1.5) ** 2)

    def weighted(lam):
        H = X_D.T @ X_D / 40 + lam * X_T.T @ X_T / 4
        return np.linalg.solve(H, X_D.T @ y_D / 40 + lam * X_T.T @ y_T / 4)

    chosen = min(np.geomspace(0.01, 100, 401), key=lambda lam: np.square(X_V @ weighted(lam) - y_V).mean())
    assert 2.0 < chosen < 2.2
    together = np.linalg.lstsq(np.concatenate([X_T, X_V]), np.concatenate([y_T, y_V]))[0]
    assert excess(together) <= excess(weighted(chosen)) < 0.2 * excess(weighted(0))


def test_map_draws_at_every_setting(scene, sliders):
    """Finite and one line over the ends and the middle of all sliders."""
    *picks, (v, *_) = [(s.stops()[0], s.stops()[len(s.stops()) // 2], s.stops()[-1]) for s in sliders.values()]
    for alpha, steps, u in itertools.product(*picks):
        png, readout = frame(scene, alpha=alpha, steps=steps, u=u, v=v)
        assert png.startswith(b"\x89PNG") and len(risks(readout)) == 5
        assert all(math.isfinite(value) for value in risks(readout).values())
