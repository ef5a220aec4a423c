"""Answers to the exercises of lesson 11, right and wrong, as learners would write them; none is taken from the package."""

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


def weighted_by_blend(mean, wave, lam):
    share = lam / (1 + lam)
    return torch.mean((mean * (1 - share) + wave * share - wave) ** 2)


def weighted_by_newton(mean, wave, lam):
    def risk(f):
        return ((f - mean) ** 2).sum() / 2 + lam * ((f - wave) ** 2).sum() / 2

    zero = torch.zeros_like(mean)
    best = -torch.linalg.solve(torch.func.hessian(risk)(zero), torch.func.grad(risk)(zero))
    return ((best - wave) ** 2).mean()


def columns(x, *functions):
    return torch.stack([function(x) for function in functions], dim=1)


def floor_by_normal_equations(x, y, x_query):
    Z = columns(x, torch.cos, torch.sin)
    return columns(x_query, torch.cos, torch.sin) @ torch.linalg.inv(Z.T @ Z) @ Z.T @ y


def floor_by_descent(x, y, x_query):
    Z, c = columns(x, torch.sin, torch.cos), torch.zeros(2, dtype=x.dtype)
    for _ in range(4000):
        c = c - 0.5 * Z.T @ (Z @ c - y) / len(y)
    return columns(x_query, torch.sin, torch.cos) @ c


def fitted(*functions):
    def answer(x, y, x_query):
        Z = columns(x, *functions)
        return columns(x_query, *functions) @ (torch.linalg.pinv(Z) @ y)

    return answer


def projected(x, y, x_query):
    a, b = (y * x.sin()).mean() * 2, (y * x.cos()).mean() * 2
    return a * x_query.sin() + b * x_query.cos()


def small_by_autograd(u, v, c, alpha):
    theta = torch.tensor([u, v], dtype=torch.float64)
    step = torch.func.grad(lambda theta: 0.5 * (theta.prod() - c) ** 2)(theta)
    return (theta - alpha * step).prod()


def small_expanded(u, v, c, alpha):
    r = u * v - c
    return u * v - alpha * (u**2 + v**2) * r + alpha**2 * u * v * r**2


def small_in_turn(u, v, c, alpha):
    u = u - alpha * v * (u * v - c)
    v = v - alpha * u * (u * v - c)
    return u * v


def small_wrong(move_u, move_v):
    def answer(u, v, c, alpha):
        r = alpha * (u * v - c)
        return (u - move_u(u, v) * r) * (v - move_v(u, v) * r)

    return answer


def kernel_by_loops(J_query, J_support, f_query, f_support, y, alpha):
    moved = f_query.clone()
    for i in range(len(y)):
        k = (J_query * J_support[i]).sum(1)
        moved = moved - alpha * k * (f_support[i] - y[i]) / len(y)
    return moved


def kernel_by_parameters(J_query, J_support, f_query, f_support, y, alpha):
    gradient = torch.einsum("ip,i->p", J_support, f_support - y) / len(y)
    return f_query + torch.einsum("mp,p->m", J_query, -alpha * gradient)


def kernel_wrong(scale=lambda n: 1 / n, errors=lambda f, y: y - f, keep=1):
    def answer(J_query, J_support, f_query, f_support, y, alpha):
        k = J_query.mm(J_support.t())
        return keep * f_query + alpha * scale(len(y)) * k.mv(errors(f_support, y))

    return answer


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_adapted_risk": (risk_by_loop, risk_by_eigenvalues),
    "check_meta_gradient": (meta_by_autograd, meta_by_jacobian),
    "check_implicit_gradient": (implicit_by_inverse, implicit_by_iteration),
    "check_best_start": (start_by_newton, start_by_loop),
    "check_weighted_error": (weighted_by_blend, weighted_by_newton),
    "check_floor": (floor_by_normal_equations, floor_by_descent),
    "check_small_step": (small_by_autograd, small_expanded),
    "check_kernel_step": (kernel_by_loops, kernel_by_parameters),
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
    ("check_weighted_error", "instead of the new one",
     lambda mean, wave, lam: ((mean - wave) * lam / (1 + lam)).pow(2).mean()),
    ("check_weighted_error", "not divided", lambda mean, wave, lam: (mean + (lam - 1) * wave).pow(2).mean()),
    ("check_weighted_error", "square of that", lambda mean, wave, lam: ((mean - wave) ** 2 / (1 + lam)).mean()),
    ("check_weighted_error", "½ of the loss",
     lambda mean, wave, lam: 0.5 * ((mean - wave) ** 2).mean() / (1 + lam) ** 2),
    ("check_weighted_error", "added up", lambda mean, wave, lam: ((mean - wave) ** 2).sum() / (1 + lam) ** 2),
    ("check_floor", "Only sin x", fitted(torch.sin)),
    ("check_floor", "Only cos x", fitted(torch.cos)),
    ("check_floor", "a constant", fitted(torch.cos, torch.sin, torch.ones_like)),
    ("check_floor", "straight line", fitted(torch.ones_like, lambda x: x)),
    ("check_floor", "projections", projected),
    ("check_small_step", "α² is missing",
     lambda u, v, c, alpha: u * v - alpha * (u * v - c) * u**2 - alpha * (u * v - c) * v**2),
    ("check_small_step", "at the new u", small_in_turn),
    ("check_small_step", "uphill", small_wrong(lambda u, v: -v, lambda u, v: -u)),
    ("check_small_step", "factor 2", small_wrong(lambda u, v: 2 * v, lambda u, v: 2 * u)),
    ("check_small_step", "swapped", small_wrong(lambda u, v: u, lambda u, v: v)),
    ("check_small_step", "Only u", small_wrong(lambda u, v: v, lambda u, v: 0)),
    ("check_kernel_step", "added up", kernel_wrong(scale=lambda n: 1)),
    ("check_kernel_step", "sign is wrong", kernel_wrong(errors=lambda f, y: f - y)),
    ("check_kernel_step", "factor 2", kernel_wrong(scale=lambda n: 2 / n)),
    ("check_kernel_step", "labels have been spread", kernel_wrong(errors=lambda f, y: y)),
    ("check_kernel_step", "change alone", kernel_wrong(keep=0)),
]  # fmt: skip
