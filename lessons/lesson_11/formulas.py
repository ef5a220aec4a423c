"""Formulas of lesson 11, *Learning to adapt*.

Left sides go through the package's learners, autograd or differences; right sides through numpy.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.func import grad, hessian, jacrev, jvp

from lessons.shared.formulas import (
    Formula,
    draw_network,
    nearly_equal,
    numpy_network,
    package_network,
    positive,
    real,
    sizes,
)
from metautil.datasets import quadratics
from metautil.gradients import central_differences
from metautil.learners import adapted_risks, fomaml, imaml, joint, maml, reptile
from metautil.linear import linear_model
from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data, Task
from metautil.updates import descend, sgd


def curved(generator, *shape):
    """Symmetric positive definite matrices (..., p, p) with eigenvalues from 0.3 to 2, for a shape (..., p)."""
    axes = torch.linalg.qr(real(generator, *shape, shape[-1])).Q
    values = 0.3 + 1.7 * torch.rand(*shape, generator=generator, dtype=torch.float64)
    return axes * values.unsqueeze(-2) @ axes.mT


def draw_bowls(generator):
    """A (T, p, p), c (T, p) of T bowls, a point φ (p,), α with αA < 1, K."""
    T, p = sizes(generator, 2)
    alpha = 0.1 + 0.3 * torch.rand((), generator=generator, dtype=torch.float64).item()
    K = int(torch.randint(1, 4, (), generator=generator))
    return curved(generator, T, p), real(generator, T, p), real(generator, p), alpha, K


def draw_three(generator):
    """Bowls of D, T and V as (A, c) each, λ, η."""
    (p,) = sizes(generator, 1)
    pieces = [piece for _ in range(3) for piece in (curved(generator, p), real(generator, p))]
    lam, eta = (0.2 + torch.rand(2, generator=generator, dtype=torch.float64)).tolist()
    return *pieces, lam, 0.3 * eta


def height(A, c, theta):
    """½ (θ − c)ᵀ A (θ − c), in torch."""
    return 0.5 * (theta - c) @ A @ (theta - c)


def arrays(*tensors):
    return [tensor.numpy() for tensor in tensors]


# From sliders to bilevel

STEPS = 4


def hypergradient_by_autograd(A_D, c_D, A_T, c_T, A_V, c_V, lam, eta):
    """d/dλ of the held-out risk after `STEPS` steps on the weighted mean, through the loop."""

    def held_out(lam):
        def objective(theta):
            return (height(A_D, c_D, theta) + lam * height(A_T, c_T, theta)) / (1 + lam)

        return height(A_V, c_V, descend(sgd(eta), grad(objective), torch.zeros_like(c_D), STEPS)[-1])

    return grad(held_out)(torch.tensor(lam, dtype=torch.float64))


def hypergradient_by_recursion(A_D, c_D, A_T, c_T, A_V, c_V, lam, eta, curvature=True):
    A_D, c_D, A_T, c_T, A_V, c_V = arrays(A_D, c_D, A_T, c_T, A_V, c_V)
    theta, s = np.zeros_like(c_D), np.zeros_like(c_D)
    H = (A_D + lam * A_T) / (1 + lam)
    for _ in range(STEPS):
        slope_D, slope_T = A_D @ (theta - c_D), A_T @ (theta - c_T)
        s = s - curvature * eta * H @ s - eta * (slope_T - slope_D) / (1 + lam) ** 2
        theta = theta - eta * (slope_D + lam * slope_T) / (1 + lam)
    return A_V @ (theta - c_V) @ s


def settled(A_D, c_D, A_T, c_T, lam):
    """argmin L_D + λ L_T by a Newton step through autograd, differentiable in λ."""
    zero = torch.zeros_like(c_D)

    def slope(theta):
        return grad(lambda theta: height(A_D, c_D, theta) + lam * height(A_T, c_T, theta))(theta)

    return zero - torch.linalg.solve(jacrev(slope)(zero), slope(zero))


def implicit_by_differences(A_D, c_D, A_T, c_T, A_V, c_V, lam, eta):
    def held_out(lam):
        return height(A_V, c_V, settled(A_D, c_D, A_T, c_T, lam))

    return central_differences(lambda one: held_out(one[0]), torch.tensor([lam], dtype=torch.float64))[0]


def implicit(A_D, c_D, A_T, c_T, A_V, c_V, lam, eta, sign=-1):
    A_D, c_D, A_T, c_T, A_V, c_V = arrays(A_D, c_D, A_T, c_T, A_V, c_V)
    H = A_D + lam * A_T
    theta = np.linalg.solve(H, A_D @ c_D + lam * A_T @ c_T)
    return sign * A_V @ (theta - c_V) @ np.linalg.solve(H, A_T @ (theta - c_T))


def envelope_by_differences(A_D, c_D, A_T, c_T, A_V, c_V, lam, eta):
    def lowest(lam):
        theta = settled(A_D, c_D, A_T, c_T, lam)
        return height(A_D, c_D, theta) + lam * height(A_T, c_T, theta)

    found = central_differences(lambda one: lowest(one[0]), torch.tensor([lam], dtype=torch.float64))[0]
    assert found >= 0
    return found


def risk_of_task(A_D, c_D, A_T, c_T, A_V, c_V, lam, eta, share=1.0):
    A_D, c_D, A_T, c_T = arrays(A_D, c_D, A_T, c_T)
    theta = np.linalg.solve(A_D + lam * A_T, A_D @ c_D + lam * A_T @ c_T)
    return share * 0.5 * (theta - c_T) @ A_T @ (theta - c_T)


def outer_descent(A_D, c_D, A_T, c_T, A_V, c_V, lam, eta):
    """The bilevel problem with the centre φ of a spring as what is learned, descended through the inner minimum."""
    identity = torch.eye(len(c_D), dtype=torch.float64)

    def outer(phi):
        theta = torch.linalg.solve(A_D + lam * identity, A_D @ c_D + lam * phi)
        return height(A_V, c_V, theta)

    phi = torch.zeros_like(c_D)
    for _ in range(3):  # Newton's method on a quadratic: the first step arrives
        phi = phi - torch.linalg.solve(jacrev(grad(outer))(phi), grad(outer)(phi))
    return phi


def outer_solution(A_D, c_D, A_T, c_T, A_V, c_V, lam, eta, inner=True):
    """The inner minimum can be put anywhere, hence on c_V: (A_D + λI) c_V = A_D c_D + λφ."""
    A_D, c_D, c_V = arrays(A_D, c_D, c_V)
    return c_V + A_D @ (c_V - c_D) / lam if inner else c_V


# MAML


def maml_value(A, c, phi, alpha, K):
    """Support sets from one half of the bowls' tasks, query sets from the same tasks turned around."""
    support, query = quadratics(A, c), quadratics(A.flip(0), c.flip(0))
    tasks = Task(support.support, query.query)
    model = linear_model(len(phi))
    return adapted_risks(maml(model, half_squared_error, alpha, K), phi, tasks, half_squared_error).mean()


