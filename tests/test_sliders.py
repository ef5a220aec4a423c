"""Sliders without a browser: stops, typed values, frames, panel, three faces, every lesson's scenes."""

from __future__ import annotations

import io
import itertools
import math
import random
import re
import warnings
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import ipywidgets
import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as settings_
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

import metautil.widgets
from metautil.widgets import sliders
from metautil.widgets.map import Handle
from metautil.widgets.sliders import Choice, Control, Panel, Scene, Slider, frame, show, write

LESSONS = sorted((Path(__file__).parent.parent / "lessons").glob("lesson_*/[0-9]*.md"))
ETA = Slider("η", "step size", 0.01, 1.0, default=0.1)
LAM = Slider("λ", "weight of T", 0.01, 100, default=1, zero=True, unit="1/m")
RULE = Choice("rule", ("derived", "printed"), default="derived")


def pixels(png: bytes | memoryview) -> np.ndarray:
    """Pixels of a PNG, or of one in a data address."""
    png = bytes(png)
    png = b64decode(png.partition(b",")[2]) if png.startswith(b"data:image/png;base64,") else png
    return np.asarray(Image.open(io.BytesIO(png)))


def path_scene() -> Scene:
    """Two panels, all usual kinds of moving artist; some λ also change static parts (a title, the limits)."""
    figure = Figure(figsize=(5, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    x = np.linspace(-2, 2, 41)
    left.contourf(x, x, x[:, None] ** 2 + x**2)
    left.plot(0, 0, "*", label="minimum")
    left.legend()
    left.set(xlabel="θ₁", ylabel="θ₂")
    (line,) = left.plot([], [], "o-")
    words = left.text(-1.8, 1.6, "")
    (bar,) = right.bar([0], [1])
    dots = right.scatter([0], [0], zorder=5)
    image = right.imshow(np.zeros((2, 2)), extent=(0.5, 1.5, 0, 1), aspect="auto", vmin=0, vmax=2)
    right.set(xlim=(-1, 2), ylim=(0, 3))

    def move(eta: float, lam: float) -> str:
        path = 1.5 * (1 - eta) ** np.arange(9)
        line.set_data(path, -path)
        words.set_text(f"{path[-1]:.2f}")
        bar.set_height(lam / (1 + lam))
        dots.set_offsets([[0, eta]])
        image.set_data(np.full((2, 2), eta))
        right.set_title("D alone" if lam == 0 else "")
        right.set_ylim(0, 3 if lam < 50 else 6)
        return f"end {path[-1]:.4f}, share {lam / (1 + lam):.3f}"

    return Scene(figure, [dots, line, words, bar, image], move, "A path, and a bar with the share of T.")


def broken_scene() -> Scene:
    """Fails beyond η = 0.5."""
    figure = Figure(figsize=(2, 2))
    (line,) = figure.add_subplot().plot([0, 1], [0, 1])

    def move(eta: float) -> str:
        if eta > 0.5:
            raise ZeroDivisionError("no <b>such</b> step")
        line.set_ydata([0, eta])
        return f"end {eta}"

    return Scene(figure, [line], move, "A line.")


def chosen_scene() -> Scene:
    """A slider and a choice."""
    figure = Figure(figsize=(2, 2))
    (line,) = figure.add_subplot().plot([0, 1], [0, 1])

    def move(eta: float, rule: str) -> str:
        line.set_ydata([0, eta] if rule == "derived" else [eta, 0])
        return f"end {eta}"

    return Scene(figure, [line], move, "A line.")


U = Slider("θ₁", "first", -2, 2, default=0, scale="linear", n=41)
V = Slider("θ₂", "second", 0, 3, default=1, scale="linear", n=31)


def plane_scene() -> Scene:
    """A point on axes of 200 × 120 pixels, from pixel 100 and from pixel 40, in a picture of 400 × 200."""
    figure = Figure(figsize=(4, 2), dpi=100)
    plane = figure.add_axes((0.25, 0.2, 0.5, 0.6), xlim=(-2, 2), ylim=(0, 3))
    (point,) = plane.plot([0], [0], "P")

    def move(u: float, v: float) -> str:
        point.set_data([u], [v])
        return f"at ({u:.2f}, {v:.2f})"

    return Scene(figure, [point], move, "A plane with a point.", Handle(plane, "u", "v"))


@pytest.fixture
def panel() -> Panel:
    return Panel(path_scene(), {"eta": ETA, "lam": LAM})


# --- Slider ---


@st.composite
def any_slider(draw: st.DrawFn) -> Slider:
    scale = draw(st.sampled_from(sliders.SCALES))
    n = draw(st.integers(2, 60))
    if scale == "integer":
        low, default, high = sorted(draw(st.lists(st.integers(-1000, 1000), min_size=3, max_size=3)))
        return Slider("K", "steps", low, high + 1, default=default, scale=scale, n=n)
    reals = st.floats(1e-6 if scale == "log" else -1e6, 1e6, allow_subnormal=False)
    low, default, high = sorted(draw(st.lists(reals, min_size=3, max_size=3)))
    zero = scale == "log" and draw(st.booleans())
    high = max(high, low + max(abs(low), 1) * 1e-3)
    return Slider("η", "step size", low, high, default=default, scale=scale, n=n, zero=zero)


@given(any_slider())
def test_stops_ascend_within_the_range_and_hold_ends_and_default(slider: Slider) -> None:
    stops = slider.stops()
    assert all(a < b for a, b in itertools.pairwise(stops))
    assert {slider.low, slider.high, slider.default} <= set(stops)
    assert stops[-1] == slider.high and stops[0] == (0 if slider.zero else slider.low)
    assert len(stops) <= slider.n + 1 + slider.zero
    if slider.scale == "integer":
        assert all(isinstance(stop, int) for stop in stops)


@given(any_slider())
def test_a_written_stop_is_read_back_exactly(slider: Slider) -> None:
    assert [slider.parse(write(stop)) for stop in slider.stops()] == list(slider.stops())


@example(ETA, "0\n0")
@given(any_slider(), st.text(max_size=40) | st.floats().map(str))
def test_parse_gives_a_value_in_range_or_refuses_in_words(slider: Slider, typed: str) -> None:
    try:
        value = slider.parse(typed)
    except ValueError as refusal:
        assert re.search(rf"{slider.symbol} takes a (whole )?number from", str(refusal))
        assert "\n" not in str(refusal) and len(str(refusal)) < 250
    else:
        assert math.isfinite(value)
        assert slider.low <= value <= slider.high or (slider.zero and value == 0)


def test_log_stops_are_geometric_with_two_digits() -> None:
    stops = Slider("η", "step size", 0.01, 1, default=0.1, n=5).stops()
    assert stops == (0.01, 0.032, 0.1, 0.32, 1)
    assert LAM.stops()[:2] == (0, 0.01)
    assert Slider("η", "step size", 0.01, 1, default=0.123, n=3).stops() == (0.01, 0.1, 0.123, 1)


def test_linear_and_integer_stops() -> None:
    assert Slider("α", "share", 0, 1, default=0.5, scale="linear", n=5).stops() == (0, 0.25, 0.5, 0.75, 1)
    assert Slider("K", "steps", 0, 4, default=1, scale="integer").stops() == (0, 1, 2, 3, 4)
    assert 0.30000000000000004 not in Slider("α", "share", 0, 1, default=0.5, scale="linear", n=11).stops()


def test_choices_are_the_only_values() -> None:
    slider = Slider("λ", "weight", 0, 10, default=1, choices=(0, 10, 1))
    assert slider.stops() == (0, 1, 10)
    assert slider.parse("10") == 10
    with pytest.raises(ValueError, match=r"“0\.5” is not among the choices: λ takes one of 0, 1, 10"):
        slider.parse("0.5")


@pytest.mark.parametrize(
    ("typed", "value"), [("0.1", 0.1), (" 0.125 ", 0.125), ("1e-2", 0.01), ("1", 1), ("+.5", 0.5), ("1E0", 1)]
)
def test_typed_values_between_the_stops_count(typed: str, value: float) -> None:
    assert ETA.parse(typed) == value


@pytest.mark.parametrize(
    ("slider", "typed", "words"),
    [
        (ETA, "", "Nothing was typed"),
        (ETA, "  ", "Nothing was typed"),
        (ETA, "ten", "“ten” is not a number"),
        (ETA, "0,1", "comma: write decimals with a point"),
        (ETA, "nan", "not a finite number"),
        (ETA, "inf", "not a finite number"),
        (ETA, "1e999", "not a finite number"),
        (ETA, "7", "“7” is outside the range: η takes a number from 0.01 to 1"),
        (ETA, "−0.1", "outside the range"),
        (ETA, "0", "outside the range"),
        (LAM, "0.001", "from 0.01 to 100, or 0"),
        (Slider("K", "steps", 0, 9, default=1, scale="integer"), "2.5", "“2.5” is not whole"),
        (ETA, "9" * 500, "…”"),
    ],
)
def test_invalid_typed_values_are_refused_in_words(slider: Slider, typed: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        slider.parse(typed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": "cubic"}, "'cubic'; expected one of log, linear, integer"),
        ({"low": 0}, "a log scale needs low > 0"),
        ({"low": 2}, "low < high"),
        ({"high": math.inf}, "finite"),
        ({"default": 3}, "expected a number from 0.01 to 1"),
        ({"n": 1}, "at least 2"),
        ({"scale": "linear", "zero": True}, "zero=True belongs to a log scale"),
        ({"scale": "integer"}, "whole"),
        ({"choices": (0.1, 2)}, "from low to high"),
        ({"choices": (0.2, 0.5)}, "default among them"),
    ],
)
def test_a_slider_refuses_arguments_that_make_no_sense(changes: dict, words: str) -> None:
    arguments = {"symbol": "η", "name": "step size", "low": 0.01, "high": 1.0, "default": 0.1} | changes
    with pytest.raises(ValueError, match=re.escape(words)):
        Slider(**arguments)


# --- Choice ---


def test_a_choice_takes_its_options_and_refuses_others_in_words() -> None:
    assert RULE.stops() == ("derived", "printed") and RULE.name == "rule"
    assert [RULE.parse(option) for option in RULE.stops()] == list(RULE.stops())
    for typed in ("", "Derived", "0.1"):
        with pytest.raises(ValueError, match=f"“{typed}” is not among the options: rule takes one of derived, printed"):
            RULE.parse(typed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": " "}, "label is empty"),
        ({"options": ("derived",)}, "two or more different names"),
        ({"options": ("derived", "derived")}, "two or more different names"),
        ({"options": ("derived", "")}, "not empty"),
        ({"options": ("derived", 3)}, "not empty"),
        ({"default": "sgd"}, "default='sgd'; expected one of derived, printed"),
    ],
)
def test_a_choice_refuses_arguments_that_make_no_sense(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Choice(**({"label": "rule", "options": ("derived", "printed"), "default": "derived"} | changes))


def test_a_choice_is_part_of_the_panel() -> None:
    scene, controls = chosen_scene(), {"eta": ETA, "rule": RULE}
    panel, drawn = Panel(scene, controls), []
    start, move = panel.picture.value, scene.move
    assert panel.line == "η = 0.1, rule = derived · end 0.1"
    buttons = panel.buttons["rule"]
    assert buttons.options == RULE.options and buttons.tooltips == ("rule: derived", "rule: printed")
    label, beside = panel.widget.children[1].children
    assert label.value == "rule" and beside is buttons
    scene.move = lambda **values: drawn.append(values) or move(**values)

    buttons.value = "printed"
    assert panel.line == "η = 0.1, rule = printed · end 0.1" and panel.line in panel.readout.value
    assert np.array_equal(pixels(panel.picture.value), pixels(frame(chosen_scene(), eta=0.1, rule="printed")[0]))
    panel.boxes["eta"].value = "0.2"
    assert panel.line.startswith("η = 0.2, rule = printed") and buttons.value == "printed"
    panel.reset.click()
    assert panel.line == "η = 0.1, rule = derived · end 0.1" and buttons.value == "derived"
    assert panel.picture.value == start
    assert len(drawn) == 3, "one change draws once"


def test_a_choice_alone_is_shown(displayed: list) -> None:
    figure = Figure(figsize=(2, 2))
    (line,) = figure.add_subplot().plot([0, 1], [0, 1])
    scene = Scene(figure, [line], lambda rule: f"{len(rule)} letters", "A line.")
    show(scene, rule=RULE)
    assert displayed[0][0]["text/plain"] == "rule = derived · 7 letters"


def test_a_sweep_goes_through_all_options() -> None:
    three = Choice("optimiser", ("sgd", "momentum", "adam"), default="sgd")
    many, few = settings({"eta": ETA, "rule": three})
    assert len(many) == 3 * len(ETA.stops())
    ends = {(values["eta"], values["rule"]) for values in few}
    assert set(itertools.product((0.01, 1.0), three.options)) <= ends


# --- Scene and frame ---


def test_frames_are_pure() -> None:
    """After any sequence of moves the pixels are those of a new scene moved there at once."""
    worn = path_scene()
    draw = random.Random(0)
    for _ in range(12):
        values = {"eta": draw.choice(ETA.stops()), "lam": draw.choice([0, 0.5, 1, 99])}
        fresh, worn_frame = frame(path_scene(), **values), frame(worn, **values)
        assert worn_frame[1] == fresh[1]
        assert np.array_equal(pixels(worn_frame[0]), pixels(fresh[0])), values


def test_a_change_of_a_static_artist_is_drawn() -> None:
    scene = path_scene()
    with_title, without = (pixels(frame(scene, eta=0.1, lam=lam)[0]) for lam in (0, 1e-9))
    assert not np.array_equal(with_title, without)
    narrow, wide = (pixels(frame(scene, eta=0.1, lam=lam)[0]) for lam in (49.9999999, 50.0))
    assert not np.array_equal(narrow, wide)


def test_the_background_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = broken_scene()
    frame(scene, eta=0.1)
    canvas = scene.figure.canvas
    monkeypatch.setattr(canvas, "draw", lambda: pytest.fail("the background was drawn again"))
    for eta in (0.01, 0.3, 0.5):
        frame(scene, eta=eta)


def test_a_pending_autoscale_is_seen() -> None:
    def scene() -> Scene:
        figure = Figure(figsize=(2, 2))
        axes = figure.add_subplot()
        (line,) = axes.plot([0, 1], [0, 1])

        def move(eta: float) -> str:
            line.set_ydata([0, eta])
            axes.relim()
            axes.autoscale()
            return f"{eta}"

        return Scene(figure, [line], move, "A line.")

    worn = scene()
    frame(worn, eta=1)
    assert np.array_equal(pixels(frame(worn, eta=7)[0]), pixels(frame(scene(), eta=7)[0]))


def test_the_layout_stays_when_labels_grow() -> None:
    scene = path_scene()
    axes = scene.figure.axes[1]
    before = axes.get_position().bounds
    move = scene.move

    def widen(eta: float) -> str:
        axes.set_yticks([0, 3], ["0", "a label as wide as the panel"])
        return move(eta=eta, lam=1)

    scene.move = widen
    frame(scene, eta=0.1)
    assert axes.get_position().bounds == before


def test_nothing_is_lost_against_savefig() -> None:
    """A frame is a full drawing, but for the order in which moving artists, legends and spines overlap."""
    scene = path_scene()
    drawn = pixels(frame(scene, eta=0.1, lam=1)[0])
    for artist in scene.moving:
        artist.set_animated(False)
    file = io.BytesIO()
    scene.figure.savefig(file, dpi=scene.figure.dpi)
    saved = np.asarray(Image.open(file).convert("RGB"))
    assert saved.shape == drawn.shape
    assert np.mean(np.any(saved != drawn, axis=2)) < 0.005


def test_the_figure_is_not_left_to_pyplot() -> None:
    figure, axes = pyplot.subplots()
    (line,) = axes.plot([0, 1])
    scene = Scene(figure, [line], lambda eta: f"{eta}", "A line.")
    assert not pyplot.fignum_exists(figure.number)
    assert frame(scene, eta=1)[1] == "1"


def test_a_scene_refuses_what_it_cannot_draw() -> None:
    scene = broken_scene()
    with pytest.raises(ValueError, match="not part of the scene's figure"):
        Scene(Figure(), scene.moving, scene.move, "A line.")
    with pytest.raises(ValueError, match="alt is empty"):
        Scene(scene.figure, scene.moving, scene.move, " ")
    with pytest.raises(ValueError, match="transparent"):
        Scene(Figure(facecolor="none"), [], scene.move, "Nothing.")
    for answer in (None, "", "two\nlines"):
        scene.move = lambda eta, answer=answer: answer
        with pytest.raises(TypeError, match="one line of text"):
            frame(scene, eta=0.1)


def test_live_and_still_pictures_have_the_same_pixels() -> None:
    scene = path_scene()
    live, _ = scene.draw(sliders.LIVE, eta=0.3, lam=2)
    still, _ = frame(scene, eta=0.3, lam=2)
    assert np.array_equal(pixels(live), pixels(still))
    assert len(still) < len(live)


# --- Panel ---


def agree(panel: Panel, **values: float) -> None:
    """Picture, read-out, boxes and bars of the panel are those of ``values``."""
    png, readout = frame(path_scene(), **values)
    assert panel.values == values
    assert np.array_equal(pixels(panel.picture.value), pixels(png))
    assert readout in panel.line and panel.line in panel.readout.value
    for name, value in values.items():
        assert panel.sliders[name].parse(panel.boxes[name].value) == value
        stops = panel.stops[name]
        assert min(abs(stop - value) for stop in stops) == abs(stops[panel.bars[name].value] - value)


def test_a_dragged_bar_moves_the_scene(panel: Panel) -> None:
    agree(panel, eta=0.1, lam=1)
    panel.bars["eta"].value += 1
    agree(panel, eta=ETA.stops()[ETA.stops().index(0.1) + 1], lam=1)
    panel.bars["lam"].value = 0
    agree(panel, eta=panel.values["eta"], lam=0)
    assert panel.line.startswith(f"η = {write(panel.values['eta'])}, λ = 0 1/m · ")


def test_a_typed_value_between_the_stops_is_kept_as_typed(panel: Panel) -> None:
    panel.boxes["eta"].value = "0.12345"
    agree(panel, eta=0.12345, lam=1)
    panel.boxes["eta"].value = " 5e-1 "
    agree(panel, eta=0.5, lam=1)
    assert panel.boxes["eta"].value == "0.5"


def test_an_invalid_typed_value_is_refused_and_the_last_one_kept(panel: Panel) -> None:
    panel.boxes["eta"].value = "0.2"
    panel.boxes["eta"].value = "<i>much</i>"
    agree(panel, eta=0.2, lam=1)
    assert "&lt;i&gt;much&lt;/i&gt;” is not a number" in panel.message.value
    assert "η = 0.2 is kept" in panel.message.value and 'role="alert"' in panel.message.value
    panel.boxes["eta"].value = "0.3"
    assert panel.message.value == ""
    agree(panel, eta=0.3, lam=1)


def test_reset_brings_the_start_back(panel: Panel) -> None:
    panel.boxes["eta"].value = "0.7"
    panel.bars["lam"].value = 0
    panel.boxes["lam"].value = "nonsense"
    panel.reset.click()
    agree(panel, eta=0.1, lam=1)
    assert panel.message.value == ""


def test_after_a_burst_the_last_frame_is_the_right_one(panel: Panel) -> None:
    for index in [*range(20), *range(20, 3, -1)]:
        panel.bars["eta"].value = index
    agree(panel, eta=ETA.stops()[4], lam=1)


@settings_(max_examples=30)
@given(st.lists(st.sampled_from(["bar", "box", "reset"]).flatmap(
    lambda kind: st.tuples(st.just(kind), st.sampled_from(["eta", "lam"]), st.integers(0, 40),
                           st.sampled_from(["0.02", "0.77", "1", "x", ""]))), max_size=6))  # fmt: skip
def test_any_sequence_of_events_leaves_the_parts_in_agreement(events: list) -> None:
    panel = _worn_panel()
    for kind, name, index, typed in events:
        if kind == "bar":
            panel.bars[name].value = index
        elif kind == "box":
            panel.boxes[name].value = typed
        else:
            panel.reset.click()
    agree(panel, **panel.values)


@cache
def _worn_panel() -> Panel:
    return Panel(path_scene(), {"eta": ETA, "lam": LAM})


def test_one_change_draws_once_and_sends_picture_and_readout_once(panel: Panel) -> None:
    drawn, sent = [], []
    move = panel.scene.move
    panel.scene.move = lambda **values: drawn.append(values) or move(**values)
    for widget in (panel.picture, panel.readout):
        widget.observe(lambda change: sent.append(change["owner"]), "value")
    panel.bars["eta"].value += 5
    panel.boxes["lam"].value = "3"
    assert drawn == [{"eta": panel.values["eta"], "lam": 1}, {"eta": panel.values["eta"], "lam": 3}]
    assert sent == [panel.picture, panel.readout] * 2


def test_an_error_in_move_is_said_and_raised() -> None:
    panel = Panel(broken_scene(), {"eta": ETA})
    good = panel.picture.value
    with pytest.raises(ZeroDivisionError):
        panel.boxes["eta"].value = "0.6"
    assert "No picture for η = 0.6: ZeroDivisionError: no &lt;b&gt;such" in panel.message.value
    assert panel.picture.value == good and "η = 0.1 ·" in panel.readout.value
    panel.reset.click()
    assert panel.message.value == "" and panel.picture.value == good


def test_labels_and_alternative_text(panel: Panel) -> None:
    assert panel.bars["lam"].description == "λ  weight of T (1/m)"
    assert panel.boxes["lam"].description == "λ ="
    assert "from 0.01 to 100, or 0" in panel.boxes["lam"].tooltip
    assert panel.picture.tooltip == panel.scene.alt
    assert 'role="status"' in panel.readout.value


# --- Dragging on the picture ---


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((0.25, 0.2), (-2, 3)),  # the four corners of the axes
        ((0.75, 0.2), (2, 3)),
        ((0.25, 0.8), (-2, 0)),
        ((0.75, 0.8), (2, 0)),
        ((0.5, 0.5), (0, 1.5)),
        ((0.6, 0.3), (0.8, 2.5)),
        ((0.0, 0.0), (-4, 4)),  # beside them
        ((1.0, 1.0), (4, -1)),
        ((0.5041, 0.5), (0.03, 1.5)),  # to about a pixel, which is 0.02
    ],
)
def test_a_place_on_the_picture_has_coordinates(place: tuple, expected: tuple) -> None:
    assert plane_scene().locate(*place) == expected


