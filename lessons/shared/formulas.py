"""The registered formulas, one module a lesson, and what they share: agreement, random inputs, two networks.

A formula is listed with its LaTeX and its kind. A *definition* names the package function that implements it; a
*claim* (gradient, update, closed form, bound, condition, optimum) states that two things agree. Left sides go through
the package or autograd, right sides through numpy and plain loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from metautil.models import mlp


class Formula(NamedTuple):
    """One registered formula; ``holds(left, right)`` must be true and ``holds(left, near_miss)`` false."""

    latex: str
    kind: str
    draw: Callable[[torch.Generator], tuple]
    left: Callable[..., Any]
    right: Callable[..., Any]
    near_miss: Callable[..., Any]
    implementation: Any = None
    holds: Callable[[Any, Any], bool] = None


def equal(left: Any, right: Any) -> bool:
    """Agreement to nine digits of the largest entry."""
    left, right = (np.asarray(value, dtype=float) for value in (left, right))
    assert left.shape == right.shape, f"shapes {left.shape} and {right.shape}"
    return bool(np.abs(left - right).max() <= 1e-9 * max(1.0, np.abs(left).max()))


def nearly_equal(left: Any, right: Any) -> bool:
    """Agreement to six digits, where one side is a difference quotient or a numerical search."""
    left, right = (np.asarray(value, dtype=float) for value in (left, right))
    assert left.shape == right.shape, f"shapes {left.shape} and {right.shape}"
    return bool(np.abs(left - right).max() <= 1e-6 * max(1.0, np.abs(left).max()))


def at_most(left: Any, right: Any) -> bool:
    """left ≤ right entry by entry, but for rounding."""
    left, right = (np.asarray(value, dtype=float) for value in (left, right))
    assert left.shape == right.shape, f"shapes {left.shape} and {right.shape}"
    return bool((left <= right + 1e-12 * np.abs(right).max()).all())


def real(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def positive(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return 0.1 + 2 * torch.rand(*shape, generator=generator, dtype=torch.float64)


def sizes(generator: torch.Generator, count: int) -> list[int]:
    """Random axis lengths, 2 to 8."""
    return torch.randint(2, 9, (count,), generator=generator).tolist()


def draw_pair(generator):
    shape = sizes(generator, 2)
    return real(generator, *shape), real(generator, *shape)


def draw_network(generator):
    """W1 (d, h), b1 (h,), W2 (h, C), b2 (C,), inputs (N, d), labels (N, C)."""
    N, d, h, C = sizes(generator, 4)
    return tuple(real(generator, *shape) for shape in ((d, h), (h,), (h, C), (C,), (N, d), (N, C)))


def package_network(W1, b1, W2, b2):
    """The package's network of these sizes, and its θ."""
    theta = torch.cat([piece.reshape(-1) for piece in (W1, b1, W2, b2)])
    return mlp((*W1.shape, W2.shape[1])), theta


def numpy_network(W1, b1, W2, b2, x, y_star):
    W1, b1, W2, b2, x, y_star = (value.numpy() for value in (W1, b1, W2, b2, x, y_star))
    h = np.tanh(x @ W1 + b1)
    return h, h @ W2 + b2 - y_star, W2, x
