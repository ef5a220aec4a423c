"""Where data lie, and cache files that are either right or made again.

A cache file NAME.cache holds one line of JSON (name, version, length and SHA-256 of what follows) and then
arrays in numpy's npz format. It is written beside its place and moved there in one step, so a reader finds a
whole file or none. Whatever goes wrong with the file, the data are still returned: a `CacheWarning` then says
in one line what happened and what to do.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path

import numpy as np

from metautil.files import write_atomically


class CacheWarning(UserWarning):
    """A cache file could not be read or written, or was made again. The data that were returned are right."""


class DamagedFile(Exception):
    """A cache file does not hold what its name promises; the message says what is wrong with it."""


def data_root() -> Path:
    """Folder for data sets: the environment variable METAUTIL_DATA, else ``~/.cache/metautil``.

    Raises
    ------
    RuntimeError
        If METAUTIL_DATA is not set and there is no home folder.
    """
    try:
        return Path(os.environ.get("METAUTIL_DATA") or "~/.cache/metautil").expanduser()
    except RuntimeError as error:
        raise RuntimeError("no home folder is known; METAUTIL_DATA can name another place") from error


def cache_root() -> Path:
    """Folder for generated files: the environment variable METAUTIL_CACHE, else `data_root()`.

    Raises
    ------
    RuntimeError
        If neither METAUTIL_CACHE nor METAUTIL_DATA is set and there is no home folder.
    """
    root = os.environ.get("METAUTIL_CACHE")
    return Path(root).expanduser() if root else data_root()


def cached(
    name: str,
    version: int,
    build: Callable[[], Mapping[str, np.ndarray]],
    folder: str | os.PathLike | None = None,
) -> dict[str, np.ndarray]:
    """Return the arrays of the cache file ``name``; build and store them where there is no such file.

    A file that is truncated, altered, or of another name or version is named in a `CacheWarning` and made
    again. Where a file cannot be read or written, a `CacheWarning` says why, and the arrays are returned from
    memory. Several processes may call this at once: each builds, and each leaves a whole file.

    Parameters
    ----------
    name : str
        Letters, digits, ``_`` and ``-``.
    version : int
        Raise it whenever ``build`` returns something else than before.
    build : callable
        () → {key: array}. Must return the same arrays each time.
    folder : path, optional
        Where the file lies; `cache_root()` if not given.

    Returns
    -------
    dict of str to ndarray
        What ``build`` returns, from the file or fresh.

    Raises
    ------
    ValueError
        If ``name`` has other characters.
    TypeError
        If ``version`` is not a whole number, or ``build`` returns what cannot be stored as plain arrays.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"name = {name!r}; a cache name has letters, digits, '_' and '-' only.")
    if not isinstance(version, Integral):
        raise TypeError(f"version = {version!r}; a whole number is expected.")
    remedy = "set METAUTIL_CACHE to" if folder is None else "pass as `folder`"
    remedy = f"The data are made in memory; to keep them, {remedy} a folder where you can write."
    try:
        path = Path(cache_root() if folder is None else folder) / f"{name}.cache"
    except RuntimeError as error:
        _warn(f"{name}.cache has no place: {error}. {remedy}")
        return _arrays(build())

    damage = ""
    try:
        return _unpack(path.read_bytes(), name, version)
    except FileNotFoundError:
        pass  # nothing there yet
    except DamagedFile as error:
        damage = f"{path} {error}"
    except OSError as error:
        _warn(f"{path} could not be read ({_reason(error)}). {remedy}")
        return _arrays(build())

    arrays = _arrays(build())
    try:
        write_atomically(path, _pack(arrays, name, version))
    except OSError as error:
        what = f"{damage}; a new one" if damage else path
        _warn(f"{what} could not be written ({_reason(error)}). {remedy}")
    else:
        if damage:
            _warn(f"{damage}; it was made again.")
    return arrays


def _warn(message: str) -> None:
    warnings.warn(message, CacheWarning, stacklevel=4)  # the line that asked for the data set


def _reason(error: OSError) -> str:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "a file stands where its folder should be"
    return error.strerror or str(error)


def _arrays(built: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    arrays = {key: np.asarray(value) for key, value in built.items()}
    for key, value in arrays.items():
        if value.dtype.hasobject:
            raise TypeError(f"'{key}' has dtype {value.dtype}; a cache file holds numbers and strings only.")
    return arrays


def _header(name: str, version: int, payload: bytes) -> bytes:
    checksum = hashlib.sha256(payload).hexdigest()
    fields = {"name": name, "version": int(version), "length": len(payload), "sha256": checksum}
    return json.dumps(fields).encode()


def _pack(arrays: dict[str, np.ndarray], name: str, version: int) -> bytes:
    payload = io.BytesIO()
    np.savez(payload, **arrays)
    return _header(name, version, payload.getvalue()) + b"\n" + payload.getvalue()


def _unpack(content: bytes, name: str, version: int) -> dict[str, np.ndarray]:
    header, _, payload = content.partition(b"\n")
    if header != _header(name, version, payload):  # compared as a whole: no altered byte goes unnoticed
        raise DamagedFile(_damage(header, payload, name, version))
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DamagedFile(f"holds arrays that numpy cannot read ({error})") from error


def _damage(header: bytes, payload: bytes, name: str, version: int) -> str:
    try:
        said = json.loads(header)
        said_name, said_version, said_length = said["name"], said["version"], said["length"]
    except (ValueError, TypeError, KeyError):
        return "has an unreadable first line"
    if said_name != name:
        return f"holds {said_name!r}, not {name!r}"
    if said_version != version:
        return f"has version {said_version!r}, version {version} is expected"
    if said_length != len(payload):
        return f"has {len(payload)} bytes of data where its first line says {said_length!r}"
    return "has a wrong checksum"