def test_the_area_is_the_box_of_the_axes_as_drawn() -> None:
    """Its edges are where the frame of the axes is drawn, also where an equal aspect has made the axes smaller."""
    figure = Figure(figsize=(4, 2), dpi=100, layout="constrained")
    plane = figure.add_subplot(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", facecolor="lime")
    plane.spines[:].set_visible(False)
    scene = Scene(figure, [], lambda: "empty", "A square.", Handle(plane, "u", "v"))
    lime = (pixels(frame(scene)[0]) == (0, 255, 0)).all(2)
    rows, columns = lime.any(1).nonzero()[0], lime.any(0).nonzero()[0]
    seen = [columns[0] / 400, rows[0] / 200, len(columns) / 400, len(rows) / 200]
    assert scene.area() == pytest.approx(seen, abs=2 / 200)
    assert lime.sum() > 5000
    left, top, width, height = scene.area()
    assert scene.locate(left + width / 2, top + height / 2) == (0, 0)
    assert scene.locate(left, top + height) == (-1, -1)


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ((0.6, 0.3), (0.8, 2.5)),
        ((0.5123, 0.5), (0.1, 1.5)),
        ((0.0, 0.0), (-2, 3)),  # beyond the ranges: their ends
        ((5.0, 0.5), (2, 1.5)),
    ],
)
def test_a_pointer_sets_both_sliders(place: tuple, values: tuple) -> None:
    panel = Panel(plane_scene(), {"u": U, "v": V})
    panel.picture.pointer = [*place, 1.0]
    u, v = values
    assert panel.values == {"u": u, "v": v}
    assert [panel.boxes["u"].value, panel.boxes["v"].value] == [write(u), write(v)]
    assert [panel.stops[name][panel.bars[name].value] for name in "uv"] == [u, v]
    assert f"at ({u:.2f}, {v:.2f})" in panel.readout.value
    assert np.array_equal(pixels(panel.picture.value), pixels(frame(plane_scene(), u=u, v=v)[0]))
    panel.bars["u"].value = 0  # another press at the same place, after a slider was moved
    assert panel.values["u"] == -2
    panel.picture.pointer = [*place, 2.0]
    assert panel.values == {"u": u, "v": v}


