"""Formulas of lesson 01, *Everything is a mapping*."""

from __future__ import annotations

import numpy as np
import torch
from torch.func import grad, jacrev, jvp

from lessons.shared.formulas import Formula, draw_network, nearly_equal, package_network, real, sizes
from metautil.models import Model
from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data
from metautil.updates import descend, sgd


def network_outputs(W1, b1, W2, b2, x, y_star):
    model, theta = package_network(W1, b1, W2, b2)
    return model(theta, x)


def head_after_features(W1, b1, W2, b2, x, y_star, features=np.tanh):
    W1, b1, W2, b2, x = (value.numpy() for value in (W1, b1, W2, b2, x))
    return np.array([W2.T @ features(W1.T @ row + b1) + b2 for row in x])


def draw_line_task(generator):
    """θ_0 (p,), support inputs (N, p) and labels (N,), query inputs (4, p)."""
    N, p = sizes(generator, 2)
    return real(generator, p), real(generator, N, p), real(generator, N), real(generator, 4, p)


def adapted(theta, x, y, query):
    """Predictions after six steps of the package's gradient descent."""

    def line(theta, x):
        return (x @ theta).unsqueeze(1)

    slope = grad(lambda theta: empirical_risk(line, theta, Data(x, y.unsqueeze(1)), half_squared_error))
    return line(descend(sgd(0.05), slope, theta, 6)[-1], query)[:, 0]


def adapted_loops(theta, x, y, query, fresh=True):
    theta, x, y, query = (value.numpy() for value in (theta, x, y, query))
    first = theta
    for _ in range(6):
        at = theta if fresh else first
        theta = theta - 0.05 * sum((row @ at - label) * row for row, label in zip(x, y, strict=True)) / len(y)
    return query @ theta


def draw_chain(generator):
    """Weights (m, n) and (k, m), a point (n,), a direction (n,) and a weighting of the outputs (k,)."""
    n, m, k = sizes(generator, 3)
    W, V = real(generator, m, n) / 2, real(generator, k, m) / 2
    return W, V, real(generator, n), real(generator, n), real(generator, k)


def chain(W, V):
    return lambda x: torch.sin(V @ torch.tanh(W @ x))


def by_parts(W, V, x, outer_at_value=True):
    """Jacobian of sin(V·) at tanh(Wx), times that of tanh(W·) at x, in numpy."""
    W, V, x = W.numpy(), V.numpy(), x.numpy()
    h = np.tanh(W @ x)
    at = h if outer_at_value else W @ x
    return (np.cos(V @ at)[:, None] * V) @ ((1 - h**2)[:, None] * W)


def quotient(W, V, x, v, width=1e-5, sided=1.0):
    W, V, x, v = W.numpy(), V.numpy(), x.numpy(), v.numpy()
    value = lambda x: np.sin(V @ np.tanh(W @ x))  # noqa: E731
    return (value(x + width * v) - value(x - width * v)) / (2 * width) * sided


FORMULAS = {
    "1.1": Formula(
        r"M_\theta = c_{\theta} \circ f_{\theta}, \qquad M_\theta(x) = c_{\theta}(f_{\theta}(x))",
        "definition", draw_network, network_outputs, head_after_features,
        lambda *arguments: head_after_features(*arguments, features=lambda h: h), Model,
    ),
    "1.2": Formula(
        r"\theta_{k+1} = \theta_k + U\!\left(\nabla \mathcal{L}_S(\theta_k)\right), \qquad A(S) = M_{\theta_K}",
        "update", draw_line_task, adapted, adapted_loops,
        lambda *arguments: adapted_loops(*arguments, fresh=False),
    ),
    "1.3": Formula(
        r"J_{g \circ f}(x) = J_g(f(x))\, J_f(x)",
        "gradient", draw_chain,
        lambda W, V, x, v, u: jacrev(chain(W, V))(x),
        lambda W, V, x, v, u: by_parts(W, V, x),
        lambda W, V, x, v, u: by_parts(W, V, x, outer_at_value=False),
    ),
    "1.4": Formula(
        r"J_f(x)\, v = \lim_{\epsilon \to 0} \frac{f(x + \epsilon v) - f(x - \epsilon v)}{2\epsilon}",
        "gradient", draw_chain,
        lambda W, V, x, v, u: jvp(chain(W, V), (x,), (v,))[1],
        lambda W, V, x, v, u: quotient(W, V, x, v),
        lambda W, V, x, v, u: quotient(W, V, x, v, sided=2.0), None, nearly_equal,
    ),
    "1.5": Formula(
        r"u^\top J_f(x) = \nabla_x \left( u^\top f(x) \right)^\top",
        "gradient", draw_chain,
        lambda W, V, x, v, u: grad(lambda x: u @ chain(W, V)(x))(x),
        lambda W, V, x, v, u: u.numpy() @ by_parts(W, V, x),
        lambda W, V, x, v, u: u.numpy() @ by_parts(W, V, x, outer_at_value=False),
    ),
}  # fmt: skip
