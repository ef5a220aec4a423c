"""Formulas of lesson 03, *The gradient update*."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch.func import grad

from lessons.shared.formulas import (
    Formula,
    at_most,
    draw_network,
    draw_pair,
    equal,
    nearly_equal,
    numpy_network,
    package_network,
    positive,
    real,
    sizes,
)
from metautil.gradients import central_differences
from metautil.models import mlp
from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data
from metautil.updates import descend, momentum, sgd


def draw_line(generator):
    N, p = sizes(generator, 2)
    return real(generator, p), real(generator, N, p), real(generator, N)


def draw_parabola(generator):
    return (*positive(generator, 2).tolist(), real(generator, 1).item())


def draw_matrix(generator):
    (p,) = sizes(generator, 1)
    root = real(generator, p, p)
    return root @ root.T + 0.1 * torch.eye(p, dtype=torch.float64), real(generator, p)


def draw_curvatures(generator):
    """Curvatures in ascending order, (12,), with a condition number well above 1."""
    return (torch.sort(positive(generator, 12) ** 2).values.numpy() + 0.01,)


def network_autograd(W1, b1, W2, b2, x, y_star):
    """Gradient by (W1, b1, W2, b2) of the mean of ½ Σ (y − y*)², by torch alone."""

    def risk(W1, b1, W2, b2):
        return (torch.tanh(x @ W1 + b1) @ W2 + b2 - y_star).square().sum(1).div(2).mean()

    return grad(risk, argnums=(0, 1, 2, 3))(W1, b1, W2, b2)


def head_gradients(*arguments, factor=1.0):
    h, delta, _, _ = numpy_network(*arguments)
    N = len(h)
    by_W2 = sum(np.outer(h[i], delta[i]) for i in range(N)) / N * factor
    return np.concatenate([by_W2.ravel(), sum(delta) / N])


def hidden_gradients(*arguments, slope=lambda h: 1 - h**2):
    h, delta, W2, x = numpy_network(*arguments)
    N = len(h)
    epsilon = [(delta[i] @ W2.T) * slope(h[i]) for i in range(N)]
    by_W1 = sum(np.outer(x[i], epsilon[i]) for i in range(N)) / N
    return np.concatenate([by_W1.ravel(), sum(epsilon) / N])


def line_loops(theta, x, y_star, count=None):
    total = 0.0
    for row, label in zip(x.tolist(), y_star.tolist(), strict=True):
        total += 0.5 * (sum(a * b for a, b in zip(row, theta.tolist(), strict=True)) - label) ** 2
    return total / (count or len(y_star))


def line_risk(theta, x, y_star):
    return empirical_risk(
        lambda theta, x: (x @ theta).unsqueeze(1), theta, Data(x, y_star.unsqueeze(1)), half_squared_error
    )


def line_sums(theta, x, y_star, scale=1.0):
    theta, x, y_star = theta.numpy(), x.numpy(), y_star.numpy()
    N = len(y_star)
    by_sum = sum((x[i] @ theta - y_star[i]) * x[i] for i in range(N)) / N
    by_matrix = x.T @ (x @ theta - y_star) / N
    return scale * np.concatenate([by_sum, by_matrix])


def smooth(theta):
    return (theta**3).sum() + (theta[0] * theta[1]).sin()


def one_by_one(function, theta, width, sided=False):
    values = []
    for j in range(len(theta)):
        up, down = theta.clone(), theta.clone()
        up[j] += width
        down[j] -= 0 if sided else width
        values.append((function(up).item() - function(down).item()) / (width if sided else 2 * width))
    return values


SHARES = (0.1, 0.5, 1.0, 1.5, 2.0, 2.5)


def top_eigenvector(H):
    return torch.linalg.eigh(H)[1][:, -1]


def after_steps(H, theta):
    """Risk after a step of every share from θ, from the top eigenvector, and on the non-convex Σ cos θ_j, whose L is 1."""
    bowl = [risk_after_step(H, start, share) for start in (theta, top_eigenvector(H)) for share in SHARES]
    waves = [(theta + sgd(share)(-theta.sin(), ())[0]).cos().sum().item() for share in SHARES]
    return bowl + waves


def bounds(H, theta, curvature_term=0.5):
    """The bound (3.9) for each entry of `after_steps`."""
    top = torch.from_numpy(np.linalg.eigh(H.numpy())[1][:, -1])
    bowl = [bowl_values(H, start, share, curvature_term) for start in (theta, top) for share in SHARES]
    point = theta.numpy()
    waves = [np.cos(point).sum() - eta * (1 - curvature_term * eta) * (np.sin(point) ** 2).sum() for eta in SHARES]
    return bowl + waves


def bounded_and_tight(left, right):
    """left ≤ right everywhere, and equal along the top eigenvector: no smaller bound would hold."""
    along = slice(len(SHARES), 2 * len(SHARES))
    return at_most(left, right) and equal(left[along], right[along])


def bowl_values(H, theta, share, curvature_term=0.5):
    """Both sides of (3.9) on ½θᵀHθ at η = share/L: (risk after the step, bound)."""
    H, theta = H.numpy(), theta.numpy()
    L = np.linalg.eigvalsh(H)[-1]
    risk, slope = lambda t: 0.5 * t @ H @ t, H @ theta
    eta = share / L
    return risk(theta) - eta * (1 - curvature_term * eta * L) * slope @ slope


def risk_after_step(H, theta, share):
    eta = share / torch.linalg.eigvalsh(H)[-1].item()
    after = theta + sgd(eta)(H @ theta, ())[0]
    return (0.5 * after @ H @ after).item()


def converges(L, _, start, factor=2.0):
    """For step sizes around the border: does a long path shrink?"""
    return [eta < factor / L for eta in np.array([0.05, 0.5, 0.95, 1.05, 1.5, 1.95, 2.05, 3.0]) / L]


def simulated(L, _, start):
    verdicts = []
    for eta in np.array([0.05, 0.5, 0.95, 1.05, 1.5, 1.95, 2.05, 3.0]) / L:
        path = descend(sgd(float(eta)), lambda theta: L * theta, torch.tensor([start], dtype=torch.float64), 400)
        verdicts.append(bool(path[-1].abs() < 1e-6 * abs(start)))
    return verdicts


def along_eigenvectors(H, start):
    eta = 1.5 / torch.linalg.eigvalsh(H)[-1].item()
    path = descend(sgd(eta), lambda theta: H @ theta, start, 6)
    return path.numpy() @ np.linalg.eigh(H.numpy())[1]


def along_closed_form(H, start, reverse=False):
    curvatures, vectors = np.linalg.eigh(H.numpy())
    eta, a_0 = 1.5 / curvatures[-1], start.numpy() @ vectors
    curvatures = curvatures[::-1] if reverse else curvatures
    return [(1 - eta * curvatures) ** k * a_0 for k in range(7)]


def searched_step(curvatures):
    found = minimize_scalar(
        lambda eta: np.abs(1 - eta * curvatures).max(),
        bounds=(0, 2 / curvatures[-1]),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return [found.x, found.fun]


def best_step(curvatures, extra=1.0):
    low, high = curvatures[0], curvatures[-1]
    return [2 / (extra * low + high), (high / low - 1) / (high / low + 1)]


def heavy_ball_radius(curvatures, eta, beta):
    """Long-run factor of the package's rule: largest eigenvalue of the map (θ, v) → (θ, v) that it applies on ½cθ²."""
    rule, radii = momentum(eta, beta), []
    for c in curvatures:
        columns = []
        for theta, velocity in torch.eye(2, dtype=torch.float64):
            step, velocity = rule(c * theta, velocity)
            columns.append([float(theta + step), float(velocity)])
        radii.append(np.abs(np.linalg.eigvals(np.array(columns).T)).max())
    return max(radii)


