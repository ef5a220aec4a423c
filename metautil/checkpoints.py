"""Checkpoints: a training run in a file, so that a run that was killed goes on as if it had not been.

The file is what ``torch.save`` writes, and ``torch.load(path, weights_only=True)`` opens it: numbers, texts, tensors, and
no code. With the run it holds the experiment, a few facts that tell one run from another. A file that does not belong to
the experiment at hand is never read into it and never written over.
"""

from __future__ import annotations

import glob
import io
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from metautil.files import write_atomically

FORMAT = "metautil checkpoint, version 1"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be read, is of another experiment, or cannot be written; the message names the file."""


def save(path: Path, run: Mapping[str, Any], experiment: Mapping[str, Any]) -> None:
    """Write a checkpoint in one move: whenever the process dies, the file is the old one or the new one, whole.

    Parameters
    ----------
    path : Path
    run : mapping
        Field → tensors, numbers, texts, or tuples, lists and dictionaries of them.
    experiment : mapping
        Fact → number or text.

    Raises
    ------
    CheckpointError
        If the file cannot be written (a full disk, a folder without the right to write).
    """
    content = io.BytesIO()
    torch.save({"format": FORMAT, "experiment": dict(experiment), "run": dict(run)}, content)
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        before = "The one written before is whole" if path.exists() else "None was written before"
        raise CheckpointError(
            f"The checkpoint {path} could not be written: {error}. {before}. Make room or give a path "
            f"where you can write, then run again."
        ) from error


def load(path: Path, experiment: Mapping[str, Any]) -> dict[str, Any]:
    """The run of a checkpoint, after it has been seen to be whole and of this experiment.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is damaged, no checkpoint, or of another experiment. It is left as it is.
    """
    remedy = "Delete it to start anew, or give another path; it was left as it is."
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} could not be read: {error}. Give another path.") from error
    try:
        damaged = zipfile.ZipFile(io.BytesIO(content)).testzip()  # torch itself does not compare the checksums
        found = None if damaged else torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile and torch meet a damaged file with errors of many types
        raise CheckpointError(f"{path} is damaged or no checkpoint ({type(error).__name__}). {remedy}") from error
    if damaged:
        raise CheckpointError(f"{path} is damaged: its part {damaged} has a wrong checksum. {remedy}")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise CheckpointError(f"{path} holds something else than a checkpoint ({FORMAT}). {remedy}")
    there = found["experiment"]
    other = [
        f"{fact} is {there.get(fact)} there and {here} here"
        for fact, here in experiment.items()
        if there.get(fact) != here
    ]
    if other:
        raise CheckpointError(f"{path} is of another experiment: {'; '.join(other)}. {remedy}")
    return found["run"]


def tidy(path: Path) -> None:
    """Remove what killed writers of ``path`` left beside it: files .NAME.*.part."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError):
            left.unlink()
