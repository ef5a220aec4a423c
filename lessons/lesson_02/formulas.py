"""Formulas of lesson 02, *Empirical risk*.

Expectations are exact: over a finite population all data sets are listed, noise runs through all signs, and Gaussian
integrals of polynomials are Gauss-Hermite sums. Only the expected inverse of (2.15) is sampled.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch.func import grad

from lessons.shared.formulas import Formula, at_most, draw_pair, nearly_equal, positive, real, sizes
from metautil.linear import LinearPopulation, least_squares, linear
from metautil.models import mlp
from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data
from metautil.updates import sgd


def draw_labels(generator):
    """An odd number of labels, all different."""
    (half,) = sizes(generator, 1)
    return (real(generator, 2 * half + 1),)


def searched_constant(y_star, loss):
    """The constant with the smallest mean loss, by golden sections; the risk is convex."""
    labels = y_star.numpy()
    found = minimize_scalar(
        lambda c: loss(c - labels).mean(),
        bounds=(labels.min(), labels.max()),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return found.x


def sorted_middle(y_star):
    return sorted(y_star.tolist())[len(y_star) // 2]


def draw_regression(generator):
    """θ (p,), X (N, p), labels (N, 1), N > p."""
    (p,) = sizes(generator, 1)
    p = min(p, 4)
    return real(generator, p), real(generator, p + 3, p), real(generator, p + 3, 1)


def step_on_sum(theta, x, y_star, eta=0.1):
    gradient = grad(lambda theta: half_squared_error(linear(theta, x), y_star).sum())(theta)
    return theta + sgd(eta)(gradient, ())[0]


def step_on_mean(theta, x, y_star, eta=0.1, scaled=True):
    theta, x, y_star = theta.numpy(), x.numpy(), y_star.numpy()[:, 0]
    N = len(x)
    return theta - (N * eta if scaled else eta) * x.T @ (x @ theta - y_star) / N


def draw_truth(generator):
    """θ, θ° (p,), σ, p of 1 to 3."""
    p = 1 + int(torch.randint(0, 3, (), generator=generator))
    return real(generator, p), real(generator, p), positive(generator, 1).item()


def package_true_risk(theta, theta_true, sigma):
    return LinearPopulation(theta_true, sigma).risk(theta).item()


def hermite(count=6):
    """Nodes and weights for expectations over N(0, 1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


def gaussian_moments(theta, theta_true, sigma, half=0.5):
    """Mean and variance of the loss over x ~ N(0, I) and ε ~ N(0, 1), by a product rule."""
    nodes, weights = hermite()
    first = second = 0.0
    for index in itertools.product(range(len(nodes)), repeat=len(theta) + 1):
        *x, noise = nodes[list(index)]
        error = np.dot(x, theta.numpy() - theta_true.numpy()) - sigma * noise
        weight = weights[list(index)].prod()
        first += weight * half * error**2
        second += weight * (half * error**2) ** 2
    return first, second - first**2


def risk_over_signs(theta, theta_true, sigma):
    """Risk on the finite population x ∈ {−1, 1}ᵖ, ε ∈ {−1, 1}, for which E[xᵀx] = I and E[ε²] = 1 exactly."""
    rows = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=len(theta) + 1)), dtype=torch.float64)
    x, noise = rows[:, :-1], rows[:, -1:]
    everyone = Data(x, linear(theta_true, x) + sigma * noise)
    return empirical_risk(linear, theta, everyone, half_squared_error).item()


def floor_and_excess(theta, theta_true, sigma, floor=0.5):
    return floor * sigma**2 + 0.5 * sum((a - b) ** 2 for a, b in zip(theta.tolist(), theta_true.tolist(), strict=True))


def draw_finite(generator):
    """A finite population of four examples with two inputs, and a θ."""
    return real(generator, 2), real(generator, 4, 2), real(generator, 4, 1)


def all_data_sets(x, y_star, count):
    """Every sequence of ``count`` examples; all are equally likely."""
    for index in itertools.product(range(len(x)), repeat=count):
        yield Data(x[list(index)], y_star[list(index)])


def risks_of_all(theta, x, y_star, count=3):
    return [empirical_risk(linear, theta, data, half_squared_error).item() for data in all_data_sets(x, y_star, count)]


