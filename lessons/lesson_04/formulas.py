"""Formulas of lesson 04, *Two risks, one λ*.

Left sides go through the package, autograd or simulation; right sides through numpy.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.func import grad, hessian

from lessons.shared.formulas import Formula, at_most, nearly_equal, positive, real, sizes
from metautil.risks import empirical_risk, half_squared_error, joint_risk, normalised_joint_risk
from metautil.tasks import Data
from metautil.updates import adam, derived, descend, printed, rmsprop, sgd


def draw_lines(generator):
    """θ (p,), inputs and labels of D and T with more rows than parameters, λ, η."""
    (p,) = sizes(generator, 1)
    N, N_T = (p + 4 + extra for extra in sizes(generator, 2))
    data = [real(generator, N, p), real(generator, N), real(generator, N_T, p), real(generator, N_T)]
    return real(generator, p), *data, *positive(generator, 2).tolist()


def draw_bowls(generator):
    """H_D, b_D, H_T, b_T, start (p,), λ: symmetric positive definite matrices."""
    (p,) = sizes(generator, 1)
    roots = [real(generator, p, p + 3) for _ in range(2)]
    H_D, H_T = (root @ root.T / (p + 3) + 0.2 * torch.eye(p, dtype=torch.float64) for root in roots)
    return H_D, real(generator, p), H_T, real(generator, p), real(generator, p), positive(generator, 1).item()


def line_risk(theta, x, y):
    return empirical_risk(lambda theta, x: (x @ theta).unsqueeze(1), theta, Data(x, y.unsqueeze(1)), half_squared_error)


def moments(x, y):
    x, y = x.numpy(), y.numpy()
    return x.T @ x / len(y), x.T @ y / len(y)


def joint_solution(theta, x_D, y_D, x_T, y_T, lam, eta=None, average=False):
    """Weighted least squares on stacked rows; the near miss averages the two separate solutions."""
    if average:
        ends = [np.linalg.lstsq(x.numpy(), y.numpy())[0] for x, y in ((x_D, y_D), (x_T, y_T))]
        return (ends[0] + lam * ends[1]) / (1 + lam)
    w_D, w_T = len(y_D) ** -0.5, (lam / len(y_T)) ** 0.5
    rows = np.concatenate([w_D * x_D.numpy(), w_T * x_T.numpy()])
    labels = np.concatenate([w_D * y_D.numpy(), w_T * y_T.numpy()])
    return np.linalg.lstsq(rows, labels)[0]


def newton(x_D, y_D, x_T, y_T, lam):
    """Minimiser of the joint risk: one Newton step by autograd, exact on a quadratic."""
    start = torch.zeros(x_D.shape[1], dtype=torch.float64)

    def risk(theta):
        return joint_risk(line_risk(theta, x_D, y_D), line_risk(theta, x_T, y_T), lam)

    return start - torch.linalg.solve(hessian(risk)(start), grad(risk)(start))


def expanded(theta, x, y, *_, labels=True):
    H, b = moments(x, y)
    t = theta.numpy()
    return 0.5 * t @ H @ t - b @ t + labels * float((y.numpy() ** 2).sum()) / (2 * len(y))


def by_differences(theta, x_D, y_D, x_T, y_T, lam, eta):
    width = 1e-5 * lam
    ends = [newton(x_D, y_D, x_T, y_T, lam + sign * width) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * width)


def implicit(theta, x_D, y_D, x_T, y_T, lam, eta, sign=-1):
    at = joint_solution(theta, x_D, y_D, x_T, y_T, lam)
    (H_D, _), (H_T, b_T) = moments(x_D, y_D), moments(x_T, y_T)
    return sign * np.linalg.solve(H_D + lam * H_T, H_T @ at - b_T)


def risks_by_differences(theta, x_D, y_D, x_T, y_T, lam, eta):
    width = 1e-5 * lam
    up, down = (newton(x_D, y_D, x_T, y_T, lam + sign * width) for sign in (1, -1))
    change_D, change_T = (
        (line_risk(up, x, y) - line_risk(down, x, y)) / (2 * width) for x, y in ((x_D, y_D), (x_T, y_T))
    )
    assert change_D >= 0
    return [float(change_D), -lam * float(change_T)]


def exchange(theta, x_D, y_D, x_T, y_T, lam, eta, rate=None):
    at = joint_solution(theta, x_D, y_D, x_T, y_T, lam)
    (H_D, _), (H_T, b_T) = moments(x_D, y_D), moments(x_T, y_T)
    slope = H_T @ at - b_T
    return [(lam if rate is None else rate) * slope @ np.linalg.solve(H_D + lam * H_T, slope)] * 2


def ridge_as_task(theta, x, y, x_T, y_T, lam, eta):
    """L_D + λ L_T with L_T the risk of the p examples (√p e_j, 0)."""
    p = len(theta)
    invented = p**0.5 * torch.eye(p, dtype=torch.float64), torch.zeros(p, dtype=torch.float64)
    return joint_risk(line_risk(theta, x, y), line_risk(theta, *invented), lam)


def ridge_rows(theta, x, y, x_T, y_T, lam, eta, count=True):
    N = len(y)
    t, rows, labels = theta.numpy(), x.numpy(), y.numpy()
    total = sum(0.5 * (rows[i] @ t - labels[i]) ** 2 for i in range(N))
    scale = np.sqrt(lam * (N if count else 1))
    return (total + sum(0.5 * (scale * entry) ** 2 for entry in t)) / N


def around_minimum(theta, x_D, y_D, x, y, lam, eta, half=0.5):
    t, rows, labels = theta.numpy(), x.numpy(), y.numpy()
    lowest = np.linalg.lstsq(rows, labels)[0]
    at_lowest = np.mean((rows @ lowest - labels) ** 2) / 2
    return at_lowest + half * (t - lowest) @ (rows.T @ rows / len(labels)) @ (t - lowest)


def slopes(H_D, b_D, H_T, b_T):
    return lambda theta: (H_D @ theta - b_D, H_T @ theta - b_T)


def walk(rule, H_D, b_D, H_T, b_T, start, steps):
    return descend(rule, slopes(H_D, b_D, H_T, b_T), start, steps)


def loops(H_D, b_D, H_T, b_T, start, steps, step_D, step_T):
    """θ ← θ − step_D ∇L_D − step_T ∇L_T in numpy."""
    H_D, b_D, H_T, b_T, t = (value.numpy() for value in (H_D, b_D, H_T, b_T, start))
    path = [t]
    for _ in range(steps):
        t = t - step_D * (H_D @ t - b_D) - step_T * (H_T @ t - b_T)
        path.append(t)
    return path


def curvature(H_D, H_T, a, b):
    """Largest eigenvalue of a H_D + b H_T, by numpy."""
    return float(np.linalg.eigvalsh(a * H_D.numpy() + b * H_T.numpy())[-1])


ETA = 0.05


def rayleigh(H):
    """Largest eigenvalue as the largest Rayleigh quotient, by torch's singular values."""
    return float(torch.linalg.matrix_norm(H, 2))


