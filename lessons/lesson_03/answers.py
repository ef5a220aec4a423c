"""Answers to the exercises of lesson 03, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import torch


def line_by_loop(theta, x, y_star):
    total = torch.zeros_like(theta)
    for row, label in zip(x, y_star, strict=True):
        total += (row @ theta - label) * row
    return total / x.shape[0]


def line_by_autograd(theta, x, y_star):
    theta = theta.clone().requires_grad_()
    return torch.autograd.grad(((x @ theta - y_star) ** 2).mean() / 2, theta)[0]


def W1_by_autograd(x, y_star, W1, b1, W2, b2):
    W1 = W1.clone().requires_grad_()
    risk = 0.5 * ((torch.tanh(x @ W1 + b1) @ W2 + b2 - y_star) ** 2).sum() / x.shape[0]
    return torch.autograd.grad(risk, W1)[0]


def W1_by_einsum(x, y_star, W1, b1, W2, b2):
    h = torch.tanh(x @ W1 + b1)
    return torch.einsum("ni,nc,hc,nh->ih", x, h @ W2 + b2 - y_star, W2, 1 - h * h) / x.shape[0]


def W1_wrong(change):
    """The correct chain with one link exchanged."""

    def answer(x, y_star, W1, b1, W2, b2):
        a = x @ W1 + b1
        h, y = torch.tanh(a), torch.tanh(a) @ W2 + b2
        links = {"delta": y - y_star, "slope": 1 - h.pow(2), "count": x.shape[0]} | change(a, h, y, y_star)
        return x.t() @ ((links["delta"] @ W2.t()) * links["slope"]) / links["count"]

    return answer


def ball_in_one_line(gradient, velocity, eta, beta):
    return -eta * (gradient + beta * velocity), gradient + beta * velocity


def ball_with_list(gradient, velocity, eta, beta):
    new = torch.add(gradient, velocity, alpha=beta)
    return [new.mul(-eta), new]


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_line_gradient": (line_by_loop, line_by_autograd),
    "check_W1_gradient": (W1_by_autograd, W1_by_einsum),
    "check_largest_step": (
        lambda H: 2 / torch.linalg.svdvals(H)[0],
        lambda H: 2.0 / max(torch.linalg.eigvals(H).real.tolist()),
    ),
    "check_heavy_ball": (ball_in_one_line, ball_with_list),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_line_gradient", "½ of the loss is missing", lambda theta, x, y: 2 / len(y) * x.T @ (x @ theta - y)),
    ("check_line_gradient", "sum stands", lambda theta, x, y: x.t() @ (x @ theta - y)),
    ("check_line_gradient", "wrong sign", lambda theta, x, y: x.t() @ (y - x @ theta) / y.numel()),
    ("check_line_gradient", "factor x_i is missing", lambda theta, x, y: (x.mv(theta) - y) / y.numel()),
    ("check_line_gradient", "p parameters", lambda theta, x, y: x.t() @ (x.mv(theta) - y) / x.shape[1]),
    ("check_W1_gradient", "slope of tanh is missing", W1_wrong(lambda a, h, y, t: {"slope": 1.0})),
    ("check_W1_gradient", "it is 1 − h²", W1_wrong(lambda a, h, y, t: {"slope": 1 - a.pow(2)})),
    ("check_W1_gradient", "applied twice", W1_wrong(lambda a, h, y, t: {"slope": 1 - torch.tanh(h).pow(2)})),
    ("check_W1_gradient", "sum stands", W1_wrong(lambda a, h, y, t: {"count": 1})),
    ("check_W1_gradient", "½ of the loss is missing", W1_wrong(lambda a, h, y, t: {"delta": 2 * (y - t)})),
    ("check_W1_gradient", "divided by N·C", W1_wrong(lambda a, h, y, t: {"count": y.numel()})),
    ("check_W1_gradient", "mse_loss", W1_wrong(lambda a, h, y, t: {"delta": 2 * (y - t), "count": y.numel()})),
    ("check_heavy_ball", "another bookkeeping", lambda g, v, eta, beta: (beta * v - eta * g, beta * v - eta * g)),
    ("check_heavy_ball", "β is missing", lambda g, v, eta, beta: (-eta * (g + v), g + v)),
    ("check_largest_step", "This is 1/L", lambda H: 1 / torch.linalg.norm(H, 2)),
    ("check_largest_step", "smallest eigenvalue", lambda H: 2 * torch.linalg.norm(torch.linalg.inv(H), 2)),
    ("check_largest_step", "fastest step size",
     lambda H: 2 / (torch.linalg.eigvalsh(H)[0] + torch.linalg.eigvalsh(H)[-1])),
    ("check_largest_step", "trace", lambda H: 2 / torch.linalg.eigvalsh(H).sum()),
    ("check_largest_step", "diagonal entry", lambda H: 2 / torch.diag(H).max()),
    ("check_heavy_ball", "old velocity, so the newest", lambda g, v, eta, beta: (-eta * v, g + beta * v)),
    ("check_heavy_ball", "weighted by 1 − β",
     lambda g, v, eta, beta: (-eta * v.lerp(g, 1 - beta), v.lerp(g, 1 - beta))),
    ("check_heavy_ball", "Nesterov",
     lambda g, v, eta, beta: (-eta * g - eta * beta * (beta * v + g), beta * v + g)),
    ("check_heavy_ball", "η has been applied twice",
     lambda g, v, eta, beta: (-eta * (beta * v + eta * g), beta * v + eta * g)),
    ("check_heavy_ball", "remembers nothing", lambda g, v, eta, beta: (-eta * (beta * v + g), v)),
    ("check_heavy_ball", "it climbs", lambda g, v, eta, beta: (eta * (beta * v + g), beta * v + g)),
    ("check_heavy_ball", "changed places", lambda g, v, eta, beta: (beta * v + g, -eta * (beta * v + g))),
]  # fmt: skip