def maml_loops(A, c, phi, alpha, K, adapt=True):
    A, c, phi = arrays(A, c, phi)
    total = 0.0
    for t in range(len(c)):
        theta = phi
        for _ in range(K if adapt else 0):
            theta = theta - alpha * A[t] @ (theta - c[t])
        away = theta - c[len(c) - 1 - t]
        total += 0.5 * away @ A[len(c) - 1 - t] @ away
    return total / len(c)


def left_over(A, alpha, K):
    """(I − αA)^K by eigenvalues, in numpy."""
    values, axes = np.linalg.eigh(A)
    return axes * ((1 - alpha * values) ** K)[..., None, :] @ np.swapaxes(axes, -1, -2)


def walked(A, c, phi, alpha, K):
    """θ_K − c of the package's inner loop, for each task."""
    adapted = maml(linear_model(len(phi)), half_squared_error, alpha, K).adapt(phi, quadratics(A, c).support)
    return adapted.args[0].detach() - c


def shrunk(A, c, phi, alpha, K, extra=0):
    A, c, phi = arrays(A, c, phi)
    return (left_over(A, alpha, K + extra) @ (phi - c)[..., None])[..., 0]


def cubic(A, c, x, library):
    """A risk that is no bowl: Σ ¼ ((x − c)ᵀA)⁴ + ½ |x − c|², in torch or numpy."""
    return 0.25 * ((A @ (x - c)) ** 4).sum() + 0.5 * ((x - c) ** 2).sum()


