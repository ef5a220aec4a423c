"""Tasks whose risks are bowls: what two parameters can show of learning to adapt."""

from __future__ import annotations

import torch
from torch import Tensor

from metautil.tasks import Data, Task


def quadratics(curvatures: Tensor, optima: Tensor) -> Task:
    """T tasks with the risks L_t(θ) = ½ (θ − c_t)ᵀ A_t (θ − c_t), as linear regression, lesson 11.

    A quadratic is the risk of y = xθ under `half_squared_error` where a task chooses its inputs: with A = CCᵀ
    (Cholesky) and the p rows X = √p Cᵀ, XᵀX/p = A; the labels are Xc. Support and query set are the same.

    Parameters
    ----------
    curvatures : Tensor
        A_t, symmetric and positive definite, shape (T, p, p).
    optima : Tensor
        c_t, shape (T, p).

    Returns
    -------
    Task
        A batch of T tasks; x has shape (T, p, p), y (T, p, 1).

    Raises
    ------
    ValueError
        If the shapes do not fit, or a matrix is not symmetric and positive definite.
    """
    if curvatures.shape != (*optima.shape, optima.shape[-1]) or optima.dim() != 2:
        raise ValueError(
            f"curvatures has shape {tuple(curvatures.shape)} and optima {tuple(optima.shape)}; (T, p, p) and (T, p) "
            f"are expected."
        )
    factors, failed = torch.linalg.cholesky_ex(curvatures)
    broken = (failed > 0) | ~torch.isclose(curvatures, curvatures.mT).all(-1).all(-1)
    if broken.any():
        raise ValueError(
            f"The matrix of task {int(broken.nonzero()[0])} is not symmetric and positive definite, so that its risk is "
            f"no bowl: {curvatures[broken][0].tolist()}."
        )
    x = curvatures.shape[-1] ** 0.5 * factors.mT
    data = Data(x, x @ optima.unsqueeze(-1))
    return Task(data, data)