def printed_end(H_D, b_D, H_T, b_T, start, lam):
    """Where the printed rule ends, at a stable pair with weight λ."""
    eta = 1 / rayleigh(H_D + lam * H_T)
    return walk(printed(eta, lam * eta), H_D, b_D, H_T, b_T, start, 1500)[-1]


def printed_fixed_point(H_D, b_D, H_T, b_T, start, lam, swapped=False):
    eta = 1 / curvature(H_D, H_T, 1, lam)
    a, b = (lam * eta, eta) if swapped else (eta, lam * eta)
    H, v = a * H_D.numpy() + b * H_T.numpy(), a * b_D.numpy() + b * b_T.numpy()
    return np.linalg.solve(H, v)


SHARES = (0.05, 0.5, 0.95, 1.05, 1.5, 1.95, 2.05, 3.0)
"""Step sizes to try, as shares of 1/L of the matrix that decides."""


def verdicts(paths, limit):
    """Whether the distance from the limit has fallen: in 600 steps it at least halves, or grows by orders of magnitude."""
    return [bool((path[-1] - limit).norm() < 0.5 * (path[0] - limit).norm()) for path in paths]


def draw_stable(generator):
    """Well-conditioned bowls, so that 600 steps at a twentieth of 1/L go most of the way."""
    (p,) = sizes(generator, 1)
    roots = [torch.linalg.qr(real(generator, p, p)).Q for _ in range(2)]
    H_D, H_T = (root @ torch.diag(positive(generator, p) + 0.3) @ root.T for root in roots)
    return H_D, real(generator, p), H_T, real(generator, p), real(generator, p), positive(generator, 1).item()


