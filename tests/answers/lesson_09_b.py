"""Answers to the exercises of lesson 09, part B, right and wrong, as learners would write them."""

from __future__ import annotations

import torch


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
    "check_weighted_error": (weighted_by_blend, weighted_by_newton),
    "check_floor": (floor_by_normal_equations, floor_by_descent),
    "check_small_step": (small_by_autograd, small_expanded),
    "check_kernel_step": (kernel_by_loops, kernel_by_parameters),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
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
