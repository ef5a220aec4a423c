"""A progress bar, for everything that takes over two seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], label: str) -> Iterator[Item]:
    """Go through ``items`` with a progress bar named ``label``."""
    return iter(tqdm(items, desc=label))
