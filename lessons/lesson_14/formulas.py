"""Formulas of lesson 14, *Meta-features*.

Left sides go through the package's learners, autograd or torch's distributions; right sides through numpy.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch.distributions import MultivariateNormal
from torch.func import grad

from benchmarks.meta_features import changes
from lessons.shared.formulas import Formula, nearly_equal, positive, real, sizes
from metautil.learners import linear_probe, prototypes, set_learner
from metautil.models import embedding, mlp
from metautil.risks import half_squared_error
from metautil.similarity import linear_cka
from metautil.tasks import Data


def draw_task(generator):
    """x (N, 2), one-hot rows Y (N, C), queries (M, 2), weights W (2, 5), bias b (5,), λ."""
    C, shots, M = torch.randint(2, 5, (3,), generator=generator).tolist()
    Y = torch.eye(C, dtype=torch.float64).repeat_interleave(shots, 0)
    x, query = real(generator, len(Y), 2), real(generator, M, 2)
    return x, Y, query, real(generator, 2, 5), real(generator, 5), positive(generator, 1).item()


def draw_one_shot(generator):
    x, Y, query, W, b, lam = draw_task(generator)
    C = Y.shape[1]
    return x[:: len(x) // C], torch.eye(C, dtype=torch.float64), query, W, b, lam


def draw_features(generator):
    """f (K, F) and c (F,), positive; and σ."""
    K, F = sizes(generator, 2)
    return positive(generator, K, F), positive(generator, F), 0.5 + positive(generator, 1).item()


def layer(W, b):
    """The embedding tanh(xW + b), and its φ."""
    body = embedding(mlp((*W.shape, 1)))
    return body, torch.cat([W.reshape(-1), b])


def features(x, W, b):
    return np.tanh(x.numpy() @ W.numpy() + b.numpy())


# The head from the support set


def probe_scores(x, Y, query, W, b, lam):
    body, phi = layer(W, b)
    return linear_probe(body, half_squared_error, lam).adapt(phi, Data(x, Y.argmax(1)))(query)


def head_of_the_support_set(x, Y, query, W, b, lam, bias=True):
    F, f = (np.hstack([features(part, W, b), np.ones((len(part), 1))]) for part in (x, query))
    head = np.linalg.solve(F.T @ F + lam * np.eye(F.shape[1]), F.T @ Y.numpy())
    weights, intercept = head[:-1], head[-1]
    return np.stack([weights.T @ row + bias * intercept for row in f[:, :-1]])


def ridge_primal(F, Y, lam):
    return torch.linalg.solve(F.T @ F + lam * torch.eye(F.shape[1], dtype=F.dtype), F.T @ Y)


def ridge_dual(F, Y, lam, weight=1):
    F, Y = F.numpy(), Y.numpy()
    return F.T @ np.linalg.inv(F @ F.T + weight * lam * np.eye(len(F))) @ Y


def draw_ridge(generator):
    N, F, C = sizes(generator, 3)
    return real(generator, N, F), real(generator, N, C), 0.5 + positive(generator, 1).item()


# Prototypes


def bayes(f, c, sigma):
    """Posterior of K classes with centres f, at c, by torch's densities."""
    density = MultivariateNormal(f, sigma**2 * torch.eye(len(c), dtype=f.dtype)).log_prob(c).exp()
    return density / density.sum()


def softmax_of_distances(f, c, sigma, half=2.0):
    scores = np.exp(-((f.numpy() - c.numpy()) ** 2).sum(1) / (half * sigma**2))
    return scores / scores.sum()


def distance_scores(f, c, sigma):
    return -(c - f).square().sum(1) + c.square().sum()


def linear_scores(f, c, sigma, weight=2):
    f, c = f.numpy(), c.numpy()
    return weight * f @ c - (f**2).sum(1)


def spread(f, c, sigma):
    return (f - c).square().sum()


def spread_by_mean(f, c, sigma, count=True):
    f, c = f.numpy(), c.numpy()
    middle = f.mean(0)
    return ((f - middle) ** 2).sum() + (len(f) if count else 1) * ((middle - c) ** 2).sum()


def prototype_scores(x, Y, query, W, b, lam):
    body, phi = layer(W, b)
    return prototypes(body).adapt(phi, Data(x, Y.argmax(1)))(query)


def scores_by_loops(x, Y, query, W, b, lam, power=1):
    f, q, labels = features(x, W, b), features(query, W, b), Y.numpy().argmax(1)
    centres = [f[labels == n].sum(0) / (labels == n).sum() ** power for n in range(Y.shape[1])]
    return np.array([[-((row - centre) ** 2).sum() for centre in centres] for row in q])


# Divergences


def entropy(p):
    return (p * p.log()).sum()


def bregman(p, q):
    return entropy(p) - entropy(q) - grad(entropy)(q) @ (p - q)


def divergence(f, c, sigma):
    return bregman(f[0], c)


def relative_entropy(p, q, rest=1):
    return (p * np.log(p / q) + rest * (q - p)).sum()


