"""Linear regression with a known truth: where the data come from, the model, its best θ; and large linear systems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metautil.models import Model
from metautil.tasks import Data


def linear(theta: Tensor, x: Tensor) -> Tensor:
    """M_θ(x) = xθ, a row times a column; the first input may be 1, and its parameter is then the intercept.

    Shapes: θ (..., p), x (..., N, p) → (..., N, 1).
    """
    return x @ theta.unsqueeze(-1)


def linear_model(inputs: int) -> Model:
    """`linear` as a `Model`: p = ``inputs`` weights, no intercept, and no meta-features but x itself; shapes as there."""
    return Model(
        {"head.weight": (inputs, 1)}, lambda weights, x: x, lambda weights, x: x @ weights["head.weight"], (inputs,)
    )


@dataclass(frozen=True)
class LinearPopulation:
    """Where examples come from: x with E[xᵀx] = I, y* = xθ° + σε with ε ~ N(0, 1) independent of x.

    Attributes
    ----------
    theta : Tensor
        The true parameters θ°, shape (p,).
    noise : float
        σ, the standard deviation of the noise, in the unit of y*.
    intercept : bool
        If true, the first input is 1 and the others are N(0, 1); else all are. E[xᵀx] = I either way.
    """

    theta: Tensor
    noise: float
    intercept: bool = False

    def draw(self, count: int, generator: torch.Generator, sets: tuple[int, ...] = ()) -> Data:
        """Draw independent data sets of ``count`` examples.

        Parameters
        ----------
        count : int
            N ≥ 1; a smaller one is a ValueError.
        generator : torch.Generator
        sets : tuple of int
            Leading axes: how many data sets. ``()`` draws one.

        Returns
        -------
        Data
            ``x`` of shape (*sets, N, p), ``y`` of shape (*sets, N, 1).
        """
        if count < 1:
            raise ValueError(f"count = {count}; a data set has at least one example.")
        x = torch.randn(*sets, count, len(self.theta), generator=generator)
        if self.intercept:
            x[..., 0] = 1
        return Data(x, linear(self.theta, x) + self.noise * torch.randn(*sets, count, 1, generator=generator))

    def risk(self, theta: Tensor) -> Tensor:
        """The true risk E[½(xθ − y*)²] = ½σ² + ½‖θ − θ°‖², formulas (2.5) and (2.6), at ``theta`` (..., p); shape (...)."""
        return 0.5 * self.noise**2 + 0.5 * (theta - self.theta).square().sum(-1)


def least_squares(data: Data) -> Tensor:
    """θ̂ = (XᵀX)⁻¹Xᵀy*, the minimiser of the empirical risk of `linear` under half the squared error.

    Parameters
    ----------
    data : Data
        ``x`` of shape (..., N, p), ``y`` of shape (..., N, 1).

    Returns
    -------
    Tensor
        Shape (..., p).

    Raises
    ------
    ValueError
        If N < p: many θ then have the same, smallest risk.
    """
    if data.x.shape[-2] < data.x.shape[-1]:
        raise ValueError(
            f"{data.x.shape[-2]} examples for {data.x.shape[-1]} parameters: the minimiser is not unique. "
            f"At least as many examples as parameters are needed."
        )
    gram = data.x.mT @ data.x
    return torch.linalg.solve(gram, data.x.mT @ data.y).squeeze(-1)


def conjugate_gradients(product: Callable[[Tensor], Tensor], b: Tensor, iterations: int) -> Tensor:
    """Solve A v = b for symmetric positive definite A, for each row of ``b`` (T, p) at once (Hestenes and Stiefel, 1952).

    Parameters
    ----------
    product : callable
        v (T, p) → A v (T, p), with an A for each row.
    b : Tensor
        Shape (T, p).
    iterations : int
        At most p are needed in exact arithmetic; fewer where A has few different eigenvalues.
    """
    v, residual = torch.zeros_like(b), b
    direction, square = b, b.square().sum(-1, keepdim=True)
    for _ in range(iterations):
        image = product(direction)
        curvature = (direction * image).sum(-1, keepdim=True)
        step = _ratio(square, curvature)
        v, residual = v + step * direction, residual - step * image
        new = residual.square().sum(-1, keepdim=True)
        direction = residual + _ratio(new, square) * direction
        square = new
    return v


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b where b is positive, else 0: a row that is solved has direction 0, and its step is 0, not 0/0."""
    return torch.where(b > 0, a / b.clamp_min(torch.finfo(b.dtype).tiny), 0.0)