def test_a_pointer_draws_once_and_not_where_nothing_changes() -> None:
    panel, drawn = Panel(plane_scene(), {"u": U, "v": V}), []
    panel.picture.observe(drawn.append, "value")
    panel.picture.pointer = [0.6, 0.3, 1.0]
    panel.picture.pointer = [0.6, 0.3, 2.0]
    assert len(drawn) == 1


def test_only_a_picture_with_a_handle_is_a_map(panel: Panel) -> None:
    assert type(panel.picture).__mro__[1] is ipywidgets.Image
    map_ = Panel(plane_scene(), {"u": U, "v": V}).picture
    assert map_.alt == "A plane with a point." and map_.layout.width == "400px"
    assert map_.area == pytest.approx([0.25, 0.2, 0.5, 0.6])


@pytest.mark.parametrize("other", [Slider("K", "steps", 0, 3, default=1, scale="integer"),
                                   Slider("λ", "weight", 0, 1, default=1, choices=(0, 1))])  # fmt: skip
def test_a_handle_moves_sliders_without_gaps(other: Slider) -> None:
    with pytest.raises(ValueError, match="the scene's handle moves 'v'"):
        Panel(plane_scene(), {"u": U, "v": other})


def test_a_handle_has_axes_of_its_figure() -> None:
    with pytest.raises(ValueError, match="axes of the handle"):
        Scene(Figure(), [], lambda: "", "Nothing.", plane_scene().handle)


