"""Typeset characters as if written by hand: glyphs of the fonts in matplotlib, bent by seeded writers.

A character is stored as its signed distance field: at each point the distance to the outline, in em (the font
size), positive in the ink. A *writer* reads the field at bent coordinates (a few smooth waves, then a linear
map) and calls ink what lies above −t, so that every stroke grows by t on both sides.
"""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from metautil.datasets.cache import cached, watched
from metautil.tasks import Alphabets, Data, check_count

PIXELS_PER_EM = 64
CANVAS = 96  # pixels a side of a field: 1.5 em, so that a turned character stays inside

WAVES = 3  # that a writer bends a character with

DIGIT_FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
)
"""Faces with lining digits. (cmmi10, Computer Modern's mathematical italic, has old-style ones.)"""

DIGITS_SEED = 1797
DIGITS_VERSION = 1  # raise it when the images change

ALPHABETS = {
    "Ogham": "OGHAM", "N'Ko": "NKO", "Old Italic": "OLD ITALIC", "Lao": "LAO", "Tifinagh": "TIFINAGH",
    "Hebrew": "HEBREW", "Armenian": "ARMENIAN", "Georgian": "GEORGIAN", "Greek": "GREEK", "Cyrillic": "CYRILLIC",
    "Canadian Aboriginal": "CANADIAN SYLLABICS", "Arabic": "ARABIC", "Latin": "LATIN",
}  # fmt: skip
"""Alphabets of DejaVu Sans, and how Unicode's names of their letters begin. The small ones come first: where two
letters look alike, the first is kept."""

ALPHABETS_SPLIT = {
    "training": ("Ogham", "Georgian", "Greek", "Cyrillic", "Canadian Aboriginal", "Arabic", "Latin"),
    "validation": ("N'Ko", "Old Italic"),
    "test": ("Lao", "Tifinagh", "Hebrew", "Armenian"),
}

