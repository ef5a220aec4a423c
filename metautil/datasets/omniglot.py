"""Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people, read from the original archives."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from metautil.datasets.cache import cached, watched
from metautil.datasets.sources import DamagedData, NotThere, damaged, fetch, not_there, place
from metautil.tasks import Alphabets

FOLDER = "omniglot-py"
HALVES = ("images_background", "images_evaluation")
CHARACTERS, DRAWINGS = 1623, 20
SIDE, SMALL = 105, 28
VERSION = 1  # raise it when the images change: old cache files are then made again

VALIDATION = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
TEST = (
    *("Kannada", "Keble", "Malayalam", "Manipuri", "Mongolian", "Old_Church_Slavonic_(Cyrillic)", "Oriya", "Sylheti"),
    *("Syriac_(Serto)", "Tengwar", "Tibetan", "ULOG"),
)
TEST_CHARACTERS = tuple(f"Gurmukhi/character{number}" for number in (42, 43, 44, 45))
"""The split of Vinyals et al. 2016, as published with the code of Snell et al. 2017: 1,028 characters for
meta-training, 172 for meta-validation, 423 for meta-testing. One alphabet is cut: the last four characters of Gurmukhi are
test characters, so that training and validation have 1,200 together."""


class Drawing(NamedTuple):
    """One PNG of the original layout, not read yet."""

    character: str  # "Gurmukhi/character42"
    name: str  # "0593_01.png"
    stamp: str  # changes when the content does
    source: Path  # the archive or the folder it comes from
    read: Callable[[], bytes]


def omniglot(folder: str | os.PathLike | None = None, download: bool = False) -> Alphabets:
    """Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people (Lake, Salakhutdinov & Tenenbaum 2015).

    The original drawings have 105 by 105 pixels, ink or paper. Here they are reduced to 28 by 28, as in the papers that
    use them (Vinyals et al. 2016, and since). A pixel is the share of its area that is ink, rounded to 0..255: the same
    as in `font_alphabets`, and exact on every machine. The papers' code lets Pillow resize the drawings, which takes the
    nearest pixel of a 1-bit image whatever filter is asked for, and so breaks thin strokes.

    The drawings are read once, in seconds, and then come from a cache file in `cache_root()`. Its name holds a digest of
    the source's list of files, so that another source never meets it.

    Parameters
    ----------
    folder : path, optional
        The folder that holds ``omniglot-py``; `data_root()` if not given. In it ``images_background`` and
        ``images_evaluation`` are looked for as folders, then as zip archives, which are read in place.
    download : bool
        Whether to fetch what is missing or damaged, by torchvision. What is there and right is not fetched again.

    Returns
    -------
    Alphabets
        x: uint8, shape (32460, 1, 28, 28), ink 255 on paper 0; 20 images a character. Characters are called
        "Alphabet/characterNN", in this order. Its parts are the split of Vinyals et al. 2016: 1,028, 172 and 423
        characters (`rotations` makes the 4,112, 688 and 1,692 classes of the papers). Alphabet Gurmukhi is cut by it.

    Raises
    ------
    NotThere
        If one half is not there and ``download`` is False.
    DamagedData
        If an archive or an image cannot be read, a character has fewer drawings than others, or some of the 1,623
        characters are missing. A collection of less than half as many is no broken copy: it is read, with a warning.
    DownloadFailed
        If the download breaks off or cannot be written. The next call begins anew.
    """
    root = place(folder)
    try:
        name, drawings = _found(root)
        arrays = cached(name, VERSION, lambda: _images(drawings))
    except (NotThere, DamagedData):
        if not download:
            raise
        from torchvision.datasets import Omniglot  # slow to import, so only where it is used

        fetch("omniglot", root, FOLDER, lambda into: [Omniglot(into, half, download=True) for half in (True, False)])
        name, drawings = _found(root)
        arrays = cached(name, VERSION, lambda: _images(drawings))
    characters = tuple(arrays["character"].tolist())
    if len(characters) != CHARACTERS:
        warnings.warn(
            f"omniglot: {root / FOLDER} holds {len(characters)} characters; the full set has {CHARACTERS:,}.",
            stacklevel=2,
        )
    names, alphabet = np.unique([character.partition("/")[0] for character in characters], return_inverse=True)
    parts = np.array([part_of(character) for character in characters])
    return Alphabets(
        x=torch.as_tensor(arrays["ink"])[:, None],
        y=torch.arange(len(characters)).repeat_interleave(len(arrays["ink"]) // len(characters)),
        alphabet=torch.as_tensor(alphabet),
        names=tuple(names.tolist()),
        characters=characters,
        parts={
            part: torch.as_tensor(np.flatnonzero(parts == part))
            for part in ("training", "validation", "test")
            if part in parts
        },
    )


def part_of(character: str) -> str:
    """The part of the split that a character like "Gurmukhi/character42" belongs to."""
    alphabet = character.partition("/")[0]
    if alphabet in TEST or character in TEST_CHARACTERS:
        return "test"
    return "validation" if alphabet in VALIDATION else "training"


def reduced(ink: np.ndarray) -> np.ndarray:
    """Share of ink in each of 28 by 28 pixels, 0..255, for bitmaps of 105 by 105.

    A small pixel covers 3.75 by 3.75 large ones. In quarters of a large pixel these are 15 by 15, so that all is whole
    numbers: 255 · share = quarters with ink · 17 / 15, rounded.

    Parameters
    ----------
    ink : ndarray
        bool, shape (n, 105, 105).

    Returns
    -------
    ndarray
        uint8, shape (n, 28, 28).
    """
    owner = np.arange(4 * SIDE) * SMALL // (4 * SIDE)  # of each quarter: the small pixel it lies in
    overlap = np.zeros((SMALL, SIDE), dtype=np.float32)
    np.add.at(overlap, (owner, np.arange(4 * SIDE) // 4), 1)
    quarters = overlap @ ink.astype(np.float32) @ overlap.T  # whole numbers up to 225: exact
    return ((17 * quarters.astype(np.int32) + 7) // 15).astype(np.uint8)


def _found(root: Path) -> tuple[str, list[Drawing]]:
    """All drawings of both halves, in order, without reading an image; and a name that no other collection has."""
    found = []
    for half in HALVES:
        inside, archive = root / FOLDER / half, root / FOLDER / f"{half}.zip"
        if inside.is_dir():
            for path in inside.glob("*/*/*.png"):
                alphabet, character, name = path.parts[-3:]
                stamp = f"{path.stat().st_size}, {path.stat().st_mtime_ns}"
                found.append(Drawing(f"{alphabet}/{character}", name, stamp, inside, path.read_bytes))
        elif archive.is_file():
            found += _in_archive(archive)
        else:
            raise not_there("omniglot", root, f"{FOLDER}/{half}.zip (or folder {half})")
    found.sort(key=lambda drawing: drawing[:2])
    _check(root, found)
    listed = "\n".join(f"{drawing.character}/{drawing.name} {drawing.stamp}" for drawing in found)
    return f"omniglot_{SMALL}_{hashlib.sha256(listed.encode()).hexdigest()[:16]}", found


def _in_archive(path: Path) -> list[Drawing]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise damaged("omniglot", path, f"cannot be read as a zip archive ({error})") from error
    found, wanted = [], path.stem
    for member in archive.infolist():
        half, *where = member.filename.split("/")
        if half == wanted and len(where) == 3 and where[2].endswith(".png"):
            alphabet, character, name = where
            read = partial(archive.read, member)
            found.append(Drawing(f"{alphabet}/{character}", name, f"{member.CRC:08x}", path, read))
    return found


def _check(root: Path, drawings: list[Drawing]) -> None:
    """Raise DamagedData unless every character has equally many drawings, and a large collection all characters."""
    counts = Counter(drawing.character for drawing in drawings)
    if not counts:
        raise damaged("omniglot", root / FOLDER, "holds no drawing named HALF/ALPHABET/CHARACTER/NAME.png")
    most = max(counts.values())
    for character, source in ((drawing.character, drawing.source) for drawing in drawings):
        if (count := counts[character]) < most:
            words = f"{character} has {count} {'drawings' if count > 1 else 'drawing'}, others have {most}"
            raise damaged("omniglot", source, f"is incomplete: {words}")
    if len(counts) > CHARACTERS // 2 and (len(counts), most) != (CHARACTERS, DRAWINGS):
        words = f"it holds {len(counts):,} characters with {most} drawings each, not {CHARACTERS:,} with {DRAWINGS}"
        raise damaged("omniglot", root / FOLDER, f"is incomplete: {words}")


def _images(drawings: list[Drawing], some: int = 1000) -> dict[str, np.ndarray]:
    """What the cache file holds: ink (N, 28, 28) uint8, the characters (C,) in order. Reads ``some`` images at a time."""
    ink = np.empty((len(drawings), SMALL, SMALL), dtype=np.uint8)
    starts = range(0, len(drawings), some)
    for start in watched(starts, "reading Omniglot, once", len(starts)):
        ink[start : start + some] = reduced(np.stack([_ink(drawing) for drawing in drawings[start : start + some]]))
    return {"ink": ink, "character": np.array(sorted({drawing.character for drawing in drawings}))}


def _ink(drawing: Drawing) -> np.ndarray:
    """One drawing's ink, bool, shape (105, 105)."""
    what = f"holds {drawing.character}/{drawing.name}, which"
    try:
        with Image.open(io.BytesIO(drawing.read()), formats=["PNG"]) as image:
            paper = np.asarray(image.convert("1"))
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reason = "it is no PNG" if isinstance(error, UnidentifiedImageError) else error
        raise damaged("omniglot", drawing.source, f"{what} cannot be read ({reason})") from error
    if paper.shape != (SIDE, SIDE):
        height, width = paper.shape
        raise damaged("omniglot", drawing.source, f"{what} has {height} by {width} pixels, not {SIDE} by {SIDE}")
    return ~paper
