"""Where data lie, and cache files that are either right or made again.

A cache file is an npz archive of numpy, whose checksums tell when it is damaged. It is written beside its place and moved
there in one step, so a reader finds a whole file or none. Its version is part of its name: code that makes other data never
meets it. Whatever goes wrong with the file, the data are still returned, and one `CacheWarning` says in one line what
happened and what to do.
"""

from __future__ import annotations

import errno
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from metautil.files import write_atomically

MADE_FOR = "made for"  # under this key, a file holds the name that it was written under: a renamed one is noticed


class CacheWarning(UserWarning):
    """A cache file could not be read or written, or was made again. The data that were returned are right."""


def data_root() -> Path:
    """Folder for data sets: the environment variable METAUTIL_DATA, else ``~/.cache/metautil``.

    Raises RuntimeError if METAUTIL_DATA is not set and there is no home folder.
    """
    try:
        return Path(os.environ.get("METAUTIL_DATA") or "~/.cache/metautil").expanduser()
    except RuntimeError as error:
        raise RuntimeError("no home folder is known; METAUTIL_DATA can name another place") from error


def cache_root() -> Path:
    """Folder for generated files: the environment variable METAUTIL_CACHE, else `data_root()`, with its error."""
    root = os.environ.get("METAUTIL_CACHE")
    return Path(root).expanduser() if root else data_root()


def cached(
    name: str, version: int, build: Callable[[], Mapping[str, np.ndarray]], folder: str | os.PathLike | None = None
) -> dict[str, np.ndarray]:
    """Return the arrays of the cache file ``name``.v``version``.npz; build and store them where there is no such file.

    A file that is damaged, or was written under another name, is named in a `CacheWarning` and made again. Where a file
    cannot be read or written, a `CacheWarning` says why, and the arrays are returned from memory. Several processes may call
    this at once: each builds, and each leaves a whole file.

    Parameters
    ----------
    name : str
        What the arrays are; part of a file name.
    version : int
        Raise it whenever ``build`` returns something else than before.
    build : callable
        () → {key: array of numbers or strings}. Must return the same arrays each time.
    folder : path, optional
        Where the file lies; `cache_root()` if not given.

    Returns
    -------
    dict of str to ndarray
        What ``build`` returns, from the file or fresh.
    """
    path, damage = Path(f"{name}.v{version}.npz"), ""
    remedy = "set METAUTIL_CACHE to" if folder is None else "pass as `folder`"
    remedy = f"The data are made in memory; to keep them, {remedy} a folder where you can write."
    try:
        path = Path(cache_root() if folder is None else folder) / path
        return _unpacked(path.name, path.read_bytes())
    except FileNotFoundError:
        pass  # nothing there yet
    except DamagedFile as error:
        damage = f"{path} is damaged ({error})"
    except (OSError, RuntimeError) as error:
        _warn(f"{path} could not be read ({reason(error)}). {remedy}")
        return dict(build())

    arrays, packed = dict(build()), io.BytesIO()
    np.savez(packed, **arrays, **{MADE_FOR: path.name})
    try:
        write_atomically(path, packed.getvalue())
    except OSError as error:
        what = f"{damage}; a new one" if damage else path
        _warn(f"{what} could not be written ({reason(error)}). {remedy}")
    else:
        if damage:
            _warn(f"{damage}; it was made again.")
    return arrays


class DamagedFile(Exception):
    """A cache file does not hold what its name promises."""


def _unpacked(name: str, content: bytes) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(content)) as file:  # refuses pickles, which could run anything
            arrays = dict(file)
        written_as = str(arrays.pop(MADE_FOR))
    except Exception as error:  # numpy and zipfile have a dozen kinds for what may be wrong
        raise DamagedFile(reason(error)) from error
    if written_as != name:
        raise DamagedFile(f"it was written as {written_as}")
    return arrays


def _warn(message: str) -> None:
    warnings.warn(message, CacheWarning, stacklevel=4)  # the line that asked for the data set


def reason(error: BaseException) -> str:
    """What went wrong, on one line; a library's message may have several."""
    if getattr(error, "errno", None) in (errno.EEXIST, errno.ENOTDIR):
        return "a file stands where its folder should be"
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())


def watched(items: Iterable, label: str, total: int) -> Iterator:
    """Go through ``items`` with a progress bar where somebody watches; afterwards it is gone.

    A notebook that is executed to be saved or tested gets no bar, so that it looks the same whether the cache file was
    there or not: such programs do not take input, which is how they are told from a person's JupyterLab.
    """
    from IPython import get_ipython
    from IPython.display import clear_output
    from tqdm.auto import tqdm

    kernel = getattr(get_ipython(), "kernel", None)
    person = getattr(kernel, "_allow_stdin", False)
    yield from tqdm(items, label, total, leave=False, disable=not person if kernel else None)
    if person:
        clear_output()