def draw_steps(generator):
    """Bowls, and step sizes on both sides of the border, but for those within a fiftieth of it."""
    bowls = draw_stable(generator)
    H_D, _, H_T, _, _, lam = bowls
    steepness = torch.linalg.eigvalsh(H_D + lam * H_T)[-1]
    etas = (0.1 + 4 * torch.rand(40, generator=generator, dtype=torch.float64)) / steepness
    clear = (etas * steepness - 2).abs() > 0.04
    return (*bowls, etas[clear].tolist())


def derived_verdicts(H_D, b_D, H_T, b_T, start, lam, etas):
    H, b = H_D + lam * H_T, b_D + lam * b_T
    rules = [derived(lam, sgd(eta)) for eta in etas]
    paths = [walk(rule, H_D, b_D, H_T, b_T, start, 600) for rule in rules]
    return verdicts(paths, torch.linalg.solve(H, b))


def printed_verdicts(H_D, b_D, H_T, b_T, start, lam):
    """At pairs (η, λ_printed) on a ray of the plane, and at pairs with λ_printed L(H_T) beyond 2 and η small."""
    found = []
    for eta, weight in printed_pairs(rayleigh(H_D + lam * H_T), rayleigh(H_T), lam):
        path = walk(printed(eta, weight), H_D, b_D, H_T, b_T, start, 600)
        limit = torch.linalg.solve(eta * H_D + weight * H_T, eta * b_D + weight * b_T)
        found += verdicts([path], limit)
    return found


def printed_pairs(joint, alone, lam):
    """Plain arithmetic on two eigenvalues: eight pairs on a ray, two beyond the wall."""
    ray = [(share / joint, share * lam / joint) for share in SHARES]
    return [*ray, (1e-3, 2.05 / alone), (1e-2, 2.5 / alone)]


def below_two(H_D, b_D, H_T, b_T, start, lam):
    joint, alone = curvature(H_D, H_T, 1, lam), curvature(H_D, H_T, 0, 1)
    ray = [(share / joint, share * lam / joint) for share in SHARES]
    pairs = [*ray, (1e-3, 2.05 / alone), (1e-2, 2.5 / alone)]
    return [curvature(H_D, H_T, eta, weight) < 2 for eta, weight in pairs]


def derived_condition(H_D, b_D, H_T, b_T, start, lam):
    """η L(H_D + λ H_T) < 2 with the printed rule's λ: the wrong bracket."""
    joint, alone = curvature(H_D, H_T, 1, lam), curvature(H_D, H_T, 0, 1)
    ray = [(share / joint, share * lam / joint) for share in SHARES]
    pairs = [*ray, (1e-3, 2.05 / alone), (1e-2, 2.5 / alone)]
    return [eta * curvature(H_D, H_T, 1, weight) < 2 for eta, weight in pairs]


def between(H_D, b_D, H_T, b_T, start, lam):
    eta = ETA * 7
    middle = rayleigh(eta * H_D + lam * H_T)
    return [eta * rayleigh(H_D), lam * rayleigh(H_T), middle]


def bounds(H_D, b_D, H_T, b_T, start, lam, upper=None):
    eta = ETA * 7
    middle = curvature(H_D, H_T, eta, lam)
    ends = eta * curvature(H_D, H_T, 1, 0), lam * curvature(H_D, H_T, 0, 1)
    return [middle, middle, max(ends) if upper == "max" else sum(ends)]


def mean_curvature(H_D, b_D, H_T, b_T, start, lam):
    def risk(theta):
        parts = (0.5 * theta @ H @ theta for H in (H_D, H_T))
        return normalised_joint_risk(*parts, lam)

    return rayleigh(hessian(risk)(start))