# --- show ---


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list:
    calls: list = []
    monkeypatch.setattr(sliders, "display", lambda data, **more: calls.append((data, more)))
    return calls


def test_show_displays_one_output_with_three_faces(displayed: list) -> None:
    show(path_scene(), eta=ETA, lam=LAM)
    ((faces, more),) = displayed
    assert set(faces) == {sliders.WIDGET_VIEW, "image/png", "text/plain"}
    png, readout = frame(path_scene(), eta=0.1, lam=1)
    assert b64decode(faces["image/png"]) == png
    assert faces["text/plain"] == f"η = 0.1, λ = 1 1/m · {readout}"
    assert more["raw"] is True
    height, width = pixels(png).shape[:2]
    assert more["metadata"] == {"image/png": {"alt": path_scene().alt, "width": width, "height": height}}
    assert faces[sliders.WIDGET_VIEW]["model_id"]


def test_show_refuses_sliders_that_do_not_fit_and_lets_errors_through(displayed: list) -> None:
    with pytest.raises(TypeError, match="sliders eta; the scene's move takes eta, lam"):
        show(path_scene(), eta=ETA)
    with pytest.raises(TypeError, match="sliders eta, lam; the scene's move takes eta"):
        show(broken_scene(), eta=ETA, lam=LAM)
    with pytest.raises(ZeroDivisionError):
        show(broken_scene(), eta=Slider("η", "step size", 0.01, 1, default=0.9))
    assert displayed == []


