"""The numeric targets of lesson 11's figures can be reached, and are not met at the start; its prose is true of its numbers."""

from __future__ import annotations

import math
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

import metautil
from lessons.lesson_11 import figures
from metautil.widgets import Slider, frame

LESSON = Path(__file__).parent / "11_learning_to_adapt.md"
SLIDERS = {
    "alpha": Slider("α", "inner step size", 0.01, 0.5, default=0.05, scale="linear", n=50),
    "steps": Slider("K", "inner steps", 1, 10, default=1, scale="integer", n=10),
    "u": Slider("θ₁", "of your start", -2.0, 2.0, default=-1.0, scale="linear"),
    "v": Slider("θ₂", "of your start", -1.5, 1.5, default=1.5, scale="linear", n=31),
}
START = {name: slider.default for name, slider in SLIDERS.items()}


@pytest.fixture(autouse=True)
def settled():
    """The lesson's number type; the figure style does not leak into other tests."""
    with matplotlib.rc_context():
        metautil.begin(seed=9)
        yield
    torch.set_default_dtype(torch.float32)


def bowls() -> tuple[torch.Tensor, torch.Tensor]:
    """The three tasks of section 2."""

    def bowl(degrees, steep, flat):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        axes = torch.tensor([[c, -s], [s, c]])
        return axes @ torch.diag(torch.tensor([steep, flat])) @ axes.T

    optima = torch.tensor([[-1.2, -0.6], [1.2, -0.4], [0.0, 1.2]])
    return torch.stack([bowl(0, 2.0, 0.1), bowl(90, 0.6, 0.3), bowl(45, 1.0, 0.2)]), optima


def risks(readout: str) -> dict[str, float]:
    found = re.findall(r"(joint|MAML|FOMAML|Reptile|yours) (\d\S*)", readout)
    return {name: float(value) for name, value in found}


def mean_risk(phi: np.ndarray, alpha: float, steps: int) -> float:
    """The mean risk after adapting, by loops in numpy."""
    total = 0.0
    for A, c in zip(*(value.numpy() for value in bowls()), strict=True):
        theta = phi
        for _ in range(steps):
            theta = theta - alpha * A @ (theta - c)
        total += 0.5 * (theta - c) @ A @ (theta - c) / 3
    return total


def test_the_sliders_are_those_of_the_lesson():
    text = LESSON.read_text("utf-8")
    for name, slider in SLIDERS.items():
        spread = f", n={slider.n}" if slider.n != 41 else ""
        ends = f"{slider.low}, {slider.high}, default={slider.default}"
        wanted = f'{name}=Slider("{slider.symbol}", "{slider.name}", {ends}, scale="{slider.scale}"{spread}),'
        assert wanted in text, wanted


def test_map_target_takes_a_start_near_mamls():
    """At most 0.13 at α = 0.4, K = 1: reached on stops, all near MAML's mark; not at the default start nor at joint's."""
    scene = figures.adaptation_map(*bowls())
    readings = {
        (u, v): risks(scene.move(0.4, 1, u, v)) for u in SLIDERS["u"].stops() for v in SLIDERS["v"].stops()
    }  # fmt: skip
    met = [start for start, found in readings.items() if found["yours"] <= 0.13]
    at_default = readings[START["u"], START["v"]]
    assert at_default["yours"] > 0.13 and at_default["joint"] == 0.249
    assert (0.5, 0.1) in met and len(met) < 60
    assert all(u > 0 for u, _ in met), "no start near the steep task 1 meets it"
    # before adapting, such a start is worse than joint training's, as the prose says
    assert mean_risk(np.array([0.5, 0.1]), 0.4, 0) > 1 > 2 * 0.49
    assert mean_risk(np.array([0.5, 0.1]), 0.4, 0) > 2 * mean_risk(np.array([-0.608, 0.51]), 0.4, 0)


@pytest.mark.parametrize(("alpha", "steps"), [(0.05, 1), (0.4, 1), (0.4, 2), (0.5, 10)])
def test_each_learner_is_best_at_what_it_minimises(alpha, steps):
    """MAML has the lowest mean risk after K steps, and the read-out agrees with loops."""
    readout = figures.adaptation_map(*bowls()).move(alpha, steps, 0.3, 1.0)
    found = risks(readout)
    assert min(found, key=found.get) == "MAML"
    assert found["yours"] == pytest.approx(mean_risk(np.array([0.3, 1.0]), alpha, steps), rel=6e-3)
    start = re.search(r"MAML starts at \((\S+), (\S+)\)", readout).groups()
    start = np.array([float(entry.replace("−", "-")) for entry in start])
    assert found["MAML"] == pytest.approx(mean_risk(start, alpha, steps), rel=2e-2)


def test_marks_move_as_the_prose_says():
    """With K = 1 joint and Reptile stay together; FOMAML moves, MAML about twice as far, towards task 2."""
    scene = figures.adaptation_map(*bowls())
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


def test_more_steps_leave_less_to_save():
    """Joint training's mean risk and what MAML's start saves of it, at α = 0.4, as the prose says."""
    scene = figures.adaptation_map(*bowls())
    first, last = (risks(scene.move(0.4, steps, 0.0, 0.0)) for steps in (1, 10))
    assert last["joint"] == 0.0221
    assert round(first["joint"] - first["MAML"], 2) == 0.12
    assert round(last["joint"] - last["MAML"], 4) == 0.0094


def test_held_out_examples_would_have_been_worth_a_lambda():
    """Excess risk on the task itself, y = 1.6 + 1.5x with x uniform in ±2: examples of V added to T, against the best λ."""
    generator = metautil.begin(seed=9)

    def points(count, intercept, slope, noise):
        x = 4 * torch.rand(count, generator=generator) - 2
        y = intercept + slope * x + noise * torch.randn(count, generator=generator)
        return torch.stack([torch.ones(count), x], 1).numpy(), y.numpy()

    (X_D, y_D), (X_T, y_T), (X_V, y_V) = points(40, 1, 2, 0.5), points(4, 1.6, 1.5, 0.8), points(40, 1.6, 1.5, 0.8)

    def excess(theta):
        return 0.5 * ((theta[0] - 1.6) ** 2 + 4 / 3 * (theta[1] - 1.5) ** 2)

    def weighted(lam):
        H = X_D.T @ X_D / 40 + lam * X_T.T @ X_T / 4
        return np.linalg.solve(H, X_D.T @ y_D / 40 + lam * X_T.T @ y_T / 4)

    chosen = min(np.geomspace(0.01, 100, 401), key=lambda lam: np.square(X_V @ weighted(lam) - y_V).mean())
    assert 2.0 < chosen < 2.2
    together = np.linalg.lstsq(np.concatenate([X_T, X_V]), np.concatenate([y_T, y_V]))[0]
    assert excess(together) <= excess(weighted(chosen)) < 0.2 * excess(weighted(0))


def test_map_draws_at_every_setting():
    """Finite and one line over the ends and the middle of all sliders."""
    scene = figures.adaptation_map(*bowls())
    picks = [(s.stops()[0], s.stops()[len(s.stops()) // 2], s.stops()[-1]) for s in SLIDERS.values()]
    for alpha in picks[0]:
        for steps in picks[1]:
            for u in picks[2]:
                png, readout = frame(scene, alpha=alpha, steps=steps, u=u, v=picks[3][0])
                assert png.startswith(b"\x89PNG") and len(risks(readout)) == 5
                assert all(math.isfinite(value) for value in risks(readout).values())
