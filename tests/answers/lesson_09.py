"""Answers to the exercises of lesson 09, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import torch
from torch.func import grad, hessian


def bowl_risk(A, c, theta):
    return (theta - c) @ A @ (theta - c) / 2


def walked(A, c, theta, alpha, K, sign=1):
    for _ in range(K):
        theta = theta - sign * alpha * A @ (theta - c)
    return theta


def risk_by_loop(A, c, phi, alpha, K):
    return bowl_risk(A, c, walked(A, c, phi, alpha, K))


def risk_by_eigenvalues(A, c, phi, alpha, K):
    a, axes = torch.linalg.eigh(A)
    return (a * (1 - alpha * a) ** (2 * K) * (axes.T @ (phi - c)) ** 2).sum() / 2


def one_long_step(A, c, phi, alpha, K):
    return bowl_risk(A, c, phi - alpha * K * A @ (phi - c))


def entrywise(A, c, phi, alpha, K):
    factor = torch.eye(len(c), dtype=A.dtype) - alpha * A
    return bowl_risk(A, 0 * c, torch.pow(factor, K) @ (phi - c))


def meta_by_autograd(A_S, c_S, A_Q, c_Q, phi, alpha):
    return grad(lambda phi: bowl_risk(A_Q, c_Q, walked(A_S, c_S, phi, alpha, 1)))(phi)


def meta_by_jacobian(A_S, c_S, A_Q, c_Q, phi, alpha):
    jacobian = torch.func.jacrev(lambda phi: walked(A_S, c_S, phi, alpha, 1))(phi)
    return jacobian.T @ A_Q.mv(walked(A_S, c_S, phi, alpha, 1) - c_Q)


def meta_wrong(point, jacobian):
    def answer(A_S, c_S, A_Q, c_Q, phi, alpha):
        theta = walked(A_S, c_S, phi, alpha, 1) if point == "adapted" else phi
        return jacobian(torch.eye(len(phi), dtype=A_S.dtype), A_S, A_Q, alpha) @ (A_Q @ (theta - c_Q))

    return answer


def swapped(A_S, c_S, A_Q, c_Q, phi, alpha):
    identity = torch.eye(len(phi), dtype=A_S.dtype)
    return A_Q @ (identity - alpha * A_S) @ (walked(A_S, c_S, phi, alpha, 1) - c_Q)


def implicit_by_inverse(H, g, lam):
    return torch.linalg.inv(torch.eye(len(g), dtype=H.dtype) + H / lam) @ g


def implicit_by_iteration(H, g, lam):
    """v ← g − Hv/λ diverges for a loose spring; damped it does not."""
    v = torch.zeros_like(g)
    for _ in range(400):
        v = v + 0.3 * (g - v - H @ v / lam)
    return v


def implicit_wrong(matrix, factor=lambda lam: 1.0):
    def answer(H, g, lam):
        return factor(lam) * torch.linalg.inv(matrix(torch.eye(len(g), dtype=H.dtype), H, lam)) @ g

    return answer


def start_by_newton(A, c, alpha, K):
    def mean_risk(phi):
        ends = (bowl_risk(a, m, walked(a, m, phi, alpha, K)) for a, m in zip(A, c, strict=True))
        return sum(ends) / len(c)

    zero = torch.zeros_like(c[0])
    return -torch.linalg.inv(hessian(mean_risk)(zero)) @ grad(mean_risk)(zero)


def start_by_loop(A, c, alpha, K):
    total, pull = 0, 0
    for a, m in zip(A, c, strict=True):
        values, axes = torch.linalg.eigh(a)
        W = axes @ torch.diag(values * (1 - alpha * values) ** (2 * K)) @ axes.T
        total, pull = total + W, pull + W @ m
    return torch.linalg.inv(total) @ pull


def start_wrong(weight):
    def answer(A, c, alpha, K):
        values, axes = torch.linalg.eigh(A)
        W = axes @ torch.diag_embed(weight(values, alpha, K)) @ axes.mT
        return torch.linalg.inv(W.sum(0)) @ torch.einsum("tij,tj->i", W, c)

    return answer


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_adapted_risk": (risk_by_loop, risk_by_eigenvalues),
    "check_meta_gradient": (meta_by_autograd, meta_by_jacobian),
    "check_implicit_gradient": (implicit_by_inverse, implicit_by_iteration),
    "check_best_start": (start_by_newton, start_by_loop),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_adapted_risk", "nothing has adapted", lambda A, c, phi, alpha, K: bowl_risk(A, c, phi)),
    ("check_adapted_risk", "½ of the risk", lambda A, c, phi, alpha, K: 2 * risk_by_loop(A, c, phi, alpha, K)),
    ("check_adapted_risk", "One step has been taken", lambda A, c, phi, alpha, K: risk_by_loop(A, c, phi, alpha, 1)),
    ("check_adapted_risk", "steps are added up", one_long_step),
    ("check_adapted_risk", "entry by entry", entrywise),
    ("check_adapted_risk", "uphill", lambda A, c, phi, alpha, K: bowl_risk(A, c, walked(A, c, phi, alpha, K, -1))),
    ("check_meta_gradient", "FOMAML", meta_wrong("adapted", lambda one, A_S, A_Q, alpha: one)),
    ("check_meta_gradient", "Hessian of the query risk",
     meta_wrong("adapted", lambda one, A_S, A_Q, alpha: one - alpha * A_Q)),
    ("check_meta_gradient", "gradient is taken at φ", meta_wrong("φ", lambda one, A_S, A_Q, alpha: one - alpha * A_S)),
    ("check_meta_gradient", "nothing adapts", meta_wrong("φ", lambda one, A_S, A_Q, alpha: one)),
    ("check_meta_gradient", "wrong order", swapped),
    ("check_implicit_gradient", "λ multiplies the Hessian", implicit_wrong(lambda one, H, lam: one + lam * H)),
    ("check_implicit_gradient", "A factor λ is missing", implicit_wrong(lambda one, H, lam: H + lam * one)),
    ("check_implicit_gradient", "λ does not occur", implicit_wrong(lambda one, H, lam: one + H)),
    ("check_implicit_gradient", "g itself", lambda H, g, lam: 1.0 * g),
    ("check_implicit_gradient", "multiplies instead", lambda H, g, lam: (lam * g + H @ g) / lam),
    ("check_implicit_gradient", "one explicit step", lambda H, g, lam: (lam * g - H @ g) / lam),
    ("check_best_start", "joint training's point", start_wrong(lambda a, alpha, K: a)),
    ("check_best_start", "FOMAML's point", start_wrong(lambda a, alpha, K: a * (1 - alpha * a) ** K)),
    ("check_best_start", "Reptile's point", start_wrong(lambda a, alpha, K: 1 - (1 - alpha * a) ** K)),
    ("check_best_start", "plain mean", lambda A, c, alpha, K: c.sum(0) / len(c)),
    ("check_best_start", "of one step", start_wrong(lambda a, alpha, K: a * (1 - alpha * a) ** 2)),
]  # fmt: skip