# --- The scenes of the lessons ---


@cache
def shown(lesson: Path) -> list[tuple[Scene, dict[str, Control]]]:
    """Run a lesson's code cells, to the last that shows a scene, and return what it showed."""
    import jupytext

    cells = [cell.source for cell in jupytext.read(lesson, fmt="md:myst").cells if cell.cell_type == "code"]
    wanted = max((i for i, cell in enumerate(cells) if re.search(r"(?<!def )\bshow\(", cell)), default=-1)
    found: list[tuple[Scene, dict[str, Control]]] = []
    namespace = {"__name__": "__main__"}
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch, matplotlib.rc_context():
        patch.setattr(metautil.widgets, "show", lambda scene, **controls: found.append((scene, controls)))
        try:
            for position, cell in enumerate(cells[: wanted + 1]):
                code = TransformerManager().transform_cell(cell)
                exec(compile(code, f"{lesson.name}, code cell {position}", "exec"), namespace)
        finally:
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)
    return found


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def scenes(request: pytest.FixtureRequest) -> Iterator[list[tuple[Scene, dict[str, Control]]]]:
    """A lesson's scenes, with the number type that lessons use."""
    found = shown(request.param)
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield found
    torch.set_default_dtype(dtype)


def settings(controls: dict[str, Control], limit: int = 2000) -> tuple[list[dict], list[dict]]:
    """All settings of the sliders, or all extremes and a random choice where there are more than ``limit``.

    The second list is a handful of them: the default, the ends of the sliders with all options, ten more.
    """
    grids = [slider.stops() for slider in controls.values()]
    draw = random.Random(0)
    few = [tuple(slider.default for slider in controls.values())]
    few += itertools.product(
        *[control.stops() if isinstance(control, Choice) else control.stops()[:: len(control.stops()) - 1]
          for control in controls.values()]
    )  # fmt: skip
    few += [tuple(draw.choice(grid) for grid in grids) for _ in range(10)]
    if math.prod(map(len, grids)) <= limit:
        many = list(itertools.product(*grids))
    else:
        many = few + [tuple(draw.choice(grid) for grid in grids) for _ in range(limit)]
    return [dict(zip(controls, values, strict=True)) for values in many], [
        dict(zip(controls, values, strict=True)) for values in few
    ]


