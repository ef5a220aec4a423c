"""The targets of lesson 06's figures can be reached and are not met at the start, and what its prose says of them is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
import torch

import metautil
from metautil import driving, plots, sliders
from metautil.datasets import digits
from metautil.driving import Drive
from metautil.plots import base
from metautil.sliders import Slider

LESSON = Path(__file__).parent.parent / "lessons" / "06_train_the_cnn.md"
GUESSING = pytest.approx(0.1)


@pytest.fixture(scope="module")
def lesson() -> Iterator[dict]:
    """The names that the lesson's cells leave behind, without its exercises."""
    text = LESSON.read_text(encoding="utf-8").split("## Exercises")[0]
    names: dict = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch, matplotlib.rc_context():
        for module in (sliders, driving, base):
            patch.setattr(module, "display", lambda *faces, **options: None)
        patch.setattr(driving, "drive", lambda *scene, **options: names.update(driven=(scene, options)))
        for cell in re.findall(r"```\{code-cell\}[^\n]*\n(.*?)```", text, re.DOTALL):
            exec(re.sub(r"^:tags:.*\n", "", cell), names)
        yield names
    torch.set_default_dtype(torch.float32)


def read(pattern: str, text: str) -> list[float]:
    return [float(value.replace("−", "-")) for value in re.search(pattern, text).groups()]


def test_the_window_finds_the_upper_edge():
    metautil.begin(6)
    third = torch.ones(3, 1) @ torch.tensor([[-1.0, 0.0, 1.0]]) / 3
    scan = digits().x[3, 0]
    scene = plots.convolution_window(scan, {"left edge": third, "upper edge": third.T})
    sums = {
        (row, column): read(r"products (\S+) ·", scene.move("upper edge", row, column))[0]
        for row in range(1, 9)
        for column in range(1, 9)
    }
    torch.set_default_dtype(torch.float32)
    best = max(sums, key=sums.get)
    assert sums[best] >= 0.7 and sum(value >= 0.7 for value in sums.values()) <= 3
    row, column = best
    below = [scan[r - 1, column - 1].item() for r in (row, row + 1)]
    above = scan[row - 2, column - 1].item() if row > 1 else 0.0
    assert above < 0.2 and max(below) > 0.8  # paper above, ink below: the top of a stroke
    assert read(r"products (\S+) ·", scene.move("left edge", 2, 6))[0] < 0  # the figure opens on a red place


def drives(lesson: dict, *legs: tuple[int, float, float]) -> list[tuple]:
    """The history after so many ticks with each (λ, η)."""
    state = lesson["start"]()
    for ticks, lam, eta in legs:
        for _ in range(ticks):
            state = lesson["advance"](state, lam, eta)
    return state.history


def reached(history: list[tuple]) -> bool:
    """Accuracy on T at least 80% and on D at least 90% within ten epochs."""
    return any(on_T >= 0.8 and on_D >= 0.9 and epoch <= 10 for epoch, _, _, on_D, on_T, _, _ in history)


def test_the_drive_has_a_target_that_takes_a_choice(lesson):
    assert reached(drives(lesson, (40, 1.0, 0.1)))
    assert not reached(drives(lesson, (40, 0.0, 0.1)))  # as the figure starts after Reset


def test_the_script_shows_what_the_prose_says(lesson):
    (_, start, advance), options = lesson["driven"]
    panel = Drive(
        plots.driven_training(epochs=40), start, advance, options["limit"],
        {name: control for name, control in options.items() if isinstance(control, Slider)},
    )  # fmt: skip
    panel.follow(options["script"])
    history = panel.state.history
    before, after = history[40], history[48]  # two epochs after λ has gone from 0 to 1
    guessing = torch.tensor(10.0).log().item()
    assert before[2] > 0.9 * guessing and after[2] < before[2] / 100
    assert history[80][4] - before[4] > 0.15  # accuracy on T
    assert max(row[1] for row in history[41:45]) > before[1]  # the risk of D is set back
    assert history[80][2] < before[2] / 1000


def test_too_long_a_step_ruins_the_network_for_good(lesson):
    history = drives(lesson, (20, 1.0, 0.1), (2, 1.0, 3.0), (20, 1.0, 0.1))
    assert history[20][3] > 0.8
    assert history[22][3:5] == (GUESSING, GUESSING) and history[-1][3:5] == (GUESSING, GUESSING)


def test_the_stored_sweep_says_what_the_prose_says():
    """Accuracy on T rises with λ, that on D falls in the end, and the intervals tell the ends apart."""
    from metautil.results import stored

    sweep = stored("lambda_sweep")
    on_T, on_D = ([sweep[f"λ={lam}"][metric] for lam in (0, 1, 10, 30)] for metric in ("accuracy_T", "accuracy_D"))
    assert on_T[0].high < on_T[1].low and on_T[1].mean < on_T[2].mean
    assert on_D[0].low > on_D[2].high > on_D[3].high and on_D[2].low > on_D[3].high
    width = [estimate.high - estimate.low for estimate in (on_T[0], on_D[0])]
    assert width[0] > width[1]
