"""Typeset characters as if written by hand: glyphs of the fonts in matplotlib, bent by seeded writers.

A character is stored as its signed distance field: at each point the distance to the outline, in em (the font
size), positive in the ink. A *writer* reads the field at bent coordinates (a few smooth waves, then a linear
map) and calls ink what lies above −t, so that every stroke grows by t on both sides.
"""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from metautil.datasets.cache import cached
from metautil.tasks import Data

PIXELS_PER_EM = 64
CANVAS = 96  # pixels a side of a field: 1.5 em, so that a turned character stays inside

DIGIT_FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
)
"""Faces with lining digits. (cmmi10, Computer Modern's mathematical italic, has old-style ones.)"""

DIGITS_SEED = 1797
DIGITS_VERSION = 1  # raise it when the images change: old cache files are then rebuilt


class Writers(NamedTuple):
    """One writer per image, n in all. Lengths are in em.

    Attributes
    ----------
    linear : ndarray
        Maps a point of the image to a point of the glyph: slant, turn and stretch, shape (n, 2, 2).
    wave, frequency, phase : ndarray
        The elastic warp p → p + Σ_k wave_k sin(2π frequency_k·p + phase_k), k = 1..K; shapes (n, K, 2),
        (n, K, 2) and (n, K).
    thickness : ndarray
        How far the outline moves outwards, shape (n,).
    """

    linear: np.ndarray
    wave: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray
    thickness: np.ndarray


def draw_writers(
    n: int,
    rng: np.random.Generator,
    slant: float = 0.45,
    turn: float = 0.25,
    stretch: float = 0.15,
    warp: float = 0.05,
    thickness: tuple[float, float] = (0.0, 0.035),
    waves: int = 3,
) -> Writers:
    """Draw n random writers, every quantity uniformly.

    Parameters
    ----------
    n : int
        Number of writers.
    rng : numpy.random.Generator
        Source of randomness. Only uniform numbers are drawn: they are the same on every machine.
    slant : float
        Largest slant, sideways em per em of height.
    turn : float
        Largest turn, radians.
    stretch : float
        Largest relative change of width and of height.
    warp : float
        Largest displacement by one wave, em.
    thickness : (float, float)
        Range of the outward movement of the outline, em.
    waves : int
        Waves per writer, each about one em long or longer.
    """
    slants, turns = rng.uniform(-slant, slant, n), rng.uniform(-turn, turn, n)
    widths, heights = 1 + rng.uniform(-stretch, stretch, (2, n))
    cos, sin = np.cos(turns), np.sin(turns)
    rotation = np.array([[cos, -sin], [sin, cos]])
    shear = np.array([[1 / widths, slants], [np.zeros(n), 1 / heights]])
    return Writers(
        linear=np.einsum("abn,bcn->nac", shear, rotation),
        wave=rng.uniform(-warp, warp, (n, waves, 2)),
        frequency=rng.uniform(-1, 1, (n, waves, 2)),
        phase=rng.uniform(0, 2 * np.pi, (n, waves)),
        thickness=rng.uniform(*thickness, n),
    )