def numbers(artist: Artist) -> np.ndarray:
    """The data that an artist draws, as one flat array."""
    if isinstance(artist, Line2D):
        parts = artist.get_data()
    elif isinstance(artist, Text):
        assert not re.search(r"\b(nan|inf)\b", artist.get_text(), re.IGNORECASE), artist.get_text()
        parts = artist.get_position()
    elif isinstance(artist, AxesImage):
        parts = [np.ma.filled(artist.get_array(), np.nan), artist.get_extent()]
    elif isinstance(artist, Patch):
        parts = [artist.get_path().vertices, artist.get_patch_transform().get_matrix()]
    elif isinstance(artist, Collection):
        parts = [artist.get_offsets(), *(path.vertices for path in artist.get_paths())]
    else:
        parts = [getattr(artist.get_window_extent(), "bounds", ())]
    return np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])


def check_numbers(scene: Scene, values: dict) -> None:
    readout = scene.move(**values)
    assert re.search(r"\d", readout), f"no number in the read-out {readout!r} at {values}"
    assert not re.search(r"\b(nan|inf)\b", readout, re.IGNORECASE), f"{readout!r} at {values}"
    for artist in scene.moving:
        data = numbers(artist)
        assert np.isfinite(data).all(), f"{artist} holds numbers that are not finite at {values}"
        assert np.abs(data).max(initial=0) < 1e9, f"{artist} runs away at {values}"
    for axes in scene.figure.axes:
        assert np.isfinite(axes.viewLim.get_points()).all() and np.abs(axes.viewLim.get_points()).max() < 1e9


