"""Answers to the exercises of lesson 04, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import torch


def joint_by_rows(x_D, y_D, x_T, y_T, lam):
    a, b = len(x_D) ** -0.5, (lam / len(x_T)) ** 0.5
    rows, labels = torch.cat([a * x_D, b * x_T]), torch.cat([a * y_D, b * y_T])
    return torch.linalg.lstsq(rows, labels[:, None]).solution[:, 0]


def joint_by_newton(x_D, y_D, x_T, y_T, lam):
    def risk(theta):
        return ((x_D @ theta - y_D) ** 2).mean() / 2 + lam * ((x_T @ theta - y_T) ** 2).mean() / 2

    zero = torch.zeros(x_D.shape[1], dtype=x_D.dtype)
    return -torch.linalg.inv(torch.func.hessian(risk)(zero)) @ torch.func.grad(risk)(zero)


def joint_wrong(change):
    def answer(x_D, y_D, x_T, y_T, lam):
        n, m = len(x_D), len(x_T)
        weights = {"D": 1 / n, "T": lam / m, "bT": lam / m} | change(n, m, lam)
        H = weights["D"] * x_D.t().mm(x_D) + weights["T"] * x_T.t().mm(x_T)
        return torch.linalg.inv(H).mv(weights["D"] * x_D.t().mv(y_D) + weights["bT"] * x_T.t().mv(y_T))

    return answer


def averaged(x_D, y_D, x_T, y_T, lam):
    first, second = (torch.linalg.lstsq(x, y[:, None]).solution[:, 0] for x, y in ((x_D, y_D), (x_T, y_T)))
    return first / (1 + lam) + second * lam / (1 + lam)


def limit_by_weight(H_D, b_D, H_T, b_T, eta, lam):
    w = lam / eta
    return torch.linalg.inv(H_D + w * H_T) @ (b_D + w * b_T)


def limit_by_walking(H_D, b_D, H_T, b_T, eta, lam):
    scale = 1 / torch.linalg.matrix_norm(eta * H_D + lam * H_T, 2)
    theta = torch.zeros_like(b_D)
    for _ in range(1500):
        theta = theta - scale * (eta * (H_D @ theta - b_D) + lam * (H_T @ theta - b_T))
    return theta


def limit_wrong(change):
    def answer(H_D, b_D, H_T, b_T, eta, lam):
        D, T, bD = change(eta, lam)
        return torch.linalg.inv(D * H_D + T * H_T).mv(bD * b_D + T * b_T)

    return answer


def stable_by_loop(H_D, H_T, etas, lams):
    found = []
    for eta, lam in zip(etas, lams, strict=True):
        factors = 1 - torch.linalg.eigvalsh(eta * H_D + lam * H_T)
        found.append(bool(factors.abs().max() < 1))
    return torch.tensor(found)


def stable_by_norm(H_D, H_T, etas, lams):
    sums = torch.einsum("n,ij->nij", etas, H_D) + torch.einsum("n,ij->nij", lams, H_T)
    return torch.linalg.matrix_norm(sums, 2) < 2


def norm(H):
    return torch.linalg.norm(H, 2)


def stable_wrong(verdict):
    def answer(H_D, H_T, etas, lams):
        return torch.stack([verdict(H_D, H_T, eta, lam) for eta, lam in zip(etas, lams, strict=True)])

    return answer


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_printed_lam": (lambda lam, eta: torch.tensor(lam) * eta, lambda lam, eta: 1 / (1 / lam / eta)),
    "check_joint_minimiser": (joint_by_rows, joint_by_newton),
    "check_printed_limit": (limit_by_weight, limit_by_walking),
    "check_printed_is_stable": (stable_by_loop, stable_by_norm),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_printed_lam", "handed on unchanged", lambda lam, eta: lam),
    ("check_printed_lam", "This is λ/η", lambda lam, eta: lam * eta**-1),
    ("check_printed_lam", "this is η/λ", lambda lam, eta: eta * lam**-1),
    ("check_printed_lam", "weighted mean's step size", lambda lam, eta: eta / (lam + 1)),
    ("check_joint_minimiser", "Sums stand", joint_wrong(lambda n, m, lam: {"D": 1, "T": lam, "bT": lam})),
    ("check_joint_minimiser", "weighs D instead",
     joint_wrong(lambda n, m, lam: {"D": lam / n, "T": 1 / m, "bT": 1 / m})),
    ("check_joint_minimiser", "λ is missing", joint_wrong(lambda n, m, lam: {"T": 1 / m, "bT": 1 / m})),
    ("check_joint_minimiser", "not b_T", joint_wrong(lambda n, m, lam: {"bT": 1 / m})),
    ("check_joint_minimiser", "averages the two", averaged),
    ("check_printed_limit", "derived rule ends", limit_wrong(lambda eta, lam: (1, lam, 1))),
    ("check_printed_limit", "upside down", limit_wrong(lambda eta, lam: (lam, eta, lam))),
    ("check_printed_limit", "weighed by ηλ", limit_wrong(lambda eta, lam: (1, eta * lam, 1))),
    ("check_printed_limit", "T alone", lambda H_D, b_D, H_T, b_T, eta, lam: torch.linalg.inv(H_T) @ b_T),
    ("check_printed_limit", "not its vector", limit_wrong(lambda eta, lam: (eta, lam, 1))),
    ("check_printed_is_stable", "not sufficient", stable_wrong(lambda H_D, H_T, eta, lam: lam * norm(H_T) < 2)),
    ("check_printed_is_stable", "the derived rule",
     stable_wrong(lambda H_D, H_T, eta, lam: norm(eta * H_D + eta * lam * H_T) < 2)),
    ("check_printed_is_stable", "can still diverge",
     stable_wrong(lambda H_D, H_T, eta, lam: (eta * norm(H_D) < 2) & (lam * norm(H_T) < 2))),
    ("check_printed_is_stable", "too strict where",
     stable_wrong(lambda H_D, H_T, eta, lam: eta * norm(H_D) + lam * norm(H_T) < 2)),
    ("check_printed_is_stable", "set at 1", stable_wrong(lambda H_D, H_T, eta, lam: norm(eta * H_D + lam * H_T) < 1)),
    ("check_printed_is_stable", "trace", stable_wrong(lambda H_D, H_T, eta, lam: (eta * H_D + lam * H_T).trace() < 2)),
]  # fmt: skip
