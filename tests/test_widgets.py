"""Controls, scenes and panels without a browser: stops, typed values, frames, dragging, three faces."""

from __future__ import annotations

import io
import itertools
import math
import random
import re
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as settings_
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

import metautil.widgets
from metautil.widgets import Choice, Control, Handle, Scene, Slider, frame, panels, show
from metautil.widgets.controls import SCALES, plain
from metautil.widgets.map import Map, area, locate
from metautil.widgets.pad import Pad
from metautil.widgets.panels import Panel
from metautil.widgets.scenes import LIVE
from tests.frames import check_numbers, check_pictures, pixels, settings

ETA = Slider("η", "step size", 0.01, 1.0, default=0.1)
LAM = Slider("λ", "weight of T", 0.01, 100, default=1, zero=True)
RULE = Choice("rule", ("derived", "printed"), default="derived")
WHOLE = Slider("K", "steps", 0, 4, default=1, scale="integer")
FEW = Slider("λ", "weight", 0, 10, default=1, choices=(0, 10, 1))
PATH = {"eta": ETA, "lam": LAM}
PLANE = {
    "u": Slider("θ₁", "first", -2, 2, default=0, scale="linear", n=41),
    "v": Slider("θ₂", "second", 0, 3, default=1, scale="linear", n=31),
}


def linear(low: float, high: float, default: float, n: int) -> Slider:
    return Slider("α", "share", low, high, default=default, scale="linear", n=n)


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


def line_scene() -> Scene:
    """A slider and a choice; fails beyond η = 0.5."""
    figure = Figure(figsize=(2, 2))
    (line,) = figure.add_subplot().plot([0, 1], [0, 1])

    def move(eta: float, rule: str = "derived") -> str:
        if eta > 0.5:
            raise ZeroDivisionError("no <b>such</b> step")
        line.set_ydata([0, eta] if rule == "derived" else [eta, 0])
        return f"end {eta}"

    return Scene(figure, [line], move, "A line.")


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
    return Panel(path_scene(), PATH)


@pytest.fixture
def plane() -> Panel:
    return Panel(plane_scene(), PLANE)


def count_draws(panel: Panel) -> list[dict]:
    """From now on, the values of each frame that is drawn."""
    drawn, move = [], panel.scene.move
    panel.scene.move = lambda **values: drawn.append(values) or move(**values)
    return drawn


# --- Slider and Choice ---


@st.composite
def any_slider(draw: st.DrawFn) -> Slider:
    scale = draw(st.sampled_from(SCALES))
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
def test_stops_ascend_hold_ends_and_default_and_are_read_back_exactly(slider: Slider) -> None:
    stops = slider.stops()
    assert all(a < b for a, b in itertools.pairwise(stops))
    assert {slider.low, slider.high, slider.default} <= set(stops)
    assert stops[-1] == slider.high and stops[0] == (0 if slider.zero else slider.low)
    assert len(stops) <= slider.n + 1 + slider.zero
    assert slider.scale != "integer" or all(isinstance(stop, int) for stop in stops)
    assert [slider.parse(plain(stop)) for stop in stops] == list(stops)
    assert [slider.nearest(stop) for stop in stops] == list(range(len(stops)))


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


@pytest.mark.parametrize(
    ("slider", "stops"),
    [
        (Slider("η", "step size", 0.01, 1, default=0.1, n=5), (0.01, 0.032, 0.1, 0.32, 1)),  # geometric, two digits
        (Slider("η", "step size", 0.01, 1, default=0.123, n=3), (0.01, 0.1, 0.123, 1)),
        (Slider("λ", "weight", 0.01, 1, default=1, n=3, zero=True), (0, 0.01, 0.1, 1)),
        (linear(0, 1, 0.5, 5), (0, 0.25, 0.5, 0.75, 1)),
        (linear(0, 1, 0.5, 11), (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)),  # no 0.30000000000000004
        (WHOLE, (0, 1, 2, 3, 4)),
        (FEW, (0, 1, 10)),
        (RULE, ("derived", "printed")),
    ],
)
def test_stops(slider: Control, stops: tuple) -> None:
    assert slider.stops() == stops