def best_ball(curvatures):
    """Radius at the formula's (η, β); 1 in its place if a nearby pair does better."""
    low, high = curvatures[0], curvatures[-1]
    eta = 4 / (math.sqrt(high) + math.sqrt(low)) ** 2
    beta = ((math.sqrt(high / low) - 1) / (math.sqrt(high / low) + 1)) ** 2
    here = heavy_ball_radius(curvatures, eta, beta)
    rng = np.random.default_rng(0)
    for scale in (0.003, 0.03, 0.3):
        for bend in rng.normal(size=(40, 2)):
            other = heavy_ball_radius(
                curvatures, eta * math.exp(scale * bend[0]), min(beta * math.exp(scale * bend[1]), 0.999)
            )
            if other < here - 1e-6:
                return 1.0
    return here


def constant_pull(rule, gradients):
    theta = torch.zeros(len(gradients[0]), dtype=torch.float64)
    state, path = rule.init(theta), []
    for gradient in gradients:
        step, state = rule(gradient, state)
        theta = theta + step
        path.append(theta)
    return torch.stack(path)


def ball_loops(gradients, eta, beta, fresh=1.0):
    theta, v, path = np.zeros(len(gradients[0])), np.zeros(len(gradients[0])), []
    for g in gradients.numpy():
        v = beta * v + fresh * g
        theta = theta - eta * v
        path.append(theta)
    return path


