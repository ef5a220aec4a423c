"""Driving a process: scripts, buttons, the event loop, and what happens when it refuses to go on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from functools import wraps

import pytest
from matplotlib.figure import Figure

from metautil.widgets import Leg, Scene, Slider, drive, panels
from metautil.widgets.processes import Drive

ETA = Slider("η", "step size", 0.01, 1, default=0.1)
SCRIPT = [Leg(3, {}), Leg(2, {"eta": 0.5})]


def scene() -> Scene:
    figure = Figure(figsize=(4, 2))
    (line,) = figure.add_subplot(xlim=(0, 50), ylim=(0, 10)).plot([0], [0])

    def move(state, eta):
        line.set_data(range(len(state)), state)
        return f"tick {len(state) - 1} at {state[-1]:.2f}"

    return Scene(figure, [line], move, "A line that grows.")


def advance(state, eta):
    if eta == 1:
        raise FloatingPointError("the step is too long")
    return (*state, state[-1] + eta)


def panel(limit: int = 50) -> Drive:
    return Drive(scene(), lambda: (0.0,), advance, limit, {"eta": ETA})


def in_a_loop(test: Callable[[], Coroutine]) -> Callable[[], None]:
    """The test within an event loop, as a kernel's cells are."""
    return wraps(test)(lambda: asyncio.run(test()))


async def until(condition, seconds: float = 5.0) -> None:
    while not condition():
        seconds -= 0.005
        assert seconds > 0, "it did not happen"
        await asyncio.sleep(0.005)


def test_a_script_is_followed_leg_by_leg():
    driven = panel()
    lines = driven.follow(SCRIPT)
    assert lines == ["η = 0.1 · tick 3 at 0.30", "η = 0.5 · tick 5 at 1.30"]
    assert driven.state == pytest.approx((0, 0.1, 0.2, 0.3, 0.8, 1.3)) and driven.line == lines[-1]
    assert driven.ticks == 5 and driven.boxes["eta"].value == "0.5"  # the controls stand where the script left them


def test_step_goes_one_tick_on_and_reset_goes_back():
    driven = panel()
    driven.set(eta=0.5)
    driven.step_button.click()
    assert driven.line == "η = 0.5 · tick 1 at 0.50"
    driven.reset.click()
    assert driven.line == "η = 0.1 · tick 0 at 0.00" and driven.state == (0.0,) and driven.ticks == 0


@in_a_loop
async def test_it_runs_between_other_work_and_takes_new_settings():
    driven = panel()
    driven.start_button.click()
    assert driven.running and driven.start_button.description == "Pause"
    await until(lambda: driven.ticks >= 3)
    driven.set(eta=0.5)
    seen = driven.ticks
    await until(lambda: driven.ticks >= seen + 3)
    driven.start_button.click()
    driven.start_button.click()  # at once again: one task goes on, and is the one that a pause stops
    await until(lambda: driven.ticks >= seen + 6)
    driven.start_button.click()
    assert not driven.running and driven.start_button.description == "Start"
    stopped = driven.state
    await asyncio.sleep(0.1)
    assert driven.state == stopped
    steps = [round(b - a, 6) for a, b in itertools.pairwise(stopped)]
    assert steps == [0.1] * seen + [0.5] * (len(steps) - seen)


@in_a_loop
async def test_only_one_runs_and_it_stops_when_nobody_looks():
    first, second = panel(), panel()
    first.start()
    await until(lambda: first.ticks)
    second.start()
    assert second.running and not first.running
    await until(lambda: second.ticks)
    for views in (1, 2, 1):
        second.widget._view_count = views
    assert second.running
    second.widget._view_count = 0
    assert not second.running and second.start_button.description == "Start"


@in_a_loop
async def test_it_stops_at_the_end_of_the_axis_and_says_so():
    driven = panel(limit=4)
    driven.start()
    await until(lambda: not driven.running)
    assert driven.ticks == 4 and "end of the axis" in driven.message.value
    assert driven.start_button.description == "Start" and driven.line.endswith("tick 4 at 0.40")


def test_a_process_that_refuses_keeps_its_state_and_is_told():
    driven = panel()
    driven.step()
    driven.set(eta=1)
    driven.step()
    assert driven.state == (0.0, 0.1) and driven.ticks == 1
    assert "Stopped: the step is too long" in driven.message.value
    driven.set(eta=0.2)
    driven.step()
    assert driven.message.value == "" and driven.ticks == 2
    with pytest.raises(RuntimeError, match=r"leg 2.*too long"):
        panel().follow([Leg(2, {}), Leg(1, {"eta": 1})])


def test_drive_displays_one_output_whose_text_has_a_line_a_leg(monkeypatch):
    shown = []
    monkeypatch.setattr(panels, "display", lambda faces, **options: shown.append((faces, options)))
    for _ in range(2):
        drive(scene(), lambda: (0.0,), advance, SCRIPT, limit=50, eta=ETA)
    (faces, options), (again, _) = shown
    assert faces["text/plain"] == "η = 0.1 · tick 3 at 0.30\nη = 0.5 · tick 5 at 1.30"
    assert faces["image/png"] == again["image/png"] and panels.WIDGET_VIEW in faces
    assert options["metadata"]["image/png"]["alt"] == "A line that grows."


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"script": []}, ValueError, "1 to 50 ticks"),
        ({"script": [Leg(51, {})]}, ValueError, "51 ticks"),
        ({"script": [Leg(1, {"lam": 1})]}, ValueError, "lam"),
        ({"advance": lambda state: state}, TypeError, "advance must take state"),
        ({"lam": ETA}, TypeError, "scene.move must take state"),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, words):
    arguments = {"advance": advance, "script": [Leg(1, {})], "limit": 50, "eta": ETA} | changes
    with pytest.raises(error, match=words):
        drive(scene(), lambda: (0.0,), **arguments)
