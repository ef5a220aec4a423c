"""Gradients without calculus: the check that every derived formula of the course has to pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def central_differences(function: Callable[[Tensor], Tensor], theta: Tensor, width: float = 1e-5) -> Tensor:
    """∂f/∂θ_j ≈ (f(θ + ε e_j) − f(θ − ε e_j)) / 2ε for each j, formula (3.4).

    The error is of order ε² for the formula and of order 1e-16 · |f| / ε for rounding; in float64 an ε near 1e-5 keeps
    both small.

    Parameters
    ----------
    function : callable
        θ → scalar.
    theta : Tensor
        Where to differentiate, shape (p,), float64.
    width : float
        ε > 0.

    Returns
    -------
    Tensor
        Shape (p,).

    Raises
    ------
    ValueError
        If θ does not have 64 bits: in float32 rounding would drown the difference.
    """
    if theta.dtype != torch.float64:
        raise ValueError(f"θ has type {theta.dtype}; central differences need float64. Use theta.double().")
    shifts = width * torch.eye(len(theta), dtype=theta.dtype)
    return torch.stack([(function(theta + shift) - function(theta - shift)) / (2 * width) for shift in shifts])