def test_every_frame_of_the_grid_is_finite_bounded_and_silent(scenes: list) -> None:
    for scene, controls in scenes:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for values in settings(controls)[0]:
                check_numbers(scene, values)


def check_pictures(scene: Scene, chosen: list[dict]) -> None:
    """Each frame is drawn after others and, in the reverse order, anew: same read-out, same pixels, nothing cut off.

    At the compression of a moved slider, which encodes the pixels of `frame` sooner, and no others. What is looked up for the
    edges may settle an axis; therefore only behind the drawings anew, where it hides nothing.
    """
    worn = [scene.draw(sliders.LIVE, **values) for values in chosen]
    sizes = set()
    for values, (png, readout) in zip(reversed(chosen), reversed(worn), strict=True):
        scene._background = None  # everything anew
        fresh, again = scene.draw(sliders.LIVE, **values)
        assert again == readout, values
        assert np.array_equal(pixels(fresh), pixels(png)), values
        sizes.add(pixels(fresh).shape)
        box, whole = scene.figure.get_tightbbox(), scene.figure.bbox_inches
        inside = np.r_[box.min, whole.max] > np.r_[whole.min, box.max] - 0.03
        assert inside.all(), f"{values}: {box} leaves the figure"
    assert len(sizes) == 1


def test_lesson_frames_are_pure_keep_their_size_and_cut_nothing_off(scenes: list) -> None:
    for scene, controls in scenes:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_pictures(scene, settings(controls)[1])