def one_step_by_differences(A, c, phi, alpha, K):
    def query(phi):
        theta = phi - 0.1 * alpha * grad(lambda theta: cubic(A[0], c[0], theta, torch))(phi)
        return cubic(A[-1], c[-1] + 0.3, theta, torch)

    return central_differences(query, phi, 1e-6)


def chain(A, c, phi, alpha, K, jacobian=True):
    A, c, phi = arrays(A, c, phi)

    def slope(A, c, x):
        return A.T @ (A @ (x - c)) ** 3 + (x - c)

    theta = phi - 0.1 * alpha * slope(A[0], c[0], phi)
    H = A[0].T @ np.diag(3 * (A[0] @ (phi - c[0])) ** 2) @ A[0] + np.eye(len(phi))
    query = slope(A[-1], c[-1] + 0.3, theta)
    return query - jacobian * 0.1 * alpha * H @ query


def maml_gradient(A, c, phi, alpha, K):
    return maml(linear_model(len(phi)), half_squared_error, alpha, K).meta_gradient(phi, quadratics(A, c))[0]


def mean_pull(A, c, phi, weights):
    """Mean of W_t (φ − c_t), in numpy."""
    return (weights @ (phi - c)[..., None])[..., 0].mean(0)


def both_factors(A, c, phi, alpha, K, second=True):
    A, c, phi = arrays(A, c, phi)
    left = left_over(A, alpha, K)
    return mean_pull(A, c, phi, left @ A @ left if second else A @ left)


def stationary(learner, phi, tasks):
    """Where a gradient that is affine in φ vanishes: from its values alone."""
    zero = torch.zeros_like(phi)
    at_zero = learner.meta_gradient(zero, tasks)[0]
    columns = [learner.meta_gradient(unit, tasks)[0] - at_zero for unit in torch.eye(len(phi), dtype=phi.dtype)]
    return torch.linalg.solve(torch.stack(columns, 1), -at_zero)


def learners_of(phi, alpha, K):
    model = linear_model(len(phi))
    return [joint(model, half_squared_error), *(
        make(model, half_squared_error, alpha, K) for make in (maml, fomaml, reptile)
    )]  # fmt: skip


def ends(A, c, phi, alpha, K):
    return torch.stack([stationary(learner, phi, quadratics(A, c)) for learner in learners_of(phi, alpha, K)])


def weighted(A, c, phi, alpha, K, plain=False):
    A, c, phi = arrays(A, c, phi)
    found = []
    for W in weights_of(A, alpha, K):
        pull = (W @ c[..., None])[..., 0].sum(0)
        found.append(c.mean(0) if plain else np.linalg.inv(W.sum(0)) @ pull)
    return found


def weights_of(A, alpha, K, reptile_steps=None):
    left = left_over(A, alpha, K)
    identity = np.eye(A.shape[-1])
    return [A, left @ A @ left, A @ left, identity - left_over(A, alpha, reptile_steps or K)]


def pulls(A, c, phi, alpha, K):
    """The four learners' gradients; Reptile's times α."""
    found = [learner.meta_gradient(phi, quadratics(A, c))[0] for learner in learners_of(phi, alpha, K)]
    return torch.stack([*found[:3], alpha * found[3]])


def weighted_pulls(A, c, phi, alpha, K, **change):
    A, c, phi = arrays(A, c, phi)
    return [mean_pull(A, c, phi, W) for W in weights_of(A, alpha, K, **change)]


# First order, implicit


def measured_error(A, c, phi, alpha, K):
    """FOMAML minus MAML at α, and its growth with α near 0 by a quotient."""
    tasks, model = quadratics(A, c), linear_model(len(phi))

    def error(alpha):
        first_order, exact = (make(model, half_squared_error, alpha, K) for make in (fomaml, maml))
        return first_order.meta_gradient(phi, tasks)[0] - exact.meta_gradient(phi, tasks)[0]

    small = 1e-4
    return torch.stack([error(alpha), (4 * error(small) - error(2 * small)) / (2 * small)])