@pytest.mark.parametrize(
    ("slider", "typed", "value"),
    [
        *[(ETA, typed, float(typed)) for typed in ("0.1", " 0.125 ", "1e-2", "1", "+.5", "1E0")],
        (linear(-1, 1, 0, 5), "−0.3", -0.3),
        (FEW, "10", 10),
        (FEW, "0.5", "“0.5” is not among the choices: λ takes one of 0, 1, 10"),
        (ETA, "", "Nothing was typed"),
        (ETA, "  ", "Nothing was typed"),
        (ETA, "ten", "“ten” is not a number"),
        (ETA, "0,1", "comma: write decimals with a point"),
        *[(ETA, typed, "outside the range") for typed in ("nan", "inf", "1e999", "−0.1", "0")],
        (ETA, "7", "“7” is outside the range: η takes a number from 0.01 to 1"),
        (LAM, "0.001", "from 0.01 to 100, or 0"),
        (WHOLE, "2.5", "“2.5” is not whole"),
        (ETA, "9" * 500, "…”"),
    ],
)
def test_typed_values_between_the_stops_count_and_others_are_refused(slider: Slider, typed: str, value: object) -> None:
    if not isinstance(value, str):
        assert slider.parse(typed) == value
        return
    with pytest.raises(ValueError, match=re.escape(value)):
        slider.parse(typed)


