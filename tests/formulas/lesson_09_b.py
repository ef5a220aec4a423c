"""Formulas of lesson 09, *Learning to adapt*, part B.

Left sides go through the package, autograd or simulation; right sides through numpy.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.func import grad, hessian, jvp

from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data
from tests.formulas import Formula, draw_network, nearly_equal, numpy_network, package_network, positive, real, sizes


def draw_wave(generator):
    """Inputs (n,), a, φ."""
    (n,) = sizes(generator, 1)
    return 3 * real(generator, n), *positive(generator, 2).tolist()


def wave(x, a, phi):
    return a * torch.sin(x - phi)


def two_features(x, a, phi, sign=-1):
    return a * np.cos(phi) * np.sin(x.numpy()) + sign * a * np.sin(phi) * np.cos(x.numpy())


def averaged_wave(x, a, phi):
    """Mean of waves over 20,000 evenly spread phases and over amplitudes from 0 to 2a."""
    phases = math.pi * (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    amplitudes = 2 * a * (torch.arange(10, dtype=torch.float64) + 0.5) / 10
    return amplitudes.mean() * torch.sin(x[:, None] - phases).mean(1)


def draw_labels(generator):
    """f (n,) and labels of T tasks (T, n) at the same inputs."""
    T, n = sizes(generator, 2)
    return real(generator, n), real(generator, T, n)


def pooled_risk(f, labels):
    """Mean risk over the tasks of a model that predicts f, one input after another."""
    total = torch.zeros_like(f)
    for i in range(len(f)):
        data = Data(torch.zeros(len(labels), 1), labels[:, i : i + 1])
        total[i] = empirical_risk(lambda theta, x: theta.expand(len(x), 1), f[i], data, half_squared_error)
    return total


def split_risk(f, labels, ddof=0):
    f, labels = f.numpy(), labels.numpy()
    return 0.5 * (f - labels.mean(0)) ** 2 + 0.5 * labels.var(0, ddof=ddof)


def draw_blend(generator):
    """Densities p_D and p_T, m and f_T on a grid (n,), λ."""
    (n,) = sizes(generator, 1)
    return (
        positive(generator, n),
        positive(generator, n),
        real(generator, n),
        real(generator, n),
        positive(generator, 1).item(),
    )


def blended(p_D, p_T, m, f_T, lam):
    """Minimiser by one Newton step of autograd, with the given densities and with equal ones."""
    found = []
    for weight in (p_T, p_D):

        def risk(f, weight=weight):
            return (p_D * half_squared(f - m) + lam * weight * half_squared(f - f_T)).sum()

        zero = torch.zeros_like(m)
        found.append(-torch.linalg.solve(hessian(risk)(zero), grad(risk)(zero)))
    return torch.stack(found)


def half_squared(gap):
    return 0.5 * gap**2


def blend(p_D, p_T, m, f_T, lam, divided=True):
    p_D, p_T, m, f_T = (value.numpy() for value in (p_D, p_T, m, f_T))
    first = (p_D * m + lam * p_T * f_T) / (p_D + lam * p_T)
    return [first, (m + lam * f_T) / (1 + lam if divided else 1)]


def draw_small(generator):
    """Slopes c (T,), s, α."""
    (T,) = sizes(generator, 1)
    return real(generator, T), *positive(generator, 2).tolist()


def small_after_step(c, s, alpha):
    """Mean risk of uv after one step of autograd from (0, s) on each task."""
    start = torch.tensor([0.0, s], dtype=torch.float64)
    risks = []
    for slope in c:

        def risk(theta, slope=slope):
            return half_squared(theta.prod() - slope)

        risks.append(risk(start - alpha * grad(risk)(start)))
    return torch.stack(risks).mean()


def small_closed(c, s, alpha, power=2):
    return 0.5 * (1 - alpha * s**power) ** 2 * np.mean(c.numpy() ** 2)


def draw_step(generator):
    """A network with one output, split into support and query inputs."""
    W1, b1, W2, b2, x, y_star = draw_network(generator)
    return W1, b1, W2[:, :1], b2[:1], x, y_star[:, :1]


def slope_in_alpha(W1, b1, W2, b2, x, y_star):
    """Derivative by α, at α = 0, of the predictions after one step on (x, y*)."""
    model, theta = package_network(W1, b1, W2, b2)
    step = grad(lambda theta: empirical_risk(model, theta, Data(x, y_star), half_squared_error))(theta)
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    return jvp(lambda alpha: model(theta - alpha * step, x)[:, 0], (zero,), (one,))[1]


def spread_errors(W1, b1, W2, b2, x, y_star, mean=True):
    """−1/N Σ k(x, x_i) error_i, with k of a network of one hidden layer written out."""
    h, error, W2, x = numpy_network(W1, b1, W2, b2, x, y_star)
    through = (1 - h**2) * W2[:, 0]  # derivative of the output by each hidden layer's input, (N, h)
    k = h @ h.T + 1 + (through @ through.T) * (x @ x.T + 1)
    return -k @ error[:, 0] / (len(x) if mean else 1)


def spread_over_a_turn(x, r_1, r_2):
    """The integral by the rectangle rule on 64 points, exact for trigonometric polynomials."""
    turn = 2 * math.pi * torch.arange(64, dtype=torch.float64) / 64 - math.pi
    return (2 * torch.cos(x[:, None] - turn) * (r_1 * torch.sin(turn) + r_2 * torch.cos(turn))).mean(1)


def error_itself(x, r_1, r_2, factor=1.0):
    return factor * (r_1 * np.sin(x.numpy()) + r_2 * np.cos(x.numpy()))


FORMULAS = {
    "9.21": Formula(
        r"a \sin(x - \varphi) = c_1 \sin x + c_2 \cos x, \qquad c_1 = a \cos\varphi, \quad c_2 = -a \sin\varphi",
        "closed form", draw_wave, wave, two_features, lambda *arguments: two_features(*arguments, sign=1),
    ),
    "9.22": Formula(
        r"m(x) = \mathbb{E}[y \mid x] = -\frac{2}{\pi}\, \bar a \cos x \approx -1.62 \cos x",
        "closed form", draw_wave, averaged_wave,
        lambda x, a, phi: -2 / np.pi * a * np.cos(x.numpy()),
        lambda x, a, phi: 2 / np.pi * a * np.sin(x.numpy()), None, nearly_equal,
    ),
    "9.23": Formula(
        r"\frac{1}{T} \sum_{t=1}^{T} \tfrac{1}{2} \left( f(x) - y_t(x) \right)^2 = \tfrac{1}{2} \left( f(x) - m(x) \right)^2"
        r" + \frac{1}{T} \sum_{t=1}^{T} \tfrac{1}{2} \left( y_t(x) - m(x) \right)^2",
        "closed form", draw_labels, pooled_risk, split_risk, lambda *arguments: split_risk(*arguments, ddof=1),
    ),
    "9.24": Formula(
        r"f_\lambda(x) = \frac{p_D(x)\, m(x) + \lambda\, p_T(x)\, f_T(x)}{p_D(x) + \lambda\, p_T(x)} ="
        r" \frac{m(x) + \lambda f_T(x)}{1 + \lambda} \quad \text{where } p_D(x) = p_T(x)",
        "optimum", draw_blend, blended, blend, lambda *arguments: blend(*arguments, divided=False),
    ),
    "9.25": Formula(
        r"\mathbb{E}\left[ \tfrac{1}{2} \left( u'v' - c \right)^2 \right] = \tfrac{1}{2} \left( 1 - \alpha s^2 \right)^2"
        r" \mathbb{E}\left[ c^2 \right] \qquad \text{after one step from } (u, v) = (0, s)",
        "update", draw_small, small_after_step, small_closed, lambda *arguments: small_closed(*arguments, power=1),
    ),
    "9.26": Formula(
        r"M_{\theta - \alpha\nabla\mathcal{L}_S(\theta)}(x) = M_\theta(x) - \frac{\alpha}{N_S} \sum_{i=1}^{N_S}"
        r" k_\theta(x, x_i) \left( M_\theta(x_i) - y_i^* \right) + O(\alpha^2), \qquad k_\theta(x, x') = J_\theta(x)\,"
        r" J_\theta(x')^\top",
        "update", draw_step, slope_in_alpha, spread_errors, lambda *arguments: spread_errors(*arguments, mean=False),
    ),
    "9.27": Formula(
        r"\frac{1}{2\pi} \int_{-\pi}^{\pi} 2 \cos(x - x')\, r(x')\, dx' = r(x) \qquad \text{for } r(x) = r_1 \sin x"
        r" + r_2 \cos x",
        "closed form", draw_wave, spread_over_a_turn, error_itself,
        lambda *arguments: error_itself(*arguments, factor=0.5),
    ),
}  # fmt: skip