def predicted_error(A, c, phi, alpha, K, steps=True):
    A, c, phi = arrays(A, c, phi)
    left = left_over(A, alpha, K)
    exact = mean_pull(A, c, phi, (np.eye(len(phi)) - left) @ A @ left)
    return [exact, mean_pull(A, c, phi, (K if steps else 1 + K) * A @ A)]


def spring_jacobian(A, c, phi, alpha, K):
    """dθ*/dφ of the inner minimum, found by 60 steps of gradient descent, with autograd through them."""
    lam = 0.5 + alpha

    def end(phi):
        slope = grad(lambda theta: height(A[0], c[0], theta) + 0.5 * lam * ((theta - phi) ** 2).sum())
        return descend(sgd(0.6), slope, phi, 60)[-1]

    return jacrev(end)(phi)


def spring_inverse(A, c, phi, alpha, K, inverted=True):
    lam = 0.5 + alpha
    matrix = np.eye(len(phi)) + (A[0].numpy() / lam if inverted else lam * A[0].numpy())
    return np.linalg.inv(matrix)


def imaml_gradient(A, c, phi, alpha, K):
    """The package's, on tasks whose query set is another bowl than the support set."""
    support, query = quadratics(A, c), quadratics(A.flip(0), c.flip(0))
    learner = imaml(linear_model(len(phi)), half_squared_error, 0.6, 80, 0.5 + alpha)
    return learner.meta_gradient(phi, Task(support.support, query.query))[0]


def implicit_solve(A, c, phi, alpha, K, solve=True):
    A, c, phi = arrays(A, c, phi)
    lam, found = 0.5 + alpha, []
    for t in range(len(c)):
        theta = np.linalg.solve(A[t] + lam * np.eye(len(phi)), A[t] @ c[t] + lam * phi)
        query = A[len(c) - 1 - t] @ (theta - c[len(c) - 1 - t])
        found.append(np.linalg.solve(np.eye(len(phi)) + A[t] / lam, query) if solve else query)
    return np.mean(found, 0)


def imaml_pull(A, c, phi, alpha, K):
    learner = imaml(linear_model(len(phi)), half_squared_error, 0.6, 80, 0.5 + alpha)
    return learner.meta_gradient(phi, quadratics(A, c))[0]


