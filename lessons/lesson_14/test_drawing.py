"""Drawings: rendered against dense coverage, read by a learner, missing cells, the panel without a browser."""

from __future__ import annotations

import itertools
import math
import re
from base64 import b64decode

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons.lesson_14 import drawing
from lessons.lesson_14.drawing import DrawingPanel, draw_your_own, drawings, ink, missing, shares
from metautil.datasets import font_alphabets
from metautil.datasets.fonts import ALPHABETS_LIMIT
from metautil.widgets import panels

CROSS = [[(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]]
BLANK = [[]] * 6
SAVED = drawings()
ALL = [*SAVED.examples, *SAVED.queries]
SIX = [*SAVED.examples, SAVED.queries[2]]
FINE = 12  # samples a pixel and side of the reference
POINT = st.tuples(st.integers(0, 100), st.integers(0, 100))


def nearest_pixels(support):
    """Scores −‖x − x_n‖² of each example's image x_n: the simplest predictor there is."""
    return lambda x: -(x.flatten(1)[:, None] - support.x.flatten(1)[None]).square().sum(-1)


@pytest.fixture
def panel() -> DrawingPanel:
    return DrawingPanel(nearest_pixels, SIX)


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    """The images of all saved drawings, shape (10, 1, 28, 28)."""
    return torch.stack([ink(each) for each in ALL])


# --- rendering ---


def covered(strokes: list) -> np.ndarray:
    """Share of each pixel that a round pen covers, counted on a fine grid, with the size and place of `ink`."""
    points = np.concatenate([np.asarray(stroke, float) for stroke in strokes])
    low, high = points.min(0), points.max(0)
    scale = 16 / max((high - low).max(), 0.15)  # a pen 2 pixels wide: 18 pixels of ink
    grid = (np.arange(28 * FINE) + 0.5) / FINE
    at = grid[None, :] + 1j * grid[:, None]  # the plane as complex numbers
    inked = np.zeros(at.shape, bool)
    for stroke in strokes:
        path = (np.asarray(stroke, float) - (low + high) / 2) * scale + 14
        path = path[:, 0] + 1j * path[:, 1]
        inked |= np.min([abs(at - point) for point in path], axis=0) <= 1
        for a, b in itertools.pairwise(path):
            if a != b:  # turned so that the segment lies on the real axis from 0 to 1
                turned = (at - a) / (b - a)
                inked |= (turned.real >= 0) & (turned.real <= 1) & (abs(turned.imag) * abs(b - a) <= 1)
    return inked.reshape(28, FINE, 28, FINE).mean((1, 3))


@given(st.lists(POINT, min_size=2, max_size=2, unique=True))
@settings(max_examples=30)
def test_a_line_is_that_of_a_round_pen(ends: list) -> None:
    """Where no two lines meet, ink and coverage differ by an eighth of a shade at most."""
    line = [[(x / 100, y / 100) for x, y in ends]]
    assert np.abs(ink(line)[0].double().numpy() - covered(line)).max() < 0.125


def test_a_drawing_is_that_of_a_round_pen_centred_and_of_the_letters_size(drawn: torch.Tensor) -> None:
    """In the notch between two lines, ink counts the nearer one only; over the image there is little of it."""
    for strokes, (image,) in zip(ALL, drawn, strict=True):
        assert np.abs(image.double().numpy() - covered(strokes)).mean() < 0.005
        lines = (image > 0.5).nonzero().T
        assert max(int(line.max() - line.min()) + 1 for line in lines) == pytest.approx(18, abs=1)
        for line in lines:
            assert float(line.max() + line.min()) / 2 == pytest.approx(13.5, abs=0.5)


def test_a_level_line_is_inked_exactly() -> None:
    """From 6 to 22 at the height 14, two pixels wide: rows 13 and 14 are black, without the edge there is nothing more."""
    picture = ink([[(0.1, 0.5), (0.9, 0.5)]])
    assert picture.shape == (1, 28, 28)
    assert picture[0, 13:15, 6:22].eq(1).all()
    assert picture[0, :13].eq(0).all() and picture[0, 15:].eq(0).all()
    assert picture[0, 13, 5] == pytest.approx(1.5 - math.hypot(0.5, 0.5), abs=1 / 500)
    assert picture[0, 13, :5].eq(0).all()


@given(
    st.lists(st.lists(POINT, min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(0, 100), st.integers(0, 100), st.integers(50, 100),
)  # fmt: skip
@settings(max_examples=30)
def test_place_and_size_in_the_cell_do_not_matter(strokes: list, right: int, down: int, percent: int) -> None:
    strokes = [np.asarray(stroke, float) / 100 for stroke in strokes]
    grown = percent / 100
    moved = [(stroke * grown + np.array([right, down]) / 100 * (1 - grown)).tolist() for stroke in strokes]
    if np.ptp(np.concatenate(strokes), axis=0).max() * grown >= drawing.SMALLEST:
        assert (ink(moved) - ink([stroke.tolist() for stroke in strokes])).abs().max() < 1.5 / 255


def widths(images: torch.Tensor) -> torch.Tensor:
    """2 · ink / length of its outline, which is the integral of the gradient's length; images (n, 28, 28)."""
    down, up = images[:, 1:, 1:] - images[:, :-1, :-1], images[:, 1:, :-1] - images[:, :-1, 1:]
    return 2 * images.sum((1, 2)) / ((down.square() + up.square()) / 2).sqrt().sum((1, 2))


def test_size_and_pen_are_those_of_the_letters(drawn: torch.Tensor) -> None:
    letters = font_alphabets().part("training").x[:, 0].double() / 255
    assert widths(drawn[:, 0]).median().item() == pytest.approx(widths(letters).median().item(), rel=0.1)
    inked = letters > 0.25
    sides = [28 - lines.int().argmax(1) - lines.flip(1).int().argmax(1) for lines in (inked.any(1), inked.any(2))]
    assert torch.maximum(*sides).median().item() == drawing.LARGER


def test_dots_nothing_number_type_and_shades() -> None:
    assert ink([]).eq(0).all() and ink([[], []]).eq(0).all()
    dot = ink([[(0.9, 0.1)]])
    assert torch.equal(dot, ink([[], [(0.3, 0.3), (0.3, 0.3)]]))
    assert dot.sum().item() == pytest.approx(math.pi, rel=0.15)  # a disk of radius 1
    assert dot[0, 13:15, 13:15].gt(0.75).all()
    assert ink([[(0.5, 0.5), (0.51, 0.5)]]).sum() < 6, "a small dot is not blown up"
    picture = ink(CROSS)
    levels = 255 * picture.double()
    assert picture.dtype == torch.get_default_dtype() and picture.min() == 0 and picture.max() == 1
    assert (levels - levels.round()).abs().max() < 1e-4


@pytest.mark.parametrize("point", [(math.nan, 0.5), (math.inf, 0), (1.01, 0.5), (0.5, -0.01), (0.5,), (0.1, 0.2, 0.3)])
def test_a_point_that_is_none_is_refused(point: tuple) -> None:
    with pytest.raises(ValueError, match=r"Stroke 2 has the point .*two finite numbers from 0 to 1"):
        ink([CROSS[0], [(0.5, 0.5), point]])


# --- saved drawings ---


def test_the_saved_drawings_are_five_characters_by_two_hands(drawn: torch.Tensor) -> None:
    assert len(SAVED.examples) == len(SAVED.queries) == 5
    assert [*map(len, SAVED.examples)] == [*map(len, SAVED.queries)], "the same number of strokes"
    assert ((drawn[:5] - drawn[5:]).abs().sum((1, 2, 3)) > 10).all(), "not the same drawing"


def test_no_saved_character_looks_like_a_letter(drawn: torch.Tensor) -> None:
    """The bound that keeps the letters of the data set apart, for each image of each letter, training and test."""

    def unit(images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(1).float()
        flat = flat - flat.mean(1, keepdim=True)
        return flat / flat.norm(dim=1, keepdim=True)

    assert (unit(drawn) @ unit(font_alphabets().x).T).max() < ALPHABETS_LIMIT
    own = unit(drawn[:5]) @ unit(drawn[:5]).T
    assert own.fill_diagonal_(0).max() < ALPHABETS_LIMIT


# --- reading ---


def test_the_learner_is_given_the_examples_and_reads_the_sixth() -> None:
    seen = {}

    def adapt(support):
        seen["support"] = support
        return lambda x: seen.update(query=x) or torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]])

    read = shares(adapt, SIX)
    assert torch.equal(seen["support"].x, torch.stack([ink(each) for each in SIX[:5]]))
    assert seen["support"].y.tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(seen["query"], ink(SIX[5])[None])
    weights = [math.exp(score) for score in range(5)]
    assert read.tolist() == pytest.approx([weight / sum(weights) for weight in weights], rel=1e-5)


@pytest.mark.parametrize(
    ("cells", "scores", "words"),
    [
        ([SIX[0], [], *SIX[2:5], [[]]], None, "6 drawings, of these empty: 2, 6"),
        (SIX[:5], None, "5 drawings, of these empty: none; expected 5 examples and a sixth"),
        *[(SIX, scores, "expected 5 finite scores for one image")
          for scores in (torch.zeros(5), torch.zeros(1, 4), torch.full((1, 5), math.nan))],
    ],
)  # fmt: skip
def test_missing_cells_and_impossible_scores_are_refused(cells: list, scores: torch.Tensor, words: str) -> None:
    assert missing(SIX) == [] and missing([[], [[]], *SIX[2:]]) == [0, 1]
    with pytest.raises(ValueError, match=words):
        shares(lambda support: lambda x: scores, cells)


# --- the panel ---


def test_every_change_is_read_at_once(panel: DrawingPanel) -> None:
    assert panel.line.startswith("the sixth drawing is character 3 · 1: ")
    for position, (example, query) in enumerate(zip(*SAVED, strict=True)):
        panel.put([*SIX[:5], example])
        assert f"is character {position + 1} · " in panel.line and panel.line in panel.readout.value
        panel.put([*SIX[:5], query])
    panel.put([*SIX[:5], SIX[1]])
    assert "is character 2 ·" in panel.line
    panel.put([SIX[1], SIX[0], *SIX[2:5], SIX[1]])  # an example changed, and so does the name
    assert "is character 1 ·" in panel.line
    assert sum(map(int, re.findall(r"(\d+)%", panel.line))) == pytest.approx(100, abs=2)


def test_it_says_what_is_missing(panel: DrawingPanel) -> None:
    picture = panel.picture.value
    panel.clear.click()
    assert panel.pad.drawings == BLANK and len(panel.pad.names) == len(panel.pad.titles) == 6
    assert panel.line.startswith("still to draw (6 of 6): character 1, ") and panel.line.endswith("the sixth drawing")
    assert panel.picture.value != picture
    panel.put([*SIX[:2], [], *SIX[3:5], []])
    assert panel.line == "still to draw (2 of 6): character 3, the sixth drawing"
    panel.reset.click()
    assert panel.picture.value == picture and panel.line.startswith("the sixth drawing is character 3")


def test_only_what_changed_is_rendered_again(panel: DrawingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered, cells = [], [*SIX[:3], CROSS, *SIX[4:]]
    monkeypatch.setattr(drawing, "ink", lambda strokes: rendered.append(strokes) or ink(strokes))
    panel.put(cells)
    assert rendered == [[[list(point) for point in stroke] for stroke in CROSS]]
    fresh = DrawingPanel(nearest_pixels, cells)
    assert panel.line == fresh.line and panel.picture.value == fresh.picture.value


def test_what_goes_wrong_is_said_and_raised(panel: DrawingPanel) -> None:
    picture = panel.picture.value
    with pytest.raises(ValueError, match="Stroke 1 has the point"):
        panel.pad.drawings = [*SIX[:5], [[[2.0, 0.5]]]]
    assert "No picture for these drawings: ValueError: Stroke 1" in panel.message.value
    assert panel.picture.value == picture
    panel.put([*SIX[:5], SAVED.queries[0]])
    assert panel.message.value == ""


def test_one_output_with_three_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(panels, "display", lambda faces, **more: shown.append((faces, more)))
    # Not in percent: a learner trained on another machine has other shares.
    for arguments, text in [
        ((nearest_pixels,), "the sixth drawing is character 3 · its share: above 50%"),
        ((nearest_pixels, None), "the sixth drawing is character 3 · its share: above 50%"),
        (
            (nearest_pixels, (*SAVED.examples, SAVED.examples[4])),
            "the sixth drawing is character 5 · its share: above 50%",
        ),
        ((lambda support: lambda x: torch.zeros(1, 5),), "the sixth drawing is character 1 · its share: at most 50%"),
        ((nearest_pixels, BLANK), f"still to draw (6 of 6): {', '.join(drawing.NAMES)}"),
    ]:
        draw_your_own(*arguments)
        assert shown[-1][0]["text/plain"] == text
    (faces, more), (again, _), *_ = shown
    assert faces["image/png"] == again["image/png"] and b64decode(faces["image/png"])[:4] == b"\x89PNG"
    assert panels.WIDGET_VIEW in faces and "sixth drawing" in more["metadata"]["image/png"]["alt"]
    with pytest.raises(ValueError, match="5 saved drawings; expected 5 examples and a sixth"):
        draw_your_own(nearest_pixels, SAVED.examples)
