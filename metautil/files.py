"""Files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Write a file in one step: beside ``path`` first, down to the disk, then moved there.

    A reader finds the old file or the whole new one, never half of it, and two writers never mix. Whatever goes wrong
    (a full disk, an interrupt), the old file stays as it was and the temporary one is removed.

    Parameters
    ----------
    path : path
        Folders that are missing are made.
    content : bytes
        All of the file.

    Raises
    ------
    OSError
        If a folder or the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