def spring_weights(A, c, phi, alpha, K, twice=True):
    A, c, phi = arrays(A, c, phi)
    shrink = np.linalg.inv(np.eye(len(phi)) + A / (0.5 + alpha))
    return mean_pull(A, c, phi, shrink @ A @ shrink if twice else A @ shrink)


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
    "11.1": Formula(
        r"\frac{d}{d\lambda} \mathcal{L}_V(\theta_K) = \nabla\mathcal{L}_V(\theta_K)^\top s_K, \qquad s_0 = 0, \quad"
        r" s_{k+1} = \left( I - \eta \nabla^2_\theta J(\theta_k, \lambda) \right) s_k - \eta\,"
        r" \frac{\partial}{\partial\lambda} \nabla_\theta J(\theta_k, \lambda)",
        "gradient", draw_three, hypergradient_by_autograd, hypergradient_by_recursion,
        lambda *bowls: hypergradient_by_recursion(*bowls, curvature=False),
    ),
    "11.2": Formula(
        r"\frac{d}{d\lambda} \mathcal{L}_V(\theta(\lambda)) = -\nabla\mathcal{L}_V(\theta(\lambda))^\top (H_D + \lambda"
        r" H_T)^{-1}\, \nabla\mathcal{L}_T(\theta(\lambda))",
        "gradient", draw_three, implicit_by_differences, implicit,
        lambda *bowls: implicit(*bowls, sign=1), None, nearly_equal,
    ),
    "11.3": Formula(
        r"\frac{d}{d\lambda} \min_\theta \left[ \mathcal{L}_D(\theta) + \lambda\, \mathcal{L}_T(\theta) \right] ="
        r" \mathcal{L}_T(\theta(\lambda)) \ge 0",
        "gradient", draw_three, envelope_by_differences, risk_of_task,
        lambda *bowls: risk_of_task(*bowls, share=2.0), None, nearly_equal,
    ),
    "11.4": Formula(
        r"\min_\varphi\; \mathcal{L}_V\!\left( \theta^*(\varphi) \right) \qquad \text{where} \quad \theta^*(\varphi) ="
        r" \operatorname*{arg\,min}_\theta\, J(\theta, \varphi)",
        "optimum", draw_three, outer_descent, outer_solution,
        lambda *bowls: outer_solution(*bowls, inner=False),
    ),
    "11.5": Formula(
        r"\min_\varphi\; \frac{1}{N_{\mathcal{T}}} \sum_{t=1}^{N_{\mathcal{T}}} \mathcal{L}_{Q_t}\!\left("
        r" \theta_K(\varphi, S_t) \right), \qquad \theta_0 = \varphi, \quad \theta_{k+1} = \theta_k - \alpha\,"
        r" \nabla\mathcal{L}_{S_t}(\theta_k)",
        "closed form", draw_bowls, maml_value, maml_loops, lambda *bowls: maml_loops(*bowls, adapt=False),
    ),
    "11.6": Formula(
        r"\theta_K(\varphi) - c = (I - \alpha A)^K (\varphi - c)",
        "closed form", draw_bowls, walked, shrunk, lambda *bowls: shrunk(*bowls, extra=1),
    ),
    "11.7": Formula(
        r"\nabla_\varphi\, \mathcal{L}_Q\!\left( \varphi - \alpha \nabla\mathcal{L}_S(\varphi) \right) = \left( I -"
        r" \alpha \nabla^2 \mathcal{L}_S(\varphi) \right) \nabla\mathcal{L}_Q(\theta_1)",
        "gradient", draw_bowls, one_step_by_differences, chain,
        lambda *bowls: chain(*bowls, jacobian=False), None, nearly_equal,
    ),
    "11.8": Formula(
        r"\nabla_\varphi\, \mathcal{L}(\theta_K(\varphi)) = (I - \alpha A)^K A\, (I - \alpha A)^K (\varphi - c)",
        "gradient", draw_bowls, maml_gradient, both_factors, lambda *bowls: both_factors(*bowls, second=False),
    ),
    "11.9": Formula(
        r"\varphi^* = \Big( \sum_t W_t \Big)^{-1} \sum_t W_t\, c_t",
        "optimum", draw_bowls, ends, weighted, lambda *bowls: weighted(*bowls, plain=True),
    ),
    "11.10": Formula(
        r"W_{\text{joint}} = A, \quad W_{\text{MAML}} = (I - \alpha A)^K A\, (I - \alpha A)^K, \quad W_{\text{FOMAML}} ="
        r" A\, (I - \alpha A)^K, \quad W_{\text{Reptile}} = I - (I - \alpha A)^K",
        "gradient", draw_bowls, pulls, weighted_pulls,
        lambda A, c, phi, alpha, K: weighted_pulls(A, c, phi, alpha, K, reptile_steps=2 * K),
    ),
    "11.11": Formula(
        r"g_{\text{FOMAML}} - g_{\text{MAML}} = \left( I - (I - \alpha A)^K \right) A\, (I - \alpha A)^K (\varphi - c) ="
        r" \alpha K A^2 (\varphi - c) + O(\alpha^2)",
        "gradient", draw_bowls, measured_error, predicted_error,
        lambda *bowls: predicted_error(*bowls, steps=False), None, nearly_equal,
    ),
    "11.12": Formula(
        r"\theta^*(\varphi) = \operatorname*{arg\,min}_\theta \left[ \mathcal{L}_S(\theta) + \frac{\lambda}{2} \lVert"
        r" \theta - \varphi \rVert^2 \right] \quad\Rightarrow\quad \frac{\partial\theta^*}{\partial\varphi} = \left( I +"
        r" \tfrac{1}{\lambda} \nabla^2\mathcal{L}_S(\theta^*) \right)^{-1}",
        "gradient", draw_bowls, spring_jacobian, spring_inverse,
        lambda *bowls: spring_inverse(*bowls, inverted=False),
    ),
    "11.13": Formula(
        r"\nabla_\varphi\, \mathcal{L}_Q(\theta^*(\varphi)) = \left( I + \tfrac{1}{\lambda}"
        r" \nabla^2\mathcal{L}_S(\theta^*) \right)^{-1} \nabla\mathcal{L}_Q(\theta^*)",
        "gradient", draw_bowls, imaml_gradient, implicit_solve,
        lambda *bowls: implicit_solve(*bowls, solve=False), None, nearly_equal,
    ),
    "11.14": Formula(
        r"W_{\text{iMAML}} = \left( I + \tfrac{1}{\lambda} A \right)^{-1} A \left( I + \tfrac{1}{\lambda} A \right)^{-1}",
        "gradient", draw_bowls, imaml_pull, spring_weights,
        lambda *bowls: spring_weights(*bowls, twice=False), None, nearly_equal,
    ),
    "11.15": Formula(
        r"a \sin(x - \varphi) = b_1 \sin x + b_2 \cos x, \qquad b_1 = a \cos\varphi, \quad b_2 = -a \sin\varphi",
        "closed form", draw_wave, wave, two_features, lambda *arguments: two_features(*arguments, sign=1),
    ),
    "11.16": Formula(
        r"m(x) = \mathbb{E}[y \mid x] = -\frac{2}{\pi}\, \bar a \cos x \approx -1.62 \cos x",
        "closed form", draw_wave, averaged_wave,
        lambda x, a, phi: -2 / np.pi * a * np.cos(x.numpy()),
        lambda x, a, phi: 2 / np.pi * a * np.sin(x.numpy()), None, nearly_equal,
    ),
    "11.17": Formula(
        r"\frac{1}{N_{\mathcal{T}}} \sum_{t=1}^{N_{\mathcal{T}}} \tfrac{1}{2} \left( f(x) - y_t(x) \right)^2"
        r" = \tfrac{1}{2} \left( f(x) - m(x) \right)^2"
        r" + \frac{1}{N_{\mathcal{T}}} \sum_{t=1}^{N_{\mathcal{T}}} \tfrac{1}{2} \left( y_t(x) - m(x) \right)^2",
        "closed form", draw_labels, pooled_risk, split_risk, lambda *arguments: split_risk(*arguments, ddof=1),
    ),
    "11.18": Formula(
        r"f_\lambda(x) = \frac{p_D(x)\, m(x) + \lambda\, p_T(x)\, f_T(x)}{p_D(x) + \lambda\, p_T(x)} ="
        r" \frac{m(x) + \lambda f_T(x)}{1 + \lambda} \quad \text{where } p_D(x) = p_T(x)",
        "optimum", draw_blend, blended, blend, lambda *arguments: blend(*arguments, divided=False),
    ),
    "11.19": Formula(
        r"\mathbb{E}\left[ \tfrac{1}{2} \left( u'v' - c \right)^2 \right] = \tfrac{1}{2} \left( 1 - \alpha s^2 \right)^2"
        r" \mathbb{E}\left[ c^2 \right] \qquad \text{after one step from } (u, v) = (0, s)",
        "update", draw_small, small_after_step, small_closed, lambda *arguments: small_closed(*arguments, power=1),
    ),
    "11.20": Formula(
        r"M_{\theta - \alpha\nabla\mathcal{L}_S(\theta)}(x) = M_\theta(x) - \frac{\alpha}{N_S} \sum_{i=1}^{N_S}"
        r" k_\theta(x, x_i) \left( M_\theta(x_i) - y_i^* \right) + O(\alpha^2), \qquad k_\theta(x, x') = J_\theta(x)\,"
        r" J_\theta(x')^\top",
        "update", draw_step, slope_in_alpha, spread_errors, lambda *arguments: spread_errors(*arguments, mean=False),
    ),
    "11.21": Formula(
        r"\frac{1}{2\pi} \int_{-\pi}^{\pi} 2 \cos(x - x')\, r(x')\, dx' = r(x) \qquad \text{for } r(x) = r_1 \sin x"
        r" + r_2 \cos x",
        "closed form", draw_wave, spread_over_a_turn, error_itself,
        lambda *arguments: error_itself(*arguments, factor=0.5),
    ),
}  # fmt: skip
