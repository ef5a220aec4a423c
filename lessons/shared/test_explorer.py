"""The λ/η explorer: every frame finite and bounded, what it draws is what it says, and a frame's time."""

from __future__ import annotations

import re
import time
import warnings

import numpy as np
import pytest
from matplotlib.lines import Line2D

from lessons.shared.explorer import explorer
from lessons.shared.problems import OPTIMISERS, PROBLEMS, RULES, outcome, problem, steepest
from metautil.widgets import Choice, Scene, Slider, frame
from metautil.widgets.scenes import LIVE
from tests.frames import check_numbers, pixels, settings

CONTROLS = {
    "eta": Slider("η", "step size", 0.001, 3.0, default=0.1),
    "lam": Slider("λ", "weight of the new task", 0.01, 100.0, default=1.0, zero=True),
    "rule": Choice("rule", RULES, default="derived"),
    "optimiser": Choice("optimiser", tuple(OPTIMISERS), default="sgd"),
}
START = {name: control.default for name, control in CONTROLS.items()}


@pytest.fixture(scope="module", params=PROBLEMS)
def drawn(request) -> tuple[str, Scene]:
    return request.param, explorer(request.param)


def artist(scene: Scene, label: str) -> np.ndarray:
    (found,) = (a for a in scene.moving if isinstance(a, Line2D) and a.get_label() == label)
    return np.array(found.get_data())


@pytest.mark.deep
def test_frames_of_the_grid_are_finite_bounded_and_silent(drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in settings(CONTROLS, limit=400)[0]:
            check_numbers(drawn[1], values)


@pytest.mark.deep
def test_drawn_frames_keep_their_size_and_are_pure(drawn):
    name, scene = drawn
    fresh = explorer(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in settings(CONTROLS)[1][::8]:
            png, words = frame(scene, **values)
            fresh._background = None
            other, same = frame(fresh, **values)
            assert words == same and np.array_equal(pixels(png), pixels(other))
            box, whole = scene.figure.get_tightbbox(), scene.figure.bbox_inches
            assert (np.r_[box.min, whole.max] > np.r_[whole.min, box.max] - 0.03).all()


def test_the_point_of_it_is_visible(drawn):
    """Halving η leaves the derived rule's limit where it is and moves the printed rule's towards T, into the ring."""
    name, scene = drawn
    goal = problem(name).limit(1e6).numpy()[:, None]
    for rule in RULES:
        scene.move(**(START | {"rule": rule}))
        limit, ring = artist(scene, f"limit, {rule}"), artist(scene, "limit at η/2")
        scene.move(**(START | {"rule": rule, "eta": START["eta"] / 2}))
        assert np.allclose(artist(scene, f"limit, {rule}"), ring)
        closer = np.linalg.norm(ring - goal) < 0.95 * np.linalg.norm(limit - goal)
        assert closer == (rule == "printed") and np.allclose(ring, limit) == (rule == "derived")


def test_the_map_is_the_eigenvalue_bound(drawn):
    """Along the drawn edge η·λmax(H_D + wH_T) = 2 with w = λ or λ/η; the dotted line keeps the weight."""
    name, scene = drawn
    for rule in RULES:
        scene.move(**(START | {"rule": rule}))
        for label, value in (("last stable η", 2), ("oscillates above", 1)):
            lams, etas = artist(scene, label)[:, ::20]
            for lam, eta in zip(lams, etas, strict=True):
                weight = lam if rule == "derived" else lam / eta
                assert eta * steepest(problem(name), weight) == pytest.approx(value, rel=1e-6)
        lams, etas = artist(scene, "same limit")
        assert np.allclose(lams if rule == "derived" else lams / etas, 1.0 if rule == "derived" else 10.0)


def test_the_readout_tells_the_walk(drawn):
    name, scene = drawn
    words = scene.move(**(START | {"rule": "printed"}))
    found = outcome(problem(name), 0.1, 1.0, "printed")
    shown = re.search(r"L_D = (\S+), L_T = (\S+) · relative weight λ/η = 10 · ", words)
    assert float(shown[1]) == pytest.approx(float(found.risk_D[30]), rel=0.01)
    assert float(shown[2]) == pytest.approx(float(found.risk_T[30]), rel=0.01)
    assert found.verdict in words and "map" not in words
    assert "the map is sgd's" in scene.move(**(START | {"optimiser": "adam"}))


def test_a_frame_takes_little_time(drawn):
    """Target 30 ms a frame on an idle machine; the bound leaves room for a busy one."""
    _, scene = drawn
    scene.draw(LIVE, **START)
    times = []
    for eta in CONTROLS["eta"].stops()[::4]:
        begin = time.perf_counter()
        scene.draw(LIVE, **(START | {"eta": eta}))
        times.append(time.perf_counter() - begin)
    assert np.median(times) < 0.09