SLIDER = {"symbol": "η", "name": "step size", "low": 0.01, "high": 1.0, "default": 0.1}
CHOICE = {"label": "rule", "options": ("derived", "printed"), "default": "derived"}


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (Slider, {"scale": "cubic"}, "'cubic'; expected one of log, linear, integer"),
        (Slider, {"low": 0}, "a log scale needs low > 0"),
        (Slider, {"low": 2}, "low < high"),
        (Slider, {"high": math.inf}, "finite"),
        (Slider, {"default": 3}, "expected a number from 0.01 to 1"),
        (Slider, {"n": 1}, "at least 2"),
        (Slider, {"scale": "linear", "zero": True}, "zero=True belongs to a log scale"),
        (Slider, {"scale": "integer"}, "whole"),
        (Slider, {"choices": (0.1, 2)}, "from low to high"),
        (Slider, {"choices": (0.001, 0.1)}, "from low to high"),
        (Slider, {"choices": (0.2, 0.5)}, "default among them"),
        (Choice, {"label": " "}, "label is empty"),
        (Choice, {"options": ("derived",)}, "two or more different names"),
        (Choice, {"options": ("derived", "derived")}, "two or more different names"),
        (Choice, {"options": ("derived", "")}, "not empty"),
        (Choice, {"options": ("derived", 3)}, "not empty"),
        (Choice, {"default": "sgd"}, "default='sgd'; expected one of derived, printed"),
    ],
)
def test_a_control_refuses_arguments_that_make_no_sense(kind: type, changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        kind(**((SLIDER if kind is Slider else CHOICE) | changes))


# --- Scene and frame ---


def test_frames_are_pure() -> None:
    """After any sequence of moves the pixels are those of a new scene moved there at once, static artists included."""
    worn, seen = path_scene(), {}
    draw = random.Random(0)
    for _ in range(12):
        values = {"eta": draw.choice(ETA.stops()), "lam": draw.choice([0, 0.5, 1, 99])}
        fresh, worn_frame = frame(path_scene(), **values), frame(worn, **values)
        assert worn_frame[1] == fresh[1]
        assert np.array_equal(pixels(worn_frame[0]), pixels(fresh[0])), values
    for lam in (0, 1e-9, 49.9999999, 50.0):  # a title, then limits
        seen[lam] = pixels(frame(worn, eta=0.1, lam=lam)[0])
    assert not np.array_equal(seen[0], seen[1e-9]) and not np.array_equal(seen[49.9999999], seen[50.0])


def test_the_background_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = line_scene()
    frame(scene, eta=0.1)
    monkeypatch.setattr(scene.figure.canvas, "draw", lambda: pytest.fail("the background was drawn again"))
    for eta in (0.01, 0.3, 0.5):
        frame(scene, eta=eta)


def test_a_pending_autoscale_is_seen() -> None:
    def scene() -> Scene:
        scene = line_scene()
        (axes,), move = scene.figure.axes, scene.move
        scene.move = lambda eta: (move(eta), axes.relim(), axes.autoscale())[0]
        return scene

    worn = scene()
    frame(worn, eta=0.1)
    assert np.array_equal(pixels(frame(worn, eta=0.5)[0]), pixels(frame(scene(), eta=0.5)[0]))


def test_the_layout_stays_when_labels_grow() -> None:
    scene = path_scene()
    axes = scene.figure.axes[1]
    before = axes.get_position().bounds
    axes.set_yticks([0, 3], ["0", "a label as wide as the panel"])
    frame(scene, eta=0.1, lam=1)
    assert axes.get_position().bounds == before


def test_nothing_is_lost_against_savefig_or_by_a_quick_picture() -> None:
    """A frame is a full drawing, but for the order in which moving artists, legends and spines overlap."""
    scene = path_scene()
    (still, _), (live, _) = frame(scene, eta=0.3, lam=2), scene.draw(LIVE, eta=0.3, lam=2)
    drawn = pixels(still)
    assert np.array_equal(drawn, pixels(live)) and len(still) < len(live)
    for artist in scene.moving:
        artist.set_animated(False)
    file = io.BytesIO()
    scene.figure.savefig(file, dpi=scene.figure.dpi)
    saved = np.asarray(Image.open(file).convert("RGB"))
    assert saved.shape == drawn.shape
    assert np.mean(np.any(saved != drawn, axis=2)) < 0.005


def test_the_figure_is_not_left_to_pyplot() -> None:
    figure, axes = pyplot.subplots()
    scene = Scene(figure, axes.plot([0, 1]), lambda eta: f"{eta}", "A line.")
    assert not pyplot.fignum_exists(figure.number)
    assert frame(scene, eta=1)[1] == "1"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"moving": line_scene().moving}, "not part of the scene's figure"),
        ({"alt": " "}, "alt is empty"),
        ({"figure": Figure(facecolor="none")}, "transparent"),
        ({"handle": plane_scene().handle}, "axes of the handle"),
    ],
)
def test_a_scene_refuses_what_it_cannot_draw(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Scene(**({"figure": Figure(), "moving": [], "move": lambda: "", "alt": "Nothing."} | changes))


@pytest.mark.parametrize("answer", [None, "", "two\nlines"])
def test_a_move_gives_one_line_of_text(answer: object) -> None:
    with pytest.raises(TypeError, match="one line of text"):
        frame(Scene(Figure(), [], lambda: answer, "Nothing."))


# --- Panel ---


def agree(panel: Panel, **values: float) -> None:
    """Picture, read-out, boxes and bars of the panel are those of ``values``."""
    png, readout = frame(path_scene(), **values)
    assert panel.values == values
    assert np.array_equal(pixels(panel.picture.value), pixels(png))
    assert readout in panel.line and panel.line in panel.readout.value
    for name, value in values.items():
        assert PATH[name].parse(panel.boxes[name].value) == value
        stops = PATH[name].stops()
        assert min(abs(stop - value) for stop in stops) == abs(stops[panel.bars[name].value] - value)


def test_bars_boxes_and_reset_move_the_scene(panel: Panel) -> None:
    agree(panel, eta=0.1, lam=1)
    drawn, sent = count_draws(panel), []
    for widget in (panel.picture, panel.readout):
        widget.observe(lambda change: sent.append(change["owner"]), "value")
    panel.bars["eta"].value += 1
    panel.bars["lam"].value = 0
    next_ = ETA.stops()[ETA.stops().index(0.1) + 1]
    agree(panel, eta=next_, lam=0)
    assert panel.line.startswith(f"η = {plain(next_)}, λ = 0 · ")
    panel.boxes["eta"].value = "0.12345"  # between the stops
    agree(panel, eta=0.12345, lam=0)
    panel.boxes["eta"].value = " 5e-1 "
    agree(panel, eta=0.5, lam=0)
    assert panel.boxes["eta"].value == "0.5"
    panel.reset.click()
    agree(panel, eta=0.1, lam=1)
    assert [tuple(values.values()) for values in drawn] == [(next_, 1), (next_, 0), (0.12345, 0), (0.5, 0), (0.1, 1)]
    assert sent == [panel.picture, panel.readout] * 5, "one change draws once, and sends picture and read-out once"


def test_an_invalid_typed_value_is_refused_and_the_last_one_kept(panel: Panel) -> None:
    panel.boxes["eta"].value = "0.2"
    panel.boxes["eta"].value = "<i>much</i>"
    agree(panel, eta=0.2, lam=1)
    assert "&lt;i&gt;much&lt;/i&gt;” is not a number" in panel.message.value
    assert "η = 0.2 is kept" in panel.message.value and 'role="alert"' in panel.message.value
    panel.boxes["eta"].value = "0.3"
    assert panel.message.value == ""
    panel.boxes["lam"].value = "nonsense"
    panel.reset.click()
    assert panel.message.value == ""
    agree(panel, eta=0.1, lam=1)


@pytest.mark.slow
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
    return Panel(path_scene(), PATH)


def test_a_choice_is_part_of_the_panel() -> None:
    panel = Panel(line_scene(), {"eta": ETA, "rule": RULE})
    start, drawn, buttons = panel.picture.value, count_draws(panel), panel.buttons["rule"]
    assert panel.line == "η = 0.1, rule = derived · end 0.1"
    assert buttons.options == RULE.options and buttons.tooltips == ("rule: derived", "rule: printed")
    label, beside = panel.widget.children[1].children
    assert label.value == "rule" and beside is buttons

    buttons.value = "printed"
    assert panel.line == "η = 0.1, rule = printed · end 0.1" and panel.line in panel.readout.value
    assert np.array_equal(pixels(panel.picture.value), pixels(frame(line_scene(), eta=0.1, rule="printed")[0]))
    panel.boxes["eta"].value = "0.2"
    assert panel.line.startswith("η = 0.2, rule = printed") and buttons.value == "printed"
    panel.reset.click()
    assert panel.line == "η = 0.1, rule = derived · end 0.1" and buttons.value == "derived"
    assert panel.picture.value == start and len(drawn) == 3, "one change draws once"


def test_an_error_in_move_is_said_and_raised() -> None:
    panel = Panel(line_scene(), {"eta": ETA})
    good = panel.picture.value
    with pytest.raises(ZeroDivisionError):
        panel.boxes["eta"].value = "0.6"
    assert "No picture for η = 0.6: ZeroDivisionError: no &lt;b&gt;such" in panel.message.value
    assert panel.picture.value == good and "η = 0.1 ·" in panel.readout.value
    panel.reset.click()
    assert panel.message.value == "" and panel.picture.value == good


def test_labels_and_alternative_text(panel: Panel, plane: Panel) -> None:
    assert panel.bars["lam"].description == "λ  weight of T"
    assert panel.boxes["lam"].description == "λ ="
    assert "from 0.01 to 100, or 0" in panel.boxes["lam"].tooltip
    assert panel.picture.tooltip == panel.scene.alt and isinstance(panel.picture, ipywidgets.Image)
    assert 'role="status"' in panel.readout.value
    assert plane.picture.alt == "A plane with a point." and plane.picture.layout.width == "400px"
    assert plane.picture.area == pytest.approx([0.25, 0.2, 0.5, 0.6])


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
def test_a_place_on_the_picture_has_coordinates_and_sets_both_sliders(
    plane: Panel, place: tuple, expected: tuple
) -> None:
    assert locate(plane.scene.handle.axes, *place) == expected
    u, v = min(max(expected[0], -2), 2), min(max(expected[1], 0), 3)  # beyond a range: its end
    for time in (1.0, 2.0):  # another press at the same place, after a slider was moved
        plane.picture.pointer = [*place, time]
        assert plane.values == {"u": u, "v": v}
        assert [plane.boxes[name].value for name in "uv"] == [plain(u), plain(v)]
        assert [PLANE[name].stops()[plane.bars[name].value] for name in "uv"] == pytest.approx([u, v], abs=0.05)
        assert f"at ({u:.2f}, {v:.2f})" in plane.readout.value
        assert np.array_equal(pixels(plane.picture.value), pixels(frame(plane_scene(), u=u, v=v)[0]))
        plane.bars["u"].value = 7
        assert plane.values["u"] == -1.3


def test_a_pointer_draws_once_and_not_where_nothing_changes(plane: Panel) -> None:
    drawn = count_draws(plane)
    plane.picture.pointer = [0.6, 0.3, 1.0]
    plane.picture.pointer = [0.6, 0.3, 2.0]
    assert len(drawn) == 1


def test_the_area_is_the_box_of_the_axes_as_drawn() -> None:
    """Its edges are where the frame of the axes is drawn, also where an equal aspect has made the axes smaller."""
    figure = Figure(figsize=(4, 2), dpi=100, layout="constrained")
    plane = figure.add_subplot(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", facecolor="lime")
    plane.spines[:].set_visible(False)
    lime = (pixels(frame(Scene(figure, [], lambda: "empty", "A square."))[0]) == (0, 255, 0)).all(2)
    rows, columns = lime.any(1).nonzero()[0], lime.any(0).nonzero()[0]
    seen = [columns[0] / 400, rows[0] / 200, len(columns) / 400, len(rows) / 200]
    left, top, width, height = area(plane)
    assert [left, top, width, height] == pytest.approx(seen, abs=2 / 200) and lime.sum() > 5000
    assert locate(plane, left + width / 2, top + height / 2) == (0, 0)
    assert locate(plane, left, top + height) == (-1, -1)


@pytest.mark.parametrize("other", [WHOLE, FEW, RULE])
def test_a_handle_moves_sliders_without_gaps(other: Control) -> None:
    with pytest.raises(ValueError, match="the scene's handle moves 'v'"):
        Panel(plane_scene(), PLANE | {"v": other})


# --- The browser's part ---


@pytest.mark.parametrize("widget", [Map, Pad])
def test_a_script_lies_in_the_package_and_fetches_nothing(widget: type[anywidget.AnyWidget]) -> None:
    script = Path(metautil.widgets.__file__).with_name(f"{widget.__name__.lower()}.js").read_text("utf-8")
    assert str(widget._esm) == script and "export default" in script
    assert not re.search(r"https?:|import\s*\(|^\s*import\b|fetch\(", script, re.MULTILINE)
    assert 'metautil = ["widgets/*.js"]' in (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")


# --- show ---


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list:
    calls: list = []
    monkeypatch.setattr(panels, "display", lambda data, **more: calls.append((data, more)))
    return calls


def test_show_displays_one_output_with_three_faces(displayed: list) -> None:
    show(path_scene(), **PATH)
    ((faces, more),) = displayed
    assert set(faces) == {panels.WIDGET_VIEW, "image/png", "text/plain"} and faces[panels.WIDGET_VIEW]["model_id"]
    png, readout = frame(path_scene(), eta=0.1, lam=1)
    assert b64decode(faces["image/png"]) == png
    assert faces["text/plain"] == f"η = 0.1, λ = 1 · {readout}"
    height, width = pixels(png).shape[:2]
    assert more == {
        "raw": True, "metadata": {"image/png": {"alt": path_scene().alt, "width": width, "height": height}}
    }  # fmt: skip
    show(Scene(Figure(), [], lambda rule: f"{len(rule)} letters", "Nothing."), rule=RULE)
    assert displayed[1][0]["text/plain"] == "rule = derived · 7 letters"


def test_show_refuses_controls_that_do_not_fit_and_lets_errors_through(displayed: list) -> None:
    with pytest.raises(TypeError, match="controls eta; the scene's move takes eta, lam"):
        show(path_scene(), eta=ETA)
    with pytest.raises(TypeError, match="controls u, v, lam; the scene's move takes u, v"):
        show(plane_scene(), **PLANE, lam=LAM)
    with pytest.raises(ZeroDivisionError):
        show(line_scene(), eta=Slider("η", "step size", 0.01, 1, default=0.9))
    assert displayed == []


# --- The checks of frames bite ---


def test_a_sweep_goes_through_all_options() -> None:
    three = Choice("optimiser", ("sgd", "momentum", "adam"), default="sgd")
    many, few = settings({"eta": ETA, "rule": three})
    assert len(many) == 3 * len(ETA.stops())
    ends = {(values["eta"], values["rule"]) for values in few}
    assert set(itertools.product((0.01, 1.0), three.options)) <= ends


@pytest.mark.parametrize(
    ("check", "spoil"),
    [
        (check_numbers, lambda scene, u, before: "risk nan"),
        (check_numbers, lambda scene, u, before: "no number at all"),
        (check_numbers, lambda scene, u, before: scene.moving[0].set_data([0, np.nan], [0, 1])),
        (check_numbers, lambda scene, u, before: scene.moving[0].set_data([0, 1e12], [0, 1])),
        (check_numbers, lambda scene, u, before: scene.figure.axes[0].set_xlim(0, 1e12)),
        (check_numbers, lambda scene, u, before: np.float64(1) / np.float64(0)),  # a warning
        (
            check_pictures,
            lambda scene, u, before: scene.moving[0].set_data([before / 4], [1]),
        ),  # a picture that remembers,
        (
            check_pictures,
            lambda scene, u, before: scene.figure.axes[0].set_title("late" * (before > 1)),
        ),  # behind it too,
        (check_pictures, lambda scene, u, before: f"moved {before} times"),  # a read-out that remembers,
        (check_pictures, lambda scene, u, before: scene.figure.set_size_inches(4, 2 + u)),  # two sizes,
        (check_pictures, lambda scene, u, before: scene.figure.axes[0].set_title("beyond the edge " * 9)),  # cut off,
        (check_pictures, lambda scene, u, before: np.float64(1) / np.float64(0)),  # a warning
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_spoilt_scene_fails(check: Callable, spoil: Callable) -> None:
    chosen = [{"u": 0, "v": 1}, {"u": 1, "v": 2}]
    run = lambda scene: check(scene, chosen if check is check_pictures else chosen[0])  # noqa: E731
    run(plane_scene())
    scene, before = plane_scene(), itertools.count()
    move = scene.move

    def spoilt(u: float, v: float) -> str:
        readout = move(u, v)
        said = spoil(scene, u, next(before))
        return said if isinstance(said, str) else readout

    scene.move = spoilt
    with pytest.raises((AssertionError, RuntimeWarning)):
        run(scene)
