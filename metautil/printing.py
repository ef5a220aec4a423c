"""How the course prints numbers: rounded to what another machine prints too."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def number(value: float | Tensor, digits: int = 3) -> str:
    """Round to significant digits, without a minus sign before zero.

    Parameters
    ----------
    value : float or Tensor
        One number.
    digits : int
        Significant digits.

    Returns
    -------
    str
        Such as ``0.123``, ``12.3``, ``1.2e−05`` (a real minus sign: for reading, not for pasting
        into code); ``0`` for what is below 1e-12, where rounding errors live.
    """
    value = float(value)
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.{digits}g}".replace("-", "−")


def difference(a: Tensor, b: Tensor) -> str:
    """Largest difference between two computations of one thing, as a bound that every machine prints alike.

    Rounding errors differ from machine to machine in every digit; only their order of magnitude is a result. The
    bound is the next power of ten, and never below 1e-9, where rounding and difference quotients end.

    Parameters
    ----------
    a, b : Tensor
        Tensors of one shape.

    Returns
    -------
    str
        ``"at most 1e-09"`` where the two agree to rounding, a larger power of ten or the plain number where not.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    if a.shape != b.shape:
        raise ValueError(f"Shapes differ: {tuple(a.shape)} and {tuple(b.shape)}; compare like with like.")
    largest = float((a - b).abs().max())
    if not math.isfinite(largest):
        return "not finite"
    if largest > 1e-3:
        return number(largest)
    return f"at most 1e-{min(9, math.floor(-math.log10(max(largest, 1e-300)))):02d}"