def distance_field(face: str, character: str) -> np.ndarray:
    """Render a character with Pillow and measure each pixel's signed distance to its outline.

    Parameters
    ----------
    face : str
        File name of a font of matplotlib, without ``.ttf``.
    character : str
        What to render. Its ink is centred.

    Returns
    -------
    ndarray
        Distance in em, positive in the ink, shape (CANVAS, CANVAS).

    Raises
    ------
    FileNotFoundError
        If matplotlib does not ship the font.
    """
    # Needed only where no cache file is found, so a lesson that finds one starts sooner.
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont
    from scipy.ndimage import distance_transform_edt

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf")
    if not path.is_file():
        raise FileNotFoundError(f"The font {path} is missing. Reinstall matplotlib with pip or conda.")
    # The basic layout is part of Pillow itself; the other one depends on the machine's libraries.
    font = ImageFont.truetype(str(path), PIXELS_PER_EM, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = font.getbbox(character)
    canvas = Image.new("L", (CANVAS, CANVAS))
    corner = ((CANVAS - left - right) // 2, (CANVAS - top - bottom) // 2)
    ImageDraw.Draw(canvas).text(corner, character, fill=255, font=font)
    ink = np.asarray(canvas) >= 128
    # The outline runs half a pixel before the nearest pixel of the other colour.
    distance = np.where(ink, distance_transform_edt(ink) - 0.5, 0.5 - distance_transform_edt(~ink))
    return distance / PIXELS_PER_EM


def write(
    fields: np.ndarray,
    which: np.ndarray,
    writers: Writers,
    height: int,
    width: int,
    window: tuple = ((-0.75, -0.75), (0.75, 0.75)),
) -> np.ndarray:
    """Let each of n writers write one character.

    Parameters
    ----------
    fields : ndarray
        Distance fields of m characters, shape (m, CANVAS, CANVAS).
    which : ndarray
        The character that each writer writes, integers in [0, m), shape (n,).
    writers : Writers
        n writers.
    height, width : int
        Pixels of each image.
    window : pair of array_like
        Upper left and lower right corner (x, y) of the part of the plane that is drawn, in em from the
        character's centre; each of shape (2,) for all images, or (n, 2) with one row for each.

    Returns
    -------
    ndarray
        Ink or no ink at each pixel's centre, bool, shape (n, height, width).
    """
    corners = [np.broadcast_to(corner, (len(which), 2)) for corner in window]
    rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    unit = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    ink = np.empty((len(which), height * width), dtype=bool)
    for start in range(0, len(which), 50):  # a few at a time: their arrays stay in the processor's cache
        some = slice(start, start + 50)
        low, high = (corner[some, None] for corner in corners)
        linear, wave, frequency, phase, thickness = (part[some] for part in writers)
        point = low + (high - low) * unit  # (n, height·width, 2)
        angle = 2 * np.pi * (point @ frequency.transpose(0, 2, 1)) + phase[:, None]  # (n, height·width, K)
        source = (point + np.sin(angle) @ wave) @ linear.transpose(0, 2, 1)
        ink[some] = _interpolate(fields, which[some], source) + thickness[:, None] > 0
    return ink.reshape(-1, height, width)


def _interpolate(fields: np.ndarray, which: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Read fields[which[i]] at the points point[i] (em, shape (n, P, 2)), bilinearly; shape (n, P)."""
    position = np.clip(point * PIXELS_PER_EM + (CANVAS - 1) / 2, 0, CANVAS - 1.001)
    column, row = np.moveaxis(position.astype(np.intp), -1, 0)
    right, down = np.moveaxis(position, -1, 0) - (column, row)
    flat, corner = fields.reshape(-1), (which[:, None] * CANVAS + row) * CANVAS + column
    above = flat[corner] * (1 - right) + flat[corner + 1] * right
    below = flat[corner + CANVAS] * (1 - right) + flat[corner + CANVAS + 1] * right
    return above * (1 - down) + below * down


def ink_box(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounding box of each image's ink, as fractions of the image.

    Parameters
    ----------
    ink : ndarray
        Bitmaps with some ink each, bool, shape (n, height, width).

    Returns
    -------
    (ndarray, ndarray)
        Upper left and lower right corner (x, y), each of shape (n, 2), in [0, 1].
    """
    lines = [ink.any(axis=1), ink.any(axis=2)]  # columns with ink, rows with ink
    low = [line.argmax(axis=1) / line.shape[1] for line in lines]
    high = [1 - line[:, ::-1].argmax(axis=1) / line.shape[1] for line in lines]
    return np.stack(low, axis=1), np.stack(high, axis=1)


def font_digits(folder: str | Path | None = None, per_class: int = 200) -> Data:
    """Digits 0-9 of 20 typefaces, written by seeded random writers: plentiful, and not handwriting.

    The images are made like scikit-learn's real scans, see `digits`: the ink is brought to a box of 20 by 32
    pixels in the middle of a bitmap of 32 by 32, and the pixels are counted in blocks of 4 by 4. The data set
    is the same on every machine; it is made once, in about a second, and then read from a cache file.

    Parameters
    ----------
    folder : path, optional
        Where the cache file lies; `cache_root()` if not given.
    per_class : int
        Images of each digit.

    Returns
    -------
    Data
        x: shape (10 · per_class, 1, 8, 8), multiples of 1/16 in [0, 1], torch's default dtype. y: int64,
        shape (10 · per_class,), in the order 0, 1, ..., 9, 0, 1, ...

    Raises
    ------
    ValueError
        If ``per_class`` is not a whole number of at least 1.
    """
    if not isinstance(per_class, Integral) or per_class < 1:
        raise ValueError(f"per_class = {per_class!r}; pass a whole number of images per digit, 1 or more.")
    name = f"font_digits_{per_class:d}"
    arrays = cached(name, DIGITS_VERSION, lambda: {"counts": digit_counts(per_class)}, folder)
    x = torch.as_tensor(arrays["counts"], dtype=torch.get_default_dtype())[:, None] / 16
    return Data(x, torch.arange(len(x)) % 10)


def digit_counts(per_class: int) -> np.ndarray:
    """Ink counts 0..16 of the blocks of 10 · per_class images, uint8, shape (10 · per_class, 8, 8)."""
    fields = np.stack([distance_field(face, digit) for face in DIGIT_FACES for digit in "0123456789"])
    n = 10 * per_class
    rng = np.random.Generator(np.random.PCG64(DIGITS_SEED))
    face = (rng.random(n) * len(DIGIT_FACES)).astype(np.intp)
    which = 10 * face + np.arange(n) % 10
    writers = draw_writers(n, rng)
    # First a look at where the ink is, then the image of that part of the plane alone.
    low, high = ink_box(write(fields, which, writers, 48, 48))
    box = write(fields, which, writers, 32, 20, (1.5 * low - 0.75, 1.5 * high - 0.75))
    bitmap = np.pad(box, ((0, 0), (0, 0), (6, 6)))
    return bitmap.reshape(n, 8, 4, 8, 4).sum(axis=(2, 4), dtype=np.uint8)
