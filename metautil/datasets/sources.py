"""Real data sets: where they are looked for, what is said where they are not, and how a download gets in whole."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from metautil.datasets.cache import reason

SILENCE = 60  # seconds without a byte, after which a download has broken off


class NotThere(FileNotFoundError):
    """A real data set, or a file of it, is not where it was looked for. The message says where, and how to get it."""


class DamagedData(RuntimeError):
    """A file of a real data set is not what it should be. The message names it and says what to do."""


class DownloadFailed(OSError):
    """A download did not end well. Nothing half-written is left, and the same call tries again."""


def not_there(name: str, root: Path, missing: str) -> NotThere:
    """The error for files of data set ``name`` that are ``missing`` (as a path below ``root``)."""
    return NotThere(
        f"{name}: there is no {missing} in {root}. {name}(download=True) gets it where there is a "
        f"network; else put it there, or let METAUTIL_DATA name the folder that has it."
    )


def damaged(name: str, path: Path, what: str) -> DamagedData:
    """The error for a file that is not what it should be; ``what`` goes on after the path."""
    return DamagedData(f"{name}: {path} {what}. Put a good copy in its place, or pass download=True to fetch one.")


def fetch(name: str, root: Path, below: str, download: Callable[[Path], object]) -> None:
    """Download a data set: all of it, or no trace.

    It is downloaded into a temporary folder in ``root``, and moved into its place when it is complete. Files of the
    same name that are there already are replaced, all others stay.

    Parameters
    ----------
    name : str
        The data set, for messages.
    root : Path
        The folder for data sets. Made where it is missing.
    below : str
        The data set's own folder in ``root``.
    download : callable
        (folder) → anything. Must leave the checked files in ``folder / below``, or raise an error.

    Raises
    ------
    DownloadFailed
        If that fails, in one line that says why and what to do.
    """
    temporary, patience = None, socket.getdefaulttimeout()
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", suffix=".part", dir=root))
        socket.setdefaulttimeout(SILENCE)  # torchvision sets none, and would wait for ever
        download(temporary)
        (root / below).mkdir(parents=True, exist_ok=True)
        (temporary / "old").mkdir()
        for new in sorted((temporary / below).iterdir()):
            _exchange(new, root / below / new.name, temporary / "old" / new.name)
    except Exception as error:  # torchvision, urllib, tarfile and zipfile have a dozen kinds for a broken download
        raise DownloadFailed(
            f"{name} could not be downloaded into {root} ({reason(error)}). Nothing half-written is left. {_remedy(error)}"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, target: Path, aside: Path) -> None:
    """Move ``new`` to ``target``, and what was there ``aside``; if the one fails, the other is undone."""
    there = os.path.lexists(target)
    if there:
        os.rename(target, aside)
    try:
        os.rename(new, target)
    except BaseException:
        if there:
            os.rename(aside, target)
        raise


def _remedy(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space, or let METAUTIL_DATA name another folder, and call again."
    if number in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR):
        return "Let METAUTIL_DATA name a folder where you can write, and call again."
    return "Call again when the network is there, or put the files there by hand."