def decayed_end(H_D, b_D, H_T, b_T, start, lam, rho=0.3):
    """Descent on the weighted mean with weight decay, the gradient by autograd."""

    def risk(theta):
        parts = (0.5 * theta @ H @ theta - b @ theta for H, b in ((H_D, b_D), (H_T, b_T)))
        return normalised_joint_risk(*parts, lam) + 0.5 * rho * theta.square().sum()

    eta = 1 / (rho + max(rayleigh(H_D), rayleigh(H_T)))
    return descend(sgd(eta), grad(risk), start, 400)[-1]


def decayed_solution(H_D, b_D, H_T, b_T, start, lam, rho=0.3, share=True):
    H_D, b_D, H_T, b_T = (value.numpy() for value in (H_D, b_D, H_T, b_T))
    weight = rho * (1 + lam) if share else rho
    return np.linalg.solve(H_D + lam * H_T + weight * np.eye(len(b_D)), b_D + lam * b_T)


def limit_from_autograd(H_D, b_D, H_T, b_T, start, lam, eta=1e-9):
    def printed_objective(theta):
        parts = (0.5 * theta @ H @ theta - b @ theta for H, b in ((H_D, b_D), (H_T, b_T)))
        return sum(weight * part for weight, part in zip((eta, lam), parts, strict=True))

    zero = torch.zeros_like(start)
    return -torch.linalg.solve(hessian(printed_objective)(zero), grad(printed_objective)(zero))


def draw_gradients(generator):
    return real(generator, 6, 3), 0.3, 0.8, 0.95


def positions(rule, gradients):
    theta, path = torch.zeros(len(gradients[0]), dtype=torch.float64), []
    state = rule.init(theta)
    for gradient in gradients:
        step, state = rule(gradient, state)
        theta = theta + step
        path.append(theta)
    return torch.stack(path)


def rmsprop_loops(gradients, eta, _, beta, epsilon=1e-3, inside=False):
    theta, v, path = np.zeros(3), np.zeros(3), []
    for g in gradients.numpy():
        v = beta * v + (1 - beta) * g**2
        theta = theta - eta * g / (np.sqrt(v + epsilon) if inside else np.sqrt(v) + epsilon)
        path.append(theta)
    return path


def adam_loops(gradients, eta, beta_1, beta_2, epsilon=1e-3, corrected=True):
    theta, m, v, path = np.zeros(3), np.zeros(3), np.zeros(3), []
    for k, g in enumerate(gradients.numpy(), start=1):
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        top, below = (m / (1 - beta_1**k), v / (1 - beta_2**k)) if corrected else (m, v)
        theta = theta - eta * top / (np.sqrt(below) + epsilon)
        path.append(theta)
    return path


