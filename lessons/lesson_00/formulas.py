"""Formulas of lesson 00, *Start here*."""

from __future__ import annotations

import math

import numpy as np
import torch

from lessons.shared.formulas import (
    Formula,
    draw_network,
    draw_pair,
    nearly_equal,
    numpy_network,
    package_network,
    positive,
    real,
    sizes,
)
from metautil.risks import cross_entropy, empirical_risk, half_squared_error, joint_risk, normalised_joint_risk
from metautil.tasks import Data
from metautil.updates import derived, sgd


def draw_scores(generator):
    N, C = sizes(generator, 2)
    return real(generator, N, C), torch.randint(0, C, (N,), generator=generator)


def draw_risks(generator):
    return (*positive(generator, 2).tolist(), positive(generator, 1).item())


def draw_bowls(generator):
    """θ (3,), two curvature vectors and centres (3,), λ, η."""
    vectors = [real(generator, 3)] + [f(generator, 3) for f in (positive, real, positive, real)]
    return (*vectors, 0.3 + positive(generator, 1).item(), 0.1 * positive(generator, 1).item())


def bowl_gradients(theta, c_D, m_D, c_T, m_T):
    return c_D * (theta - m_D), c_T * (theta - m_T)


def updated_by_rule(theta, c_D, m_D, c_T, m_T, lam, eta):
    step, _ = derived(lam, sgd(eta))(bowl_gradients(theta, c_D, m_D, c_T, m_T), ())
    return theta + step


def updated_by_differences(theta, c_D, m_D, c_T, m_T, lam, eta, outside=False):
    """θ − η · (numerical gradient of L_D + λ L_T), or with λ outside the bracket as near miss."""
    theta, c_D, m_D, c_T, m_T = (value.numpy() for value in (theta, c_D, m_D, c_T, m_T))

    def slope(c, m):
        width, unit = 1e-4, np.eye(len(theta))
        risk = lambda t: 0.5 * float(c @ (t - m) ** 2)  # noqa: E731
        return np.array([(risk(theta + width * e) - risk(theta - width * e)) / (2 * width) for e in unit])

    if outside:
        return theta - eta * slope(c_D, m_D) - lam * slope(c_T, m_T)
    return theta - eta * (slope(c_D, m_D) + lam * slope(c_T, m_T))


def softmax_loops(scores, labels, base=math.e):
    losses = []
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        losses.append(-math.log(math.exp(row[label]) / sum(map(math.exp, row)), base))
    return losses


def squares_loops(y, y_star, half=0.5):
    return [
        half * sum((a - b) ** 2 for a, b in zip(row, labels, strict=True))
        for row, labels in zip(y.tolist(), y_star.tolist(), strict=True)
    ]


def network_loops(*arguments, mean=True):
    _, delta, _, _ = numpy_network(*arguments)
    losses = [0.5 * float(row @ row) for row in delta]
    return sum(losses) / (len(losses) if mean else 1)


FORMULAS = {
    "0.1": Formula(
        r"\ell(y, y^*) = \tfrac{1}{2} \sum_{c=1}^{C} (y_c - y_c^*)^2",
        "definition", draw_pair, half_squared_error, squares_loops,
        lambda y, y_star: squares_loops(y, y_star, half=1.0), half_squared_error,
    ),
    "0.2": Formula(
        r"\ell(y, y^*) = -\log \frac{e^{y_{y^*}}}{\sum_{c=1}^{C} e^{y_c}}",
        "definition", draw_scores, cross_entropy, softmax_loops,
        lambda y, y_star: softmax_loops(y, y_star, base=2), cross_entropy,
    ),
    "0.3": Formula(
        r"\mathcal{L}_D(\theta) = \frac{1}{N} \sum_{i=1}^{N} \ell(M_\theta(x_i), y_i^*)",
        "definition", draw_network,
        lambda W1, b1, W2, b2, x, y: empirical_risk(
            *package_network(W1, b1, W2, b2), Data(x, y), half_squared_error
        ),
        network_loops, lambda *arguments: network_loops(*arguments, mean=False), empirical_risk,
    ),
    "0.4": Formula(
        r"\min_\theta\; \mathcal{L}_D(\theta) + \lambda\, \mathcal{L}_T(\theta)",
        "definition", draw_risks, joint_risk,
        lambda a, b, lam: float(np.dot([1, lam], [a, b])),
        lambda a, b, lam: float(np.dot([lam, 1], [a, b])), joint_risk,
    ),
    "0.5": Formula(
        r"\frac{\mathcal{L}_D(\theta) + \lambda\, \mathcal{L}_T(\theta)}{1 + \lambda}",
        "definition", draw_risks, normalised_joint_risk,
        lambda a, b, lam: float(np.average([a, b], weights=[1, lam])),
        lambda a, b, lam: float(np.average([a, b], weights=[lam, 1])), normalised_joint_risk,
    ),
    "0.6": Formula(
        r"\theta \leftarrow \theta - \eta \left( \nabla \mathcal{L}_D(\theta) + \lambda \nabla \mathcal{L}_T(\theta) \right)",
        "update", draw_bowls, updated_by_rule, updated_by_differences,
        lambda *arguments: updated_by_differences(*arguments, outside=True), derived, nearly_equal,
    ),
}  # fmt: skip