def divergences_from_the_centre(f, c, sigma):
    return sum(bregman(each, c) for each in f)


def divergences_by_mean(f, c, sigma, count=True):
    f, c = f.numpy(), c.numpy()
    middle = f.mean(0)
    total = sum(relative_entropy(each, middle) for each in f)
    return total + (len(f) if count else 1) * relative_entropy(middle, c)


# Representations


def draw_tables(generator):
    N, F, G = (3 + size for size in sizes(generator, 3))
    return real(generator, N, F) + 1, real(generator, N, G) - 0.5


def share_of_projections(A, B):
    centred = A - A.mean(0)
    V = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:]
    return (centred @ V @ V.T).square().sum() / centred.square().sum()


def share_of_singular_values(A, B, power=2):
    values = np.linalg.svd(A.numpy() - A.numpy().mean(0), compute_uv=False) ** power
    return values[:2].sum() / values.sum()


def cka_by_loops(A, B, power=2):
    A, B = (part.numpy() - part.numpy().mean(0) for part in (A, B))

    def size(P, Q):
        return sum((P[:, i] @ Q[:, j]) ** 2 for i in range(P.shape[1]) for j in range(Q.shape[1])) ** 0.5

    return size(A, B) ** power / (size(A, A) * size(B, B))


def draw_moves(generator):
    """Sizes of a network, θ_0 and θ_K of two tasks."""
    widths = sizes(generator, 3)
    model = mlp(widths)
    before = real(generator, model.size)
    return widths, before, before + 0.1 * real(generator, 2, model.size)


def moves_by_package(widths, before, after):
    return list(changes(mlp(widths), before, after).values())


def moves_by_slices(widths, before, after, root=0.5):
    before, after, first, found = before.numpy(), after.numpy(), 0, []
    for inputs, outputs in pairwise(widths):
        own = slice(first, first + inputs * outputs + outputs)
        first = own.stop
        squares = ((after[:, own] - before[own]) ** 2).sum(1)
        found.append((squares**root).mean() / (before[own] ** 2).sum() ** root)
    return found


# A black box

WIDTH = 6


def draw_set(generator):
    """One task, and φ of a set learner with a 2-4 embedding and C outputs."""
    x, Y, query, *_ = draw_task(generator)
    C = Y.shape[1]
    shapes = ((2, 4), (4, WIDTH), (WIDTH + C, WIDTH), (WIDTH, WIDTH), (3 * WIDTH, WIDTH), (WIDTH, C))
    return x, Y, query, 0.6 * real(generator, sum(inputs * outputs + outputs for inputs, outputs in shapes))


def set_scores(x, Y, query, phi):
    learner = set_learner(mlp((2, 4, Y.shape[1])), half_squared_error, WIDTH)
    return learner.adapt(phi, Data(x, Y.argmax(1)))(query)


def set_scores_by_loops(x, Y, query, phi, root=0.5):
    x, Y, query, phi = (part.numpy() for part in (x, Y, query, phi))
    C, used = Y.shape[1], 0

    def take(inputs, outputs):
        nonlocal used
        weight = phi[used : used + inputs * outputs].reshape(inputs, outputs)
        used += inputs * outputs + outputs
        return weight, phi[used - outputs : used]

    body, k, r1, r2, o1, o2 = (
        take(*shape)
        for shape in ((2, 4), (4, WIDTH), (WIDTH + C, WIDTH), (WIDTH, WIDTH), (3 * WIDTH, WIDTH), (WIDTH, C))
    )

    def f(row):
        return np.tanh(row @ body[0] + body[1])

    def two_layers(row, first, second):
        return np.maximum(row @ first[0] + first[1], 0) @ second[0] + second[1]

    middle = sum(f(row) for row in x) / len(x)
    z = [(f(row) - middle) @ k[0] + k[1] for row in x]
    read = [two_layers(np.concatenate(pair), r1, r2) for pair in zip(z, Y, strict=True)]
    answers = []
    for row in query:
        own = (f(row) - middle) @ k[0] + k[1]
        weights = np.exp([own @ each / WIDTH**root for each in z])
        looked = sum(weight * each for weight, each in zip(weights / weights.sum(), read, strict=True))
        answers.append(two_layers(np.concatenate([own, looked, sum(read) / len(read)]), o1, o2))
    return np.array(answers)


def posterior_of_prototypes(x, Y, query, W, b, lam):
    return prototype_scores(x, Y, query, W, b, lam).softmax(1)


def matching(x, Y, query, W, b, lam, sign=-1):
    f, q = features(x, W, b), features(query, W, b)
    weights = np.exp([[sign * ((row - each) ** 2).sum() for each in f] for row in q])
    return weights / weights.sum(1, keepdims=True) @ Y.numpy()