def test_lessons_have_sliders(scenes: list) -> None:
    assert scenes, "the lesson shows no scene"
    for scene, controls in scenes:
        Panel(scene, controls)
        assert len(scene.alt) >= 30
        assert all(re.search(r"\w{3}", control.name) for control in controls.values())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scene, values: "risk nan",
        lambda scene, values: "no number at all",
        lambda scene, values: scene.moving[0].set_data([0, np.nan], [0, 1]) or "1",
        lambda scene, values: scene.moving[0].set_data([0, 1e12], [0, 1]) or "1",
        lambda scene, values: str(np.float64(1) / np.float64(0)),
    ],
)
def test_the_sweep_can_fail(spoil) -> None:
    scene = broken_scene()
    scene.move = lambda **values: spoil(scene, values)
    with warnings.catch_warnings(), pytest.raises((AssertionError, RuntimeWarning)):
        warnings.simplefilter("error")
        check_numbers(scene, {"eta": 0.1})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scene, u, before: scene.moving[0].set_data([before / 4], [1]),  # a picture that remembers,
        lambda scene, u, before: scene.figure.axes[0].set_title("late" * (before > 1)),  # behind the artists too,
        lambda scene, u, before: f"moved {before} times",  # a read-out that remembers,
        lambda scene, u, before: scene.figure.set_size_inches(4, 2 + u),  # two sizes,
        lambda scene, u, before: scene.figure.axes[0].set_title("beyond the edge " * 9),  # words cut off,
        lambda scene, u, before: np.float64(1) / np.float64(0),  # a warning
    ],
)
def test_the_pictures_check_can_fail(spoil) -> None:
    chosen = [{"u": 0, "v": 1}, {"u": 1, "v": 2}]
    check_pictures(plane_scene(), chosen)
    scene, before = plane_scene(), itertools.count()
    move = scene.move

    def spoilt(u: float, v: float) -> str:
        readout = move(u, v)
        said = spoil(scene, u, next(before))
        return said if isinstance(said, str) else readout

    scene.move = spoilt
    with warnings.catch_warnings(), pytest.raises((AssertionError, RuntimeWarning)):
        warnings.simplefilter("error")
        check_pictures(scene, chosen)
