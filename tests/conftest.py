"""What several test files use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def generator() -> Iterator[torch.Generator]:
    """Random numbers of 64 bits and one thread, as in a lesson; afterwards all is as it was."""
    before = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield torch.Generator().manual_seed(0)
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
