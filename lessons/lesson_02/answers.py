"""Answers to the exercises of lesson 02, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import numpy as np
import torch


def steps_by_measuring(eta, N, C):
    """Measure both factors on a made-up batch."""
    y, y_star = torch.randn(N, C, dtype=torch.float64), torch.randn(N, C, dtype=torch.float64)
    y.requires_grad_()
    (risk,) = torch.autograd.grad(((y - y_star) ** 2).sum(1).mul(0.5).mean(), y)
    (mse,) = torch.autograd.grad(torch.nn.functional.mse_loss(y, y_star), y)
    (total,) = torch.autograd.grad(((y - y_star) ** 2).sum() / 2, y)
    return eta * float(risk.norm() / mse.norm()), eta * float(risk.norm() / total.norm())


def excess_by_sums(theta, theta_true, S, sigma):
    d = (theta - theta_true).tolist()
    pairs = [(i, j) for i in range(len(d)) for j in range(len(d))]
    return sigma * sigma / 2 + sum(d[i] * float(S[i, j]) * d[j] for i, j in pairs) / 2


def gap_by_expectation(A, sigma):
    """Fresh minus fitted risk with the noise's covariance put in, term by term; f drops out."""
    N, eye = len(A), torch.eye(len(A), dtype=A.dtype)
    fitted = ((eye - A) ** 2).sum()
    fresh = (A**2).sum() + N
    return sigma**2 * (fresh - fitted) / (2 * N)


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_same_steps": (steps_by_measuring, lambda eta, N, C: [0.5 * C * eta, eta * N**-1]),
    "check_true_risk": (
        excess_by_sums,
        lambda t, u, S, s: 0.5 * torch.einsum("i,ij,j->", t - u, S, t - u) + 0.5 * s**2,
    ),
    "check_spread": (
        lambda losses: float(np.std(losses.numpy(), ddof=1)) / len(losses) ** 0.5,
        lambda losses: torch.sqrt(torch.var(losses) / losses.numel()),
    ),
    "check_expected_gap": (gap_by_expectation, lambda A, sigma: sigma * sigma * torch.linalg.eigvals(A).real.mean()),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_same_steps", "upside down", lambda eta, N, C: (eta / (C / 2), N * eta)),
    ("check_same_steps", "mean over the C outputs is missing", lambda eta, N, C: (0.5 * eta, eta / N)),
    ("check_same_steps", "missing ½ of mse_loss", lambda eta, N, C: (C * eta, eta / N)),
    ("check_same_steps", "multiplied by N", lambda eta, N, C: (C / 2 * eta, N * eta)),
    ("check_same_steps", "changed places", lambda eta, N, C: (eta / N, C / 2 * eta)),
    ("check_true_risk", "noise floor is missing", lambda t, u, S, s: (t - u) @ (S @ (t - u)) / 2),
    ("check_true_risk", "S is missing", lambda t, u, S, s: s**2 / 2 + torch.dot(t - u, t - u) / 2),
    ("check_true_risk", "½ of the loss is missing", lambda t, u, S, s: s**2 + (t - u) @ (S @ (t - u))),
    ("check_true_risk", "in front of the noise", lambda t, u, S, s: s**2 + (t - u) @ (S @ (t - u)) / 2),
    ("check_true_risk", "σ stands", lambda t, u, S, s: s / 2 + (t - u) @ (S @ (t - u)) / 2),
    ("check_spread", "spread of one loss", lambda losses: torch.sqrt(losses.var())),
    ("check_spread", "divided by N; a variance", lambda losses: torch.sqrt(losses.var()) / losses.numel()),
    ("check_spread", "its root", lambda losses: losses.std() ** 2 / losses.numel()),
    ("check_spread", "instead of N − 1", lambda losses: float(np.std(losses.numpy())) / len(losses) ** 0.5),
    ("check_spread", "mean has not been subtracted", lambda losses: ((losses**2).sum()) ** 0.5 / len(losses)),
    ("check_expected_gap", "half of what it should be", lambda A, s: s**2 / 2 * torch.diag(A).mean()),
    ("check_expected_gap", "1/N is missing", lambda A, s: s**2 * torch.diag(A).sum()),
    ("check_expected_gap", "σ stands", lambda A, s: s * torch.diag(A).mean()),
    ("check_expected_gap", "squares of A's entries", lambda A, s: s**2 * torch.trace(A.T @ A) / len(A)),
    ("check_expected_gap", "rank of A", lambda A, s: s**2 * torch.linalg.matrix_rank(A) / len(A)),
    ("check_expected_gap", "sign is wrong", lambda A, s: -(s**2) * torch.diag(A).mean()),
]
