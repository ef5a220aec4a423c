"""What every frame of every scene has to be: finite, bounded, told in numbers, the same whenever it is drawn, and whole."""

from __future__ import annotations

import io
import itertools
import math
import os
import random
import re
from base64 import b64decode
from collections.abc import Iterable

import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

from metautil.widgets import Choice, Control, Scene
from metautil.widgets.scenes import LIVE


def pixels(png: bytes | memoryview) -> np.ndarray:
    """Pixels of a PNG, or of one in a data address."""
    png = bytes(png)
    png = b64decode(png.partition(b",")[2]) if png.startswith(b"data:image/png;base64,") else png
    return np.asarray(Image.open(io.BytesIO(png)))


def settings(controls: dict[str, Control], limit: int = 2000) -> tuple[list[dict], list[dict]]:
    """All settings of the controls, or all extremes and a random choice where there are more than ``limit``.

    The second list is a handful of them: the default, the ends of the sliders with all options, ten more.
    """
    grids, draw = [control.stops() for control in controls.values()], random.Random(0)
    some = lambda count: [tuple(draw.choice(grid) for grid in grids) for _ in range(count)]  # noqa: E731
    ends = [grid if isinstance(control, Choice) else grid[:: len(grid) - 1]
            for control, grid in zip(controls.values(), grids, strict=True)]  # fmt: skip
    few = [tuple(control.default for control in controls.values()), *itertools.product(*ends), *some(10)]
    if os.environ.get("METAUTIL_SETTINGS") == "all":  # `make proof`
        limit = math.inf
    many = itertools.product(*grids) if math.prod(map(len, grids)) <= limit else few + some(limit)
    named = lambda rows: [dict(zip(controls, values, strict=True)) for values in rows]  # noqa: E731
    return named(many), named(few)


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
    """The read-out has a number, and nothing that is said or drawn is infinite, no number or beyond 1e9."""
    readout = scene.move(**values)
    assert re.search(r"\d", readout), f"no number in the read-out {readout!r} at {values}"
    assert not re.search(r"\b(nan|inf)\b", readout, re.IGNORECASE), f"{readout!r} at {values}"
    for artist in scene.moving:
        data = numbers(artist)
        assert np.isfinite(data).all(), f"{artist} holds numbers that are not finite at {values}"
        assert np.abs(data).max(initial=0) < 1e9, f"{artist} runs away at {values}"
    for axes in scene.figure.axes:
        limits = axes.viewLim.get_points()
        assert np.isfinite(limits).all() and np.abs(limits).max() < 1e9, f"the limits {limits} at {values}"


def check_pictures(scene: Scene, chosen: Iterable[dict]) -> None:
    """Each frame is drawn after others and, in the reverse order, anew: same read-out, same pixels, nothing cut off.

    At the compression of a moved slider, which encodes the pixels of `frame` sooner, and no others. What is looked up for the
    edges may settle an axis; therefore only behind the drawings anew, where it hides nothing.
    """
    worn = [(values, *scene.draw(LIVE, **values)) for values in chosen]
    sizes = set()
    for values, png, readout in reversed(worn):
        scene._background = None  # everything anew
        fresh, again = scene.draw(LIVE, **values)
        assert again == readout, values
        assert np.array_equal(pixels(fresh), pixels(png)), values
        sizes.add(pixels(fresh).shape)
        box, whole = scene.figure.get_tightbbox(), scene.figure.bbox_inches
        inside = np.r_[box.min, whole.max] > np.r_[whole.min, box.max] - 0.03
        assert inside.all(), f"{values}: {box} leaves the figure"
    assert len(sizes) == 1, sizes


def inside_changed(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether pixels changed in the inner part of the picture, away from labels and titles."""
    height, width = before.shape[:2]
    inner = (slice(height // 6, height * 5 // 6), slice(width // 10, width * 9 // 10))
    return before.shape == after.shape and bool((before[inner] != after[inner]).any())