def single_losses(theta, x, y_star):
    return 0.5 * (x.numpy() @ theta.numpy() - y_star.numpy()[:, 0]) ** 2


def surface(theta, x, y_star):
    return empirical_risk(linear, theta, Data(x, y_star), half_squared_error).item()


def bowl(theta, x, y_star, half=0.5):
    theta, x, y_star = theta.numpy(), x.numpy(), y_star.numpy()[:, 0]
    best = np.linalg.pinv(x) @ y_star
    away = theta - best
    return 0.5 * np.mean((x @ best - y_star) ** 2) + half * away @ (x.T @ x / len(x)) @ away


def draw_design(generator):
    """θ° (p,), X (N, p) with N = 6, σ: all 64 signs of the noise can be listed."""
    p = 1 + int(torch.randint(0, 3, (), generator=generator))
    return real(generator, p), real(generator, 6, p), positive(generator, 1).item()


def over_signs(theta_true, x, sigma):
    """Labels under each sign pattern of the noise, and the least-squares θ of each."""
    noise = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=len(x))), dtype=torch.float64).unsqueeze(2)
    many = Data(x.expand(len(noise), *x.shape), linear(theta_true, x) + sigma * noise)
    return many, least_squares(many)


def measured_covariance(theta_true, x, sigma):
    _, theta = over_signs(theta_true, x, sigma)
    away = theta - theta_true
    return away.T @ away / len(away)


def closed_covariance(theta_true, x, sigma, divide=True):
    x = x.numpy()
    N = len(x)
    return sigma**2 / (N if divide else 1) * np.linalg.inv(x.T @ x / N)


def fitted_risk(theta_true, x, sigma):
    many, theta = over_signs(theta_true, x, sigma)
    return half_squared_error(linear(theta, many.x), many.y).mean().item()


def fresh_label_risk(theta_true, x, sigma):
    """Each fit is judged on the labels of every sign pattern: the fresh noise is independent of the fitted one."""
    many, theta = over_signs(theta_true, x, sigma)
    y = linear(theta, many.x)
    return torch.stack([half_squared_error(y, label.expand_as(y)).mean() for label in many.y]).mean().item()


def draw_gaussian_design(generator):
    p = 1 + int(torch.randint(0, 4, (), generator=generator))
    count = p + 6 + int(torch.randint(0, 4, (), generator=generator))
    return p, count, positive(generator, 1).item(), generator


def sampled_true_risk(p, count, sigma, generator):
    """Mean true risk of least squares over 20,000 drawn data sets, with five standard errors around it."""
    population = LinearPopulation(torch.ones(p, dtype=torch.float64), sigma)
    generator = torch.Generator().manual_seed(generator.initial_seed())
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        risks = population.risk(least_squares(population.draw(count, generator, (20_000,))))
    finally:
        torch.set_default_dtype(before)
    mean, error = risks.mean().item(), risks.std().item() / math.sqrt(len(risks))
    return mean - 5 * error, mean + 5 * error


def within(interval, value):
    return interval[0] <= value <= interval[1]


def lowest_of_all(theta, x, y_star, count=3):
    """(E min L_D, least true risk) of a constant prediction, over every data set of the finite population."""
    labels = y_star.numpy()[:, 0]
    lowest = [np.var([labels[i] for i in index]) / 2 for index in itertools.product(range(len(labels)), repeat=count)]
    return [np.mean(lowest), np.var(labels) / 2]


def judged_of_all(theta, x, y_star, count=3):
    """(least true risk, E L(θ̂_D)) of a constant prediction, by search on a fine grid and by least squares."""
    ones = torch.ones_like(y_star)
    everyone = Data(ones, y_star)
    best = least_squares(everyone)
    fits = [least_squares(data) for data in all_data_sets(ones, y_star, count)]
    true = [empirical_risk(linear, fit, everyone, half_squared_error).item() for fit in fits]
    return [empirical_risk(linear, best, everyone, half_squared_error).item(), float(np.mean(true))]


def draw_outputs(generator):
    N, d, C = sizes(generator, 3)
    C += 1  # at C = 2 the two factors cancel
    return real(generator, d * C + C), real(generator, N, d), real(generator, N, C)


def mse_gradient(theta, x, y_star):
    model = mlp((x.shape[1], y_star.shape[1]))
    return grad(lambda theta: torch.nn.functional.mse_loss(model(theta, x), y_star))(theta)


