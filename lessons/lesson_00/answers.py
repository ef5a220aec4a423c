"""Answers to the exercises of lesson 00, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def risk_by_loop(y, y_star):
    return sum(0.5 * torch.dot(a - b, a - b) for a, b in zip(y, y_star, strict=True)) / y.shape[0]


def risk_by_mse(y, y_star):
    return F.mse_loss(y, y_star) * y.shape[1] / 2


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_risk": (risk_by_loop, risk_by_mse),
    "check_objective": (
        lambda risk_D, risk_T, lam: risk_D / (1 + lam) + risk_T * lam / (1 + lam),
        lambda risk_D, risk_T, lam: risk_D + (risk_T - risk_D) * lam / (1 + lam),
    ),
    "check_reported": (
        lambda validation, test: test[int(validation.topk(1).indices)],
        lambda validation, test: max(zip(validation.tolist(), test.tolist(), strict=True))[1],
    ),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_risk", "½ of the loss is missing", lambda y, t: (y - t).pow(2).sum(dim=1).mean()),
    ("check_risk", "sum over the examples", lambda y, t: 0.5 * (y - t).pow(2).sum()),
    ("check_risk", "outputs are averaged", lambda y, t: 0.5 * F.mse_loss(y, t)),
    ("check_risk", "mse_loss", lambda y, t: F.mse_loss(y, t)),
    ("check_risk", "square root", lambda y, t: ((y - t).pow(2).sum(1) / 2).mean() ** 0.5),
    ("check_objective", "not divided by 1 + λ", lambda a, b, lam: a + lam * b),
    ("check_objective", "bracket is missing", lambda a, b, lam: a + (lam * b) / (1 + lam)),
    ("check_objective", "λ weighs D", lambda a, b, lam: (b + lam * a) / (1 + lam)),
    ("check_objective", "turns negative", lambda a, b, lam: a - lam * a + lam * b),
    ("check_objective", "divided by λ", lambda a, b, lam: a / lam + b),
    ("check_reported", "chosen on the test scans", lambda v, t: t.sort().values[-1]),
    ("check_reported", "validation accuracy itself", lambda v, t: v.sort().values[-1]),
    ("check_reported", "roles are swapped", lambda v, t: v[int(t.argmax())]),
    ("check_reported", "position of the best λ", lambda v, t: int(v.argmax())),
    ("check_reported", "mean over all λ", lambda v, t: t.sum() / t.numel()),
    ("check_reported", "worst λ", lambda v, t: t[v.argsort()[0]]),
]  # fmt: skip
