"""The scenes of the lessons over all settings of their controls, as the lessons' own cells show them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lessons.shared.cells import shown
from metautil.widgets import Choice, Control, Scene
from metautil.widgets.panels import Panel
from metautil.widgets.scenes import LIVE
from tests.frames import check_numbers, check_pictures, inside_changed, pixels, settings

pytestmark = pytest.mark.deep
LESSONS = sorted((Path(__file__).parent.parent / "lessons").glob("lesson_*/[0-9]*.md"))


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def scenes(request: pytest.FixtureRequest) -> Iterator[list[tuple[Scene, dict[str, Control]]]]:
    """A lesson's scenes, with the number type that lessons use; warnings are errors."""
    found = shown(request.param)
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield found
    torch.set_default_dtype(dtype)


def test_every_frame_of_the_grid_is_finite_bounded_and_silent(scenes: list) -> None:
    for scene, controls in scenes:
        for values in settings(controls)[0]:
            check_numbers(scene, values)


def test_frames_are_pure_keep_their_size_and_cut_nothing_off(scenes: list) -> None:
    for scene, controls in scenes:
        check_pictures(scene, settings(controls)[1])


def test_lessons_have_scenes_whose_parts_are_named(scenes: list) -> None:
    assert scenes, "the lesson shows no scene"
    for scene, controls in scenes:
        Panel(scene, controls)
        assert len(scene.alt) >= 30
        assert all(re.search(r"\w{3}", control.label) for control in controls.values())


def test_every_control_changes_the_picture(scenes: list) -> None:
    """One stop of each slider towards the middle, and each option of each choice, from the setting of the start."""
    for scene, controls in scenes:
        start = {name: control.default for name, control in controls.items()}
        before = pixels(scene.draw(LIVE, **start)[0])
        for name, control in controls.items():
            stops, at = control.stops(), control.stops().index(control.default)
            step = at + 1 if at < (len(stops) - 1) / 2 else at - 1
            others = set(stops) - {control.default} if isinstance(control, Choice) else {stops[step]}
            for other in others:
                after = pixels(scene.draw(LIVE, **(start | {name: other}))[0])
                assert inside_changed(before, after), f"{scene.alt[:40]} stays as it is with {name} = {other}"
