"""Random inputs on which exercises are checked."""

from __future__ import annotations

import torch
from torch import Tensor


def real(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers in double precision, of the given shape."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def whole(generator: torch.Generator, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def share(generator: torch.Generator, low: float, high: float) -> float:
    """A number between ``low`` and ``high``."""
    return low + (high - low) * torch.rand(1, generator=generator, dtype=torch.float64).item()