ALPHABETS_FACE = "DejaVuSans"
ALPHABETS_SIDE = 28  # pixels a side of an image
ALPHABETS_WINDOW = 1.4  # em a side
ALPHABETS_LIMIT = 0.85  # largest normalised correlation of two characters
ALPHABETS_SEED = 2015  # the year of Omniglot
ALPHABETS_VERSION = 1  # raise it when the images change


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
) -> Writers:
    """Draw n random writers, every quantity uniformly.

    Parameters
    ----------
    n : int
        Number of writers.
    rng : numpy.random.Generator
        Source of randomness. Only uniform numbers are drawn: they are the same on every machine.
    slant, turn, stretch : float
        Largest slant, sideways em per em of height; largest turn, radians; largest relative change of width and of height.
    warp : float
        Largest displacement by one wave, em; each of the `WAVES` waves is about one em long or longer.
    thickness : (float, float)
        Range of the outward movement of the outline, em.
    """
    slants, turns = rng.uniform(-slant, slant, n), rng.uniform(-turn, turn, n)
    widths, heights = 1 + rng.uniform(-stretch, stretch, (2, n))
    cos, sin = np.cos(turns), np.sin(turns)
    rotation = np.array([[cos, -sin], [sin, cos]])
    shear = np.array([[1 / widths, slants], [np.zeros(n), 1 / heights]])
    return Writers(
        linear=np.einsum("abn,bcn->nac", shear, rotation),
        wave=rng.uniform(-warp, warp, (n, WAVES, 2)),
        frequency=rng.uniform(-1, 1, (n, WAVES, 2)),
        phase=rng.uniform(0, 2 * np.pi, (n, WAVES)),
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


def draw_characters(
    fields: np.ndarray,
    which: np.ndarray,
    writers: Writers,
    height: int,
    width: int,
    window: tuple = ((-0.75, -0.75), (0.75, 0.75)),
) -> np.ndarray:
    """Each of n writers draws one character.

    Parameters
    ----------
    fields : ndarray
        Distance fields of m characters, shape (m, CANVAS, CANVAS).
    which : ndarray
        The character that each writer draws, integers in [0, m), shape (n,).
    writers : Writers
        n writers.
    height, width : int
        Pixels of each image.
    window : pair of array_like
        Upper left and lower right corner (x, y) of the part of the plane that is seen, in em from the character's centre;
        each of shape (2,) for all images, or (n, 2) with one row for each.

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
        Images of each digit, a whole number of at least 1, else a ValueError.

    Returns
    -------
    Data
        x: shape (10 · per_class, 1, 8, 8), multiples of 1/16 in [0, 1], torch's default dtype. y: int64,
        shape (10 · per_class,), in the order 0, 1, ..., 9, 0, 1, ...
    """
    check_count("per_class", per_class)
    arrays = cached(f"font_digits_{per_class}", DIGITS_VERSION, lambda: {"counts": digit_counts(per_class)}, folder)
    x = torch.as_tensor(arrays["counts"], dtype=torch.get_default_dtype())[:, None] / 16
    return Data(x, torch.arange(len(x)) % 10)


def digit_counts(per_class: int) -> np.ndarray:
    """Pixels with ink, 0..16, in each block of 4 by 4 of the images: uint8, shape (10 · per_class, 8, 8)."""
    fields = np.stack([distance_field(face, digit) for face in DIGIT_FACES for digit in "0123456789"])
    n = 10 * per_class
    rng = np.random.Generator(np.random.PCG64(DIGITS_SEED))
    face = (rng.random(n) * len(DIGIT_FACES)).astype(np.intp)
    which = 10 * face + np.arange(n) % 10
    writers = draw_writers(n, rng)
    # First a look at where the ink is, then the image of that part of the plane alone.
    low, high = ink_box(draw_characters(fields, which, writers, 48, 48))
    box = draw_characters(fields, which, writers, 32, 20, (1.5 * low - 0.75, 1.5 * high - 0.75))
    return _ink_in_blocks(np.pad(box, ((0, 0), (0, 0), (6, 6))), 4)


def font_alphabets(folder: str | Path | None = None, per_class: int = 20, pen: bool = False) -> Alphabets:
    """Over a thousand letters of thirteen alphabets, each as if drawn by several people: many small classes.

    The course's counterpart of Omniglot (Lake, Salakhutdinov & Tenenbaum 2015), from a typeface: DejaVu Sans, as
    matplotlib ships it. It holds letters only, without those that Unicode composes of others (é is e and ´), and of
    letters that look alike only one: any two characters have a normalised correlation of at most 0.85 as images,
    both in their own size and when each fills the image. Each image has a writer of its own. The data set is the
    same on every machine; it is rendered once, in well under a minute and with a progress bar where somebody
    watches, and then read from a cache file.

    Parameters
    ----------
    folder : path, optional
        Where the cache file lies; `cache_root()` if not given.
    per_class : int
        Images of each character, a whole number of at least 1, else a ValueError.
    pen : bool
        Whether the letters are drawn by a pen along the middle of their strokes (`middle_lines`), as people draw, in
        place of being filled. Letters, alphabets and parts are the same.

    Returns
    -------
    Alphabets
        x: uint8, shape (N, 1, 28, 28), ink from 0 to 255. Its parts are the whole alphabets of `ALPHABETS_SPLIT`.
    """
    check_count("per_class", per_class)
    name = f"font_alphabets_{'pen_' if pen else ''}{per_class}"
    arrays = cached(name, ALPHABETS_VERSION, lambda: alphabet_images(per_class, pen), folder)
    alphabet = torch.as_tensor(arrays["alphabet"], dtype=torch.int64)
    names = tuple(ALPHABETS)
    return Alphabets(
        x=torch.as_tensor(arrays["ink"])[:, None],
        y=torch.arange(len(alphabet)).repeat_interleave(per_class),
        alphabet=alphabet,
        names=names,
        characters=tuple(map(chr, arrays["code"].tolist())),
        parts={
            part: torch.tensor([name in held for name in names])[alphabet].nonzero()[:, 0]
            for part, held in ALPHABETS_SPLIT.items()
        },
    )


def distinct_letters() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Letters of all alphabets, by code point, that are not composed of others and of which no two look alike.

    Returns
    -------
    characters : list of str
    alphabet : ndarray
        Position of each one's alphabet in `ALPHABETS`, int64.
    fields : ndarray
        Their distance fields, shape (m, CANVAS, CANVAS).
    """
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(Path(get_data_path(), "fonts", "ttf", f"{ALPHABETS_FACE}.ttf")))
    letters = [
        character
        for character in map(chr, sorted(font.get_charmap()))
        if unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo") and not unicodedata.decomposition(character)
    ]
    characters, alphabet, fields = [], [], []
    kept = np.empty((2, 4096, ALPHABETS_SIDE**2))
    for position, beginning in enumerate(ALPHABETS.values()):
        for character in letters:
            if not unicodedata.name(character, "").startswith(f"{beginning} "):
                continue
            field = distance_field(ALPHABETS_FACE, character)
            plain, full = plain_images(field > 0)
            if plain[[0, -1]].any() or plain[:, [0, -1]].any():
                continue  # too wide or too high for the image
            # Flattened, with mean 0 and length 1: the product of two such vectors is their normalised correlation.
            flat = [image.ravel() - image.mean() for image in (plain, full)]
            looks = np.stack([vector / np.linalg.norm(vector) for vector in flat])
            alike = kept[:, : len(characters)] @ looks[:, :, None]
            if characters and alike.max() > ALPHABETS_LIMIT:
                continue
            kept[:, len(characters)] = looks
            characters.append(character)
            alphabet.append(position)
            fields.append(field.astype(np.float32))  # half the memory; precise to a millionth of an em
    return characters, np.array(alphabet), np.stack(fields)


def plain_images(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A glyph without a writer, as two images: in its own size, and grown or shrunk to fill the image.

    Parameters
    ----------
    ink : ndarray
        Bitmap with some ink, bool, shape (CANVAS, CANVAS).

    Returns
    -------
    (ndarray, ndarray)
        Share of ink in each pixel, shape (ALPHABETS_SIDE, ALPHABETS_SIDE) both.
    """
    unit = (np.arange(2 * ALPHABETS_SIDE) + 0.5) / (2 * ALPHABETS_SIDE)
    (left, top), (right, bottom) = (corner[0] * CANVAS for corner in ink_box(ink[None]))
    width, height = right - left, bottom - top
    images = []
    for side, x, y in (
        (ALPHABETS_WINDOW * PIXELS_PER_EM, CANVAS / 2, CANVAS / 2),
        (max(width, height), left + width / 2, top + height / 2),
    ):
        columns, rows = ((unit - 0.5) * side + middle for middle in (x, y))
        inside = ((rows >= 0) & (rows < CANVAS))[:, None] & ((columns >= 0) & (columns < CANVAS))
        read = ink[np.ix_(rows.clip(0, CANVAS - 1).astype(int), columns.clip(0, CANVAS - 1).astype(int))]
        images.append(_ink_in_blocks((read & inside)[None], 2)[0] / 4)
    return images[0], images[1]


def _ink_in_blocks(ink: np.ndarray, side: int) -> np.ndarray:
    """Number of pixels with ink in blocks of ``side`` by ``side``: uint8, shape (n, height / side, width / side)."""
    n, height, width = ink.shape
    return ink.reshape(n, height // side, side, width // side, side).sum(axis=(2, 4), dtype=np.uint8)


def middle_lines(fields: np.ndarray) -> np.ndarray:
    """Distance fields of the lines in the middle of the strokes: minus the distance to the nearest point of one, in em.

    Inside a stroke the distance to the outline grows with slope 1, except where two points of the outline are equally
    near: there is the middle. A line has no inside: all that lies within half a pen's width of it is ink, which is what
    `Writers.thickness` then means.

    Parameters
    ----------
    fields : ndarray
        Distance fields of glyphs, shape (m, CANVAS, CANVAS).
    """
    from scipy.ndimage import distance_transform_edt

    slope = np.hypot(*np.gradient(fields, 1 / PIXELS_PER_EM, axis=(1, 2)))
    middle = (fields > 0) & (slope < 0.6)  # in a right angle's corner it is 0.71: no spur grows into the corner
    return np.stack([-distance_transform_edt(~line) for line in middle]) / PIXELS_PER_EM


def alphabet_images(per_class: int, pen: bool = False) -> dict[str, np.ndarray]:
    """What the cache file of `font_alphabets` holds: ink (N, 28, 28) uint8, alphabet (C,), code points (C,)."""
    characters, alphabet, fields = distinct_letters()
    n = len(characters) * per_class
    which = np.repeat(np.arange(len(characters)), per_class)
    rng = np.random.Generator(np.random.PCG64(ALPHABETS_SEED))
    bent = {"slant": 0.45, "turn": 0.3, "stretch": 0.2}
    if pen:
        fields = middle_lines(fields)
        writers = draw_writers(n, rng, **bent, warp=0.08, thickness=(0.014, 0.028))
        middle, window = rng.uniform(-0.1, 0.1, (n, 2)), rng.uniform(0.9, 1.3, (n, 1))
    else:
        writers = draw_writers(n, rng, **bent, warp=0.06, thickness=(-0.012, 0.035))
        middle, window = rng.uniform(-0.08, 0.08, (n, 2)), ALPHABETS_WINDOW  # where the character stands, em
    low, high = middle - window / 2, middle + window / 2
    side = 2 * ALPHABETS_SIDE

    def render(start: int) -> np.ndarray:
        some = slice(start, start + 500)
        mine = Writers(*(part[some] for part in writers))
        return _ink_in_blocks(draw_characters(fields, which[some], mine, side, side, (low[some], high[some])), 2)

    starts = range(0, n, 500)
    with ThreadPoolExecutor(2) as pool:
        drawn = watched(pool.map(render, starts), "drawing the alphabets, once", len(starts))
        counts = np.concatenate(list(drawn))
    levels = np.array([0, 64, 128, 191, 255], dtype=np.uint8)  # ink in quarters of a pixel
    return {"ink": levels[counts], "alphabet": alphabet, "code": np.array([ord(letter) for letter in characters])}
