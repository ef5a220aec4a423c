"""Losses ℓ, the empirical risk L_D, and the two ways to weigh two risks.

A loss maps a batch of predictions and labels to one number per example; the risk is its mean. Keeping the two apart
keeps the ½ of the loss and the 1/N of the risk visible.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from metautil.tasks import Data

Loss = Callable[[Tensor, Tensor], Tensor]
"""A loss: (predictions (N, ...), labels (N, ...)) → losses (N,)."""


def half_squared_error(y: Tensor, y_star: Tensor) -> Tensor:
    """ℓ(y, y*) = ½ Σ_c (y_c − y*_c)², formula (0.1); the ½ makes ∂ℓ/∂y = y − y*.

    Parameters
    ----------
    y, y_star : Tensor
        Predictions and labels of one shape, (..., N, C). A sum over the C outputs, not a mean:
        ``torch.nn.functional.mse_loss`` has no ½ and divides by C, so its gradient is 2/C times this one's.

    Returns
    -------
    Tensor
        Shape (..., N).

    Raises
    ------
    ValueError
        If the shapes differ: (N,) beside (N, 1) would broadcast to N × N differences without a word.
    """
    if y.shape != y_star.shape:
        remedy = (
            "For class numbers take half_squared_error_of_classes."
            if y_star.dtype == torch.int64
            else "Reshape the labels, for example with y_star.reshape(-1, 1)."
        )
        raise ValueError(
            f"Predictions have shape {tuple(y.shape)}, labels {tuple(y_star.shape)}; both must be (N, C). {remedy}"
        )
    return 0.5 * (y - y_star).square().sum(-1)


def cross_entropy(y: Tensor, y_star: Tensor) -> Tensor:
    """ℓ(y, y*) = −log softmax(y)_{y*}, formula (0.2): the negative log-probability of the true class.

    Parameters
    ----------
    y : Tensor
        Scores before the softmax, shape (..., N, C).
    y_star : Tensor
        Class numbers 0..C−1, int64, shape (..., N).

    Returns
    -------
    Tensor
        Shape (..., N).

    Raises
    ------
    ValueError
        If the labels are not whole numbers of shape (..., N) in 0..C−1.
    """
    _check_classes(y, y_star)
    return -y.log_softmax(-1).gather(-1, y_star.unsqueeze(-1)).squeeze(-1)


def half_squared_error_of_classes(y: Tensor, y_star: Tensor) -> Tensor:
    """ℓ(y, c) = ½ Σ_k (y_k − [k = c])², formula (7.3): `half_squared_error` against the one-hot vector of the true class.

    Shapes and errors are those of `cross_entropy`, so that either can be trained on the same data: outputs y (..., N, C), of
    which the best are 1 at the true class and 0 elsewhere, and class numbers y* (..., N) → (..., N).
    """
    _check_classes(y, y_star)
    return half_squared_error(y, F.one_hot(y_star, y.shape[-1]).to(y.dtype))


def empirical_risk(model: Callable[[Tensor, Tensor], Tensor], theta: Tensor, data: Data, loss: Loss) -> Tensor:
    """L_D(θ) = (1/N) Σ_i ℓ(M_θ(x_i), y_i), formula (0.3): the mean loss of M_θ on D.

    Parameters
    ----------
    model : callable
        (θ, x) → y.
    theta : Tensor
        Parameters, shape (p,).
    data : Data
        N ≥ 1 examples.
    loss : Loss
        One number per example.

    Returns
    -------
    Tensor
        A scalar, differentiable in ``theta``.

    Raises
    ------
    ValueError
        If the data set is empty (a mean of nothing is not a number).
    """
    if data.y.shape[0] == 0:
        raise ValueError("The data set is empty; the empirical risk is a mean over at least one example.")
    return loss(model(theta, data.x), data.y).mean()


def joint_risk(risk_D: Tensor, risk_T: Tensor, lam: float) -> Tensor:
    """L_D + λ L_T, formula (0.4). λ ≥ 0 trades the new task T against the data D; it is no regulariser.

    Raises ValueError if λ is negative or not a finite number.
    """
    check_weight(lam)
    return risk_D + lam * risk_T


def normalised_joint_risk(risk_D: Tensor, risk_T: Tensor, lam: float) -> Tensor:
    """(L_D + λ L_T) / (1 + λ), formula (0.5): the minimiser of `joint_risk`; its gradient stays bounded as λ grows.

    Under plain gradient descent this is `joint_risk` with the step size η / (1 + λ). The same λ raise ValueError.
    """
    check_weight(lam)
    return (risk_D + lam * risk_T) / (1 + lam)


def check_weight(lam: float) -> None:
    """Raise ValueError if ``lam`` cannot weigh a risk: λ must be a number ≥ 0."""
    if not 0 <= lam < float("inf"):  # NaN fails too
        raise ValueError(f"λ = {lam}; λ weighs a risk and must be a finite number ≥ 0.")


def _check_classes(y: Tensor, y_star: Tensor) -> None:
    """Raise ValueError if ``y_star`` (..., N) are no class numbers beside the scores ``y`` (..., N, C)."""
    if y_star.dtype != torch.int64 or y_star.shape != y.shape[:-1]:
        raise ValueError(
            f"Labels have shape {tuple(y_star.shape)} and type {y_star.dtype}; class numbers of type int64 and shape "
            f"{tuple(y.shape[:-1])} are expected beside scores of shape {tuple(y.shape)}."
        )
    if y_star.numel() and not 0 <= int(y_star.min()) <= int(y_star.max()) < y.shape[-1]:
        raise ValueError(
            f"Labels run from {int(y_star.min())} to {int(y_star.max())}; with {y.shape[-1]} scores per example they "
            f"must lie in 0..{y.shape[-1] - 1}."
        )