FORMULAS = {
    "4.1": Formula(
        r"\mathcal{L}_D(\theta) = \tfrac{1}{2} \theta^\top H_D\, \theta - b_D^\top \theta + \frac{1}{2N} \sum_{i=1}^{N}"
        r" (y_i^*)^2, \qquad H_D = \frac{1}{N} X^\top X, \quad b_D = \frac{1}{N} X^\top y^*",
        "closed form", draw_lines,
        lambda theta, x, y, *_: line_risk(theta, x, y), expanded,
        lambda *arguments: expanded(*arguments, labels=False),
    ),
    "4.2": Formula(
        r"\theta(\lambda) = \operatorname*{arg\,min}_\theta \left[ \mathcal{L}_D(\theta) + \lambda\,"
        r" \mathcal{L}_T(\theta) \right] = (H_D + \lambda H_T)^{-1} (b_D + \lambda b_T)",
        "closed form", draw_lines,
        lambda theta, x_D, y_D, x_T, y_T, lam, eta: torch.stack([newton(x_D, y_D, x_T, y_T, lam)] * 2),
        lambda theta, x_D, y_D, x_T, y_T, lam, eta: [
            joint_solution(theta, x_D, y_D, x_T, y_T, lam),
            np.linalg.solve(
                moments(x_D, y_D)[0] + lam * moments(x_T, y_T)[0], moments(x_D, y_D)[1] + lam * moments(x_T, y_T)[1]
            ),
        ],
        lambda *arguments: [joint_solution(*arguments, average=True)] * 2,
    ),
    "4.3": Formula(
        r"\frac{d\theta}{d\lambda} = -(H_D + \lambda H_T)^{-1}\, \nabla \mathcal{L}_T(\theta(\lambda))",
        "gradient", draw_lines, by_differences, implicit,
        lambda *arguments: implicit(*arguments, sign=1), None, nearly_equal,
    ),
    "4.4": Formula(
        r"\frac{d\mathcal{L}_D}{d\lambda} = -\lambda\, \frac{d\mathcal{L}_T}{d\lambda} = \lambda\,"
        r" \nabla\mathcal{L}_T^\top (H_D + \lambda H_T)^{-1}\, \nabla\mathcal{L}_T \ge 0 \qquad \text{at }"
        r" \theta(\lambda)",
        "gradient", draw_lines, risks_by_differences, exchange,
        lambda *arguments: exchange(*arguments, rate=1 + arguments[5]), None, nearly_equal,
    ),
    "4.5": Formula(
        r"\mathcal{L}_D(\theta) + \frac{\lambda}{2} \lVert\theta\rVert^2 = \frac{1}{N} \left[ \sum_{i=1}^{N}"
        r" \tfrac{1}{2} \left( x_i\theta - y_i^* \right)^2 + \sum_{j=1}^{p} \tfrac{1}{2} \left( \sqrt{\lambda N}\,"
        r" e_j^\top \theta - 0 \right)^2 \right]",
        "closed form", draw_lines, ridge_as_task, ridge_rows,
        lambda *arguments: ridge_rows(*arguments, count=False),
    ),
    "4.6": Formula(
        r"\mathcal{L}_T(\theta) = \mathcal{L}_T(\theta_T) + \tfrac{1}{2} (\theta - \theta_T)^\top H_T\,"
        r" (\theta - \theta_T)",
        "closed form", draw_lines,
        lambda theta, x_D, y_D, x, y, *_: line_risk(theta, x, y), around_minimum,
        lambda *arguments: around_minimum(*arguments, half=1.0),
    ),
    "4.7": Formula(
        r"\theta \leftarrow \theta - \eta\, \nabla\mathcal{L}_D(\theta) - \lambda\, \nabla\mathcal{L}_T(\theta)",
        "definition", draw_bowls,
        lambda *bowls: walk(printed(ETA, bowls[-1] * ETA), *bowls[:-1], 5),
        lambda *bowls: loops(*bowls[:-1], 5, ETA, bowls[-1] * ETA),
        lambda *bowls: loops(*bowls[:-1], 5, ETA, bowls[-1] * ETA**2), printed,
    ),
    "4.8": Formula(
        r"\eta\, \nabla\mathcal{L}_D(\theta) + \lambda\, \nabla\mathcal{L}_T(\theta) = \eta \left("
        r" \nabla\mathcal{L}_D(\theta) + \frac{\lambda}{\eta}\, \nabla\mathcal{L}_T(\theta) \right)",
        "update", draw_bowls,
        lambda *bowls: walk(derived(bowls[-1] / ETA, sgd(ETA)), *bowls[:-1], 3),
        lambda *bowls: loops(*bowls[:-1], 3, ETA, bowls[-1]),
        lambda *bowls: loops(*bowls[:-1], 3, ETA, bowls[-1] * ETA),
    ),
    "4.9": Formula(
        r"\theta_\infty = (\eta H_D + \lambda H_T)^{-1} (\eta\, b_D + \lambda\, b_T) = \theta(\lambda / \eta)",
        "closed form", draw_bowls,
        lambda *bowls: torch.stack([printed_end(*bowls), limit_from_autograd(*bowls, eta=1.0)]),
        lambda *bowls: [printed_fixed_point(*bowls)] * 2,
        lambda *bowls: [printed_fixed_point(*bowls, swapped=True)] * 2,
    ),
    "4.10": Formula(
        r"\lambda_{\text{printed}} = \eta\, \lambda",
        "condition", draw_bowls,
        lambda *bowls: walk(derived(bowls[-1], sgd(ETA)), *bowls[:-1], 20),
        lambda *bowls: loops(*bowls[:-1], 20, ETA, ETA * bowls[-1]),
        lambda *bowls: loops(*bowls[:-1], 20, ETA, bowls[-1]),
    ),
    "4.11": Formula(
        r"\lim_{\eta \to 0} (\eta H_D + \lambda H_T)^{-1} (\eta\, b_D + \lambda\, b_T) = H_T^{-1} b_T = \theta_T",
        "closed form", draw_bowls, limit_from_autograd,
        lambda H_D, b_D, H_T, b_T, start, lam: np.linalg.solve(H_T.numpy(), b_T.numpy()),
        lambda H_D, b_D, H_T, b_T, start, lam: np.linalg.solve(H_D.numpy(), b_D.numpy()), None, nearly_equal,
    ),
    "4.12": Formula(
        r"\text{derived rule: } \theta_k \to \theta(\lambda) \text{ for every } \theta_0 \quad \Longleftrightarrow"
        r" \quad 0 < \eta\, L(H_D + \lambda H_T) < 2",
        "condition", draw_steps, derived_verdicts,
        lambda H_D, b_D, H_T, b_T, start, lam, etas: [eta * curvature(H_D, H_T, 1, lam) < 2 for eta in etas],
        lambda H_D, b_D, H_T, b_T, start, lam, etas: [eta * curvature(H_D, H_T, 1, 0) < 2 for eta in etas],
    ),
    "4.13": Formula(
        r"\text{printed rule: } \theta_k \to \theta(\lambda / \eta) \text{ for every } \theta_0 \quad"
        r" \Longleftrightarrow \quad L(\eta H_D + \lambda H_T) < 2",
        "condition", draw_stable, printed_verdicts, below_two, derived_condition,
    ),
    "4.14": Formula(
        r"\max\{ \eta L(H_D),\, \lambda L(H_T) \} \;\le\; L(\eta H_D + \lambda H_T) \;\le\; \eta L(H_D)"
        r" + \lambda L(H_T)",
        "bound", draw_bowls, between, bounds, lambda *bowls: bounds(*bowls, upper="max"), None, at_most,
    ),
    "4.15": Formula(
        r"L\!\left( \frac{H_D + \lambda H_T}{1 + \lambda} \right) \le \max\{ L(H_D),\, L(H_T) \} \qquad \text{for every }"
        r" \lambda \ge 0",
        "bound", draw_bowls, mean_curvature,
        lambda H_D, b_D, H_T, b_T, start, lam: max(curvature(H_D, H_T, 1, 0), curvature(H_D, H_T, 0, 1)),
        lambda H_D, b_D, H_T, b_T, start, lam: min(
            np.linalg.eigvalsh(H_D.numpy())[0], np.linalg.eigvalsh(H_T.numpy())[0]
        ), None, at_most,
    ),
    "4.16": Formula(
        r"v \leftarrow \beta v + (1 - \beta)\, g^2, \qquad \theta \leftarrow \theta - \eta\,"
        r" \frac{g}{\sqrt{v} + \epsilon}",
        "definition", draw_gradients,
        lambda gradients, eta, _, beta: positions(rmsprop(eta, beta, 1e-3), gradients),
        rmsprop_loops, lambda *arguments: rmsprop_loops(*arguments, inside=True), rmsprop,
    ),
    "4.17": Formula(
        r"m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \quad v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2, \qquad"
        r" \theta \leftarrow \theta - \eta\, \frac{m / (1 - \beta_1^k)}{\sqrt{v / (1 - \beta_2^k)} + \epsilon}",
        "definition", draw_gradients,
        lambda gradients, eta, beta_1, beta_2: positions(adam(eta, beta_1, beta_2, 1e-3), gradients),
        adam_loops, lambda *arguments: adam_loops(*arguments, corrected=False), adam,
    ),
    "4.18": Formula(
        r"\operatorname*{arg\,min}_\theta \left[ \frac{\mathcal{L}_D + \lambda \mathcal{L}_T}{1 + \lambda}"
        r" + \frac{\rho}{2} \lVert\theta\rVert^2 \right] = \left( H_D + \lambda H_T + \rho (1 + \lambda) I"
        r" \right)^{-1} (b_D + \lambda b_T)",
        "closed form", draw_bowls, decayed_end, decayed_solution,
        lambda *bowls: decayed_solution(*bowls, share=False),
    ),
}  # fmt: skip