def scaled_gradient(theta, x, y_star, scaled=True):
    x, y_star, theta = x.numpy(), y_star.numpy(), theta.numpy()
    N, C = y_star.shape
    W, b = theta[: x.shape[1] * C].reshape(-1, C), theta[x.shape[1] * C :]
    delta = x @ W + b - y_star
    gradient = np.concatenate([(x.T @ delta / N).ravel(), delta.mean(0)])
    return (2 / C if scaled else 1) * gradient


def all_pairs(y, y_star):
    return 0.5 * (y.reshape(-1, 1) - y_star.reshape(-1)).square().mean().item()


def variances(y, y_star, spread=1.0):
    y, y_star = y.numpy().ravel(), y_star.numpy().ravel()
    return 0.5 * (spread * y.var() + y_star.var() + (y.mean() - y_star.mean()) ** 2)


FORMULAS = {
    "2.1": Formula(
        r"-\log \mathcal{N}(y^*;\, y, 1) = \tfrac{1}{2} (y - y^*)^2 + \tfrac{1}{2} \log 2\pi",
        "identity", draw_pair,
        lambda y, y_star: -torch.distributions.Normal(y, 1.0).log_prob(y_star),
        lambda y, y_star: 0.5 * (y.numpy() - y_star.numpy()) ** 2 + 0.5 * math.log(2 * math.pi),
        lambda y, y_star: (y.numpy() - y_star.numpy()) ** 2 + 0.5 * math.log(2 * math.pi),
    ),
    "2.2": Formula(
        r"\arg\min_c \frac{1}{N} \sum_{i=1}^{N} \tfrac{1}{2} (c - y_i^*)^2 = \frac{1}{N} \sum_{i=1}^{N} y_i^*",
        "optimum", draw_labels,
        lambda y_star: searched_constant(y_star, lambda error: 0.5 * error**2),
        lambda y_star: sum(y_star.tolist()) / len(y_star), sorted_middle, None, nearly_equal,
    ),
    "2.3": Formula(
        r"\arg\min_c \frac{1}{N} \sum_{i=1}^{N} |c - y_i^*| = \operatorname{median}(y_1^*, \dots, y_N^*) \qquad (N \text{ odd})",
        "optimum", draw_labels,
        lambda y_star: searched_constant(y_star, np.abs), sorted_middle,
        lambda y_star: sum(y_star.tolist()) / len(y_star), None, nearly_equal,
    ),
    "2.4": Formula(
        r"\theta - \eta\, \nabla \sum_{i=1}^{N} \ell(M_\theta(x_i), y_i^*) = \theta - (N\eta)\, \nabla \mathcal{L}_D(\theta)",
        "update", draw_regression, step_on_sum, step_on_mean,
        lambda *arguments: step_on_mean(*arguments, scaled=False),
    ),
    "2.5": Formula(
        r"\mathcal{L}(\theta) = \mathbb{E}_{(x, y^*)}\left[ \ell(M_\theta(x), y^*) \right]",
        "definition", draw_truth, package_true_risk,
        lambda *arguments: gaussian_moments(*arguments)[0],
        lambda *arguments: gaussian_moments(*arguments, half=1.0)[0], LinearPopulation.risk,
    ),
    "2.6": Formula(
        r"\mathcal{L}(\theta) = \tfrac{1}{2} \sigma^2 + \tfrac{1}{2} \lVert \theta - \theta^\circ \rVert^2",
        "closed form", draw_truth, risk_over_signs, floor_and_excess,
        lambda *arguments: floor_and_excess(*arguments, floor=0.0),
    ),
    "2.7": Formula(
        r"\mathbb{E}_D\left[ \mathcal{L}_D(\theta) \right] = \mathcal{L}(\theta)",
        "closed form", draw_finite,
        lambda *arguments: np.mean(risks_of_all(*arguments)),
        lambda *arguments: single_losses(*arguments).mean(),
        lambda *arguments: single_losses(*arguments).min(),
    ),
    "2.8": Formula(
        r"\operatorname{sd}_D\left[ \mathcal{L}_D(\theta) \right] = \sqrt{\frac{\operatorname{Var}[\ell]}{N}}",
        "closed form", draw_finite,
        lambda *arguments: np.std(risks_of_all(*arguments, count=3)),
        lambda *arguments: math.sqrt(single_losses(*arguments).var() / 3),
        lambda *arguments: single_losses(*arguments).std() / 3,
    ),
    "2.9": Formula(
        r"\operatorname{sd}_D\left[ \mathcal{L}_D(\theta) \right] = \mathcal{L}(\theta) \sqrt{\frac{2}{N}}",
        "closed form", draw_truth,
        lambda *arguments: [math.sqrt(gaussian_moments(*arguments)[1] / N) for N in (1, 8, 50)],
        lambda *arguments: [floor_and_excess(*arguments) * math.sqrt(2 / N) for N in (1, 8, 50)],
        lambda *arguments: [floor_and_excess(*arguments) * 2 / N for N in (1, 8, 50)],
    ),
    "2.10": Formula(
        r"\mathcal{L}_D(\theta) = \mathcal{L}_D(\hat\theta) + \tfrac{1}{2} (\theta - \hat\theta)^\top H_D\,"
        r" (\theta - \hat\theta)",
        "closed form", draw_regression, surface, bowl, lambda *arguments: bowl(*arguments, half=1.0),
    ),
    "2.11": Formula(
        r"\operatorname{Cov}(\hat\theta \mid X) = \frac{\sigma^2}{N}\, H_D^{-1}",
        "closed form", draw_design, measured_covariance, closed_covariance,
        lambda *arguments: closed_covariance(*arguments, divide=False),
    ),
    "2.12": Formula(
        r"\mathbb{E}_D\left[ \min_\theta \mathcal{L}_D(\theta) \right] \;\le\; \min_\theta \mathcal{L}(\theta)"
        r" \;\le\; \mathbb{E}_D\left[ \mathcal{L}(\hat\theta_D) \right]",
        "bound", draw_finite, lowest_of_all, judged_of_all,
        lambda theta, x, y_star: [0.5 * lowest_of_all(theta, x, y_star)[0], lowest_of_all(theta, x, y_star)[0]],
        None, at_most,
    ),
    "2.13": Formula(
        r"\mathbb{E}\left[ \mathcal{L}_D(\hat\theta) \right] = \frac{\sigma^2}{2} \left( 1 - \frac{p}{N} \right)",
        "closed form", draw_design, fitted_risk,
        lambda theta, x, sigma: sigma**2 / 2 * (1 - len(theta) / len(x)),
        lambda theta, x, sigma: sigma**2 / 2 * (1 - (len(theta) + 1) / len(x)),
    ),
    "2.14": Formula(
        r"\mathbb{E}\left[ \mathcal{L}_{D'}(\hat\theta) \right] = \frac{\sigma^2}{2} \left( 1 + \frac{p}{N} \right)",
        "closed form", draw_design, fresh_label_risk,
        lambda theta, x, sigma: sigma**2 / 2 * (1 + len(theta) / len(x)),
        lambda theta, x, sigma: sigma**2 / 2 * (1 + len(theta) / (len(x) - len(theta) - 1)),
    ),
    "2.15": Formula(
        r"\mathbb{E}\left[ \mathcal{L}(\hat\theta) \right] = \frac{\sigma^2}{2} \left( 1 + \frac{p}{N - p - 1} \right)"
        r" \qquad (N > p + 1)",
        "closed form", draw_gaussian_design, sampled_true_risk,
        lambda p, N, sigma, generator: sigma**2 / 2 * (1 + p / (N - p - 1)),
        lambda p, N, sigma, generator: sigma**2 / 2 * (1 + p / N), None, within,
    ),
    "2.16": Formula(
        r"\nabla_\theta\, \mathrm{mse}(\theta) = \frac{2}{C}\, \nabla_\theta \mathcal{L}_D(\theta)",
        "gradient", draw_outputs, mse_gradient, scaled_gradient,
        lambda *arguments: scaled_gradient(*arguments, scaled=False),
    ),
    "2.17": Formula(
        r"\frac{1}{N^2} \sum_{i=1}^{N} \sum_{j=1}^{N} \tfrac{1}{2} (y_i - y_j^*)^2 = \tfrac{1}{2} \left( \operatorname{var}(y)"
        r" + \operatorname{var}(y^*) + (\bar y - \bar y^*)^2 \right)",
        "identity", draw_pair, all_pairs, variances, lambda *arguments: variances(*arguments, spread=0.0),
    ),
}  # fmt: skip