FORMULAS = {
    "14.1": Formula(
        r"h(x; S) = W(S)^\top f_\varphi(x) + b(S)",
        "closed form", draw_task, probe_scores, head_of_the_support_set,
        lambda *task: head_of_the_support_set(*task, bias=False),
    ),
    "14.2": Formula(
        r"p(y = n \mid f) = \frac{\exp\!\left( -\lVert f - c_n \rVert^2 / 2\sigma^2 \right)}{\sum_m \exp\!\left( -\lVert f"
        r" - c_m \rVert^2 / 2\sigma^2 \right)}",
        "closed form", draw_features, bayes, softmax_of_distances, lambda *some: softmax_of_distances(*some, half=1.0),
    ),
    "14.3": Formula(
        r"-\lVert f - c_n \rVert^2 + \lVert f \rVert^2 = w_n^\top f + b_n, \qquad w_n = 2 c_n, \quad b_n = -\lVert c_n"
        r" \rVert^2",
        "closed form", draw_features, distance_scores, linear_scores, lambda *some: linear_scores(*some, weight=1),
    ),
    "14.4": Formula(
        r"\sum_{i=1}^{K} \lVert f_i - c \rVert^2 = \sum_{i=1}^{K} \lVert f_i - \bar f \rVert^2 + K\, \lVert \bar f - c"
        r" \rVert^2",
        "optimum", draw_features, spread, spread_by_mean, lambda *some: spread_by_mean(*some, count=False),
    ),
    "14.5": Formula(
        r"c_n = \frac{1}{|S_n|} \sum_{(x, y) \in S_n} f_\varphi(x)",
        "definition", draw_task, prototype_scores, scores_by_loops, lambda *task: scores_by_loops(*task, power=2),
        prototypes,
    ),
    "14.6": Formula(
        r"D_F(p, q) = F(p) - F(q) - \nabla F(q)^\top (p - q)",
        "closed form", draw_features, divergence, lambda f, c, sigma: relative_entropy(f[0].numpy(), c.numpy()),
        lambda f, c, sigma: relative_entropy(f[0].numpy(), c.numpy(), rest=0),
    ),
    "14.7": Formula(
        r"\sum_{i=1}^{K} D_F(f_i, c) = \sum_{i=1}^{K} D_F(f_i, \bar f) + K\, D_F(\bar f, c)",
        "optimum", draw_features, divergences_from_the_centre, divergences_by_mean,
        lambda *some: divergences_by_mean(*some, count=False),
    ),
    "14.8": Formula(
        r"\frac{\sum_i \lVert P\, \tilde f_i \rVert^2}{\sum_i \lVert \tilde f_i \rVert^2} = \frac{\sigma_1^2 + \sigma_2^2}"
        r"{\sum_j \sigma_j^2}, \qquad P = V_2 V_2^\top",
        "closed form", draw_tables, share_of_projections, share_of_singular_values,
        lambda *tables: share_of_singular_values(*tables, power=1), None, nearly_equal,
    ),
    "14.9": Formula(
        r"W = \left( F^\top F + \lambda I \right)^{-1} F^\top Y = F^\top \left( F F^\top + \lambda I \right)^{-1} Y",
        "closed form", draw_ridge, ridge_primal, ridge_dual, lambda *table: ridge_dual(*table, weight=2),
    ),
    "14.10": Formula(
        r"\delta_\ell = \frac{\lVert \theta_{K,\ell} - \theta_{0,\ell} \rVert}{\lVert \theta_{0,\ell} \rVert}",
        "closed form", draw_moves, moves_by_package, moves_by_slices, lambda *moves: moves_by_slices(*moves, root=1),
    ),
    "14.11": Formula(
        r"\mathrm{CKA}(A, B) = \frac{\lVert A^\top B \rVert^2}{\lVert A^\top A \rVert\, \lVert B^\top B \rVert} ="
        r" \frac{\langle A A^\top, B B^\top \rangle}{\lVert A A^\top \rVert\, \lVert B B^\top \rVert}",
        "definition", draw_tables, linear_cka, cka_by_loops, lambda *tables: cka_by_loops(*tables, power=1), linear_cka,
    ),
    "14.12": Formula(
        r"h(x; S) = o\Big( z(x),\; \sum_i a_i(x)\, r_i,\; \frac{1}{|S|} \sum_i r_i \Big), \quad z(x) = k(f(x) - \bar f),"
        r" \quad r_i = r(z(x_i), y_i), \quad a(x) = \operatorname{softmax}_i \frac{z(x)^\top z(x_i)}{\sqrt{w}}",
        "definition", draw_set, set_scores, set_scores_by_loops, lambda *some: set_scores_by_loops(*some, root=0),
        set_learner,
    ),
    "14.13": Formula(
        r"\sum_i a_i(x)\, y_i = \big( p(y = n \mid f(x)) \big)_n, \qquad a(x) = \operatorname{softmax}_i\!\left( -\lVert"
        r" f(x) - f(x_i) \rVert^2 \right), \quad \text{one example a class}",
        "closed form", draw_one_shot, posterior_of_prototypes, matching, lambda *task: matching(*task, sign=1),
    ),
}  # fmt: skip