def draw_gradients(generator):
    return real(generator, 5, 3), 0.3, 0.8


FORMULAS = {
    "3.1": Formula(
        r"\mathcal{L}_D(\theta) = \frac{1}{N} \sum_{i=1}^{N} \tfrac{1}{2} \left( x_i \theta - y_i^* \right)^2",
        "definition", draw_line, line_risk, line_loops,
        lambda *arguments: line_loops(*arguments, count=1), empirical_risk,
    ),
    "3.2": Formula(
        r"\frac{\partial \ell}{\partial y} = y - y^*",
        "gradient", draw_pair,
        lambda y, y_star: grad(lambda y: half_squared_error(y, y_star).sum())(y),
        lambda y, y_star: y.numpy() - y_star.numpy(),
        lambda y, y_star: 2 * (y.numpy() - y_star.numpy()),
    ),
    "3.3": Formula(
        r"\nabla \mathcal{L}_D(\theta) = \frac{1}{N} \sum_{i=1}^{N} (x_i\theta - y_i^*)\, x_i^\top"
        r" = \frac{1}{N} X^\top (X\theta - y^*)",
        "gradient", draw_line,
        lambda theta, x, y_star: grad(line_risk)(theta, x, y_star).repeat(2),
        line_sums, lambda *arguments: line_sums(*arguments, scale=2.0),
    ),
    "3.4": Formula(
        r"\frac{\partial \mathcal{L}}{\partial \theta_j} \approx \frac{\mathcal{L}(\theta + \epsilon e_j)"
        r" - \mathcal{L}(\theta - \epsilon e_j)}{2\epsilon}",
        "definition", lambda generator: (smooth, real(generator, *sizes(generator, 1))),
        lambda function, theta: central_differences(function, theta, width=1e-2),
        lambda function, theta: one_by_one(function, theta, 1e-2),
        lambda function, theta: one_by_one(function, theta, 1e-2, sided=True), central_differences,
    ),
    "3.5": Formula(
        r"h = \tanh(x W_1 + b_1), \qquad y = h W_2 + b_2",
        "definition", draw_network,
        lambda W1, b1, W2, b2, x, y: (lambda model, theta: model(theta, x))(*package_network(W1, b1, W2, b2)),
        lambda W1, b1, W2, b2, x, y: np.tanh(x.numpy() @ W1.numpy() + b1.numpy()) @ W2.numpy() + b2.numpy(),
        lambda W1, b1, W2, b2, x, y: np.tanh(x.numpy() @ W1.numpy()) @ W2.numpy() + b2.numpy(), mlp,
    ),
    "3.6": Formula(
        r"\frac{\partial \mathcal{L}_D}{\partial W_2} = \frac{1}{N} \sum_{i} h_i^\top \delta_i, \qquad"
        r" \frac{\partial \mathcal{L}_D}{\partial b_2} = \frac{1}{N} \sum_{i} \delta_i",
        "gradient", draw_network,
        lambda *arguments: torch.cat([piece.reshape(-1) for piece in network_autograd(*arguments)[2:]]),
        head_gradients, lambda *arguments: head_gradients(*arguments, factor=2.0),
    ),
    "3.7": Formula(
        r"s_i = (\delta_i W_2^\top) \odot (1 - h_i^2), \qquad"
        r" \frac{\partial \mathcal{L}_D}{\partial W_1} = \frac{1}{N} \sum_{i} x_i^\top s_i, \qquad"
        r" \frac{\partial \mathcal{L}_D}{\partial b_1} = \frac{1}{N} \sum_{i} s_i",
        "gradient", draw_network,
        lambda *arguments: torch.cat([piece.reshape(-1) for piece in network_autograd(*arguments)[:2]]),
        hidden_gradients, lambda *arguments: hidden_gradients(*arguments, slope=lambda h: 1 - h),
    ),
    "3.8": Formula(
        r"\theta \leftarrow \theta - \eta\, \nabla \mathcal{L}_D(\theta)",
        "definition", lambda generator: (real(generator, 1, 3), 0.3),
        lambda gradients, eta: constant_pull(sgd(eta), gradients),
        lambda gradients, eta: [-eta * row for row in gradients.numpy()],
        lambda gradients, eta: [eta * row for row in gradients.numpy()], sgd,
    ),
    "3.9": Formula(
        r"\mathcal{L}(\theta - \eta \nabla \mathcal{L}(\theta)) \le \mathcal{L}(\theta) - \eta"
        r" \left( 1 - \tfrac{1}{2} \eta L \right) \lVert \nabla \mathcal{L}(\theta) \rVert^2",
        "bound", draw_matrix,
        after_steps, bounds, lambda H, theta: bounds(H, theta, curvature_term=0.55), None, bounded_and_tight,
    ),
    "3.10": Formula(
        r"\theta_k = (1 - \eta L)^k\, \theta_0",
        "closed form", draw_parabola,
        lambda L, eta, start: descend(
            sgd(eta), lambda theta: L * theta, torch.tensor([start], dtype=torch.float64), 8
        )[:, 0],
        lambda L, eta, start: [(1 - eta * L) ** k * start for k in range(9)],
        lambda L, eta, start: [math.exp(-eta * L * k) * start for k in range(9)],
    ),
    "3.11": Formula(
        r"\theta_k \to 0 \text{ for every } \theta_0 \quad \Longleftrightarrow \quad 0 < \eta < \frac{2}{L}",
        "condition", draw_parabola, simulated, converges,
        lambda *arguments: converges(*arguments, factor=1.0),
    ),
    "3.12": Formula(
        r"a_{j,k} = (1 - \eta c_j)^k\, a_{j,0}",
        "closed form", draw_matrix, along_eigenvectors, along_closed_form,
        lambda *arguments: along_closed_form(*arguments, reverse=True),
    ),
    "3.13": Formula(
        r"\eta^* = \frac{2}{\mu + L}, \qquad \min_\eta \max_j |1 - \eta c_j| = \frac{\kappa - 1}{\kappa + 1}",
        "optimum", draw_curvatures, searched_step, best_step,
        lambda curvatures: best_step(curvatures, extra=2.0), None, nearly_equal,
    ),
    "3.14": Formula(
        r"v \leftarrow \beta v + \nabla \mathcal{L}(\theta), \qquad \theta \leftarrow \theta - \eta v",
        "definition", draw_gradients,
        lambda gradients, eta, beta: constant_pull(momentum(eta, beta), gradients),
        ball_loops, lambda gradients, eta, beta: ball_loops(gradients, eta, beta, fresh=1 - beta), momentum,
    ),
    "3.15": Formula(
        r"\eta = \frac{4}{(\sqrt{L} + \sqrt{\mu})^2}, \quad \beta = \left( \frac{\sqrt{\kappa} - 1}{\sqrt{\kappa} + 1}"
        r" \right)^2: \qquad \text{factor } \sqrt{\beta} = \frac{\sqrt{\kappa} - 1}{\sqrt{\kappa} + 1}",
        "optimum", draw_curvatures, best_ball,
        lambda curvatures: 1 - 2 / (math.sqrt(curvatures[-1] / curvatures[0]) + 1),
        lambda curvatures: 1 - 2 / (curvatures[-1] / curvatures[0] + 1), None, nearly_equal,
    ),
}  # fmt: skip
