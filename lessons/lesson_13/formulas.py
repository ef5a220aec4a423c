"""Formulas of lesson 13, *Few-shot images*.

Left sides run the package's prototypes and conv4, or enumerate all cases; right sides are numpy.
"""

from __future__ import annotations

from itertools import combinations, product
from math import comb

import numpy as np
import torch

from lessons.shared.formulas import Formula, at_most, real, sizes
from metautil.learners import prototypes
from metautil.models import Model, conv4, embedding
from metautil.tasks import Data


def whole(generator, low, high):
    return int(torch.randint(low, high + 1, (), generator=generator))


def scores_of(support, labels, queries):
    """What the package's prototypes score, with the images themselves as embeddings: x (..., N, F) → (..., N, C)."""
    plain = Model({}, lambda weights, x: x, lambda weights, f: f, (support.shape[-1],))
    return prototypes(plain).adapt(support.new_zeros(0), Data(support, labels))(queries)


# The game


def draw_chances(generator):
    """p (T, N) of equally likely tasks, q."""
    T, N = whole(generator, 2, 3), whole(generator, 2, 3)
    return torch.rand(T, N, generator=generator, dtype=torch.float64), whole(generator, 1, 2)


def variance_listed(p, q):
    """Variance of the accuracy over every pattern of right and wrong answers, each with its probability."""
    first = second = 0.0
    for task in p:
        for pattern in product((0.0, 1.0), repeat=len(task) * q):
            answers = torch.tensor(pattern, dtype=torch.float64)
            chances = task.repeat_interleave(q)
            weight = torch.where(answers == 1, chances, 1 - chances).prod() / len(p)
            first, second = first + weight * answers.mean(), second + weight * answers.mean() ** 2
    return second - first**2


def variance_split(p, q):
    p = p.numpy()
    return p.mean(1).var() + (p * (1 - p)).mean() / (p.shape[1] * q)


def variance_of_independent(p, q):
    p = p.numpy()
    return p.mean() * (1 - p.mean()) / (p.shape[1] * q)


# Ways and shots


def draw_classes(generator):
    """A support image and a query image of each of M classes (M, F), N."""
    M, F = whole(generator, 5, 7), whole(generator, 2, 4)
    support = real(generator, M, F)
    return support, support + real(generator, M, F), whole(generator, 3, 4)


def accuracy_listed(support, query, N):
    """Every task of N of the classes, run."""
    hits = []
    for chosen in combinations(range(len(support)), N):
        labels, some = torch.arange(N), list(chosen)
        hits.append(scores_of(support[some], labels, query[some]).argmax(-1) == labels)
    return torch.stack(hits).double().mean()


def beaten(support, query):
    """b_j in numpy."""
    distances = ((query.numpy()[:, None] - support.numpy()[None]) ** 2).sum(2)
    return (distances < np.diag(distances)[:, None]).sum(1)


def accuracy_counted(support, query, N):
    M = len(support)
    return np.mean([comb(M - 1 - b, N - 1) / comb(M - 1, N - 1) for b in beaten(support, query).tolist()])


def accuracy_with_repetition(support, query, N):
    return np.mean((1 - beaten(support, query) / (len(support) - 1)) ** (N - 1))


def draw_bound(generator):
    """Weights of queries (J,), how likely each is beaten (J,), N < M."""
    (J,) = sizes(generator, 1)
    N = whole(generator, 2, 6)
    p = torch.rand(2, J, generator=generator, dtype=torch.float64)
    return p[0] / p[0].sum(), p[1], N, N + whole(generator, 1, 12)


def accuracy_of_ways(weights, p, N, M):
    """A right answer survives M − 1 rivals one after another."""
    alive = torch.ones_like(p)
    for _ in range(M - 1):
        alive = alive * (1 - p)
    return (weights * alive).sum()


def bound(weights, p, N, M, turned=False):
    a = np.sum(weights.numpy() * (1 - p.numpy()) ** (N - 1))
    return a ** ((N - 1) / (M - 1) if turned else (M - 1) / (N - 1))


def draw_clouds(generator):
    """Embeddings that a query (n, F) and a support image (m, F) may have, K."""
    F = whole(generator, 2, 4)
    spread = real(generator, whole(generator, 2, 4), F)
    return spread, real(generator, whole(generator, 2, 4), F) + 1, whole(generator, 1, 3)


def distance_listed(queries, images, K):
    """Mean squared distance over every query and every K support images, drawn independently."""
    every = torch.cartesian_prod(*[torch.arange(len(images))] * K).reshape(-1, K)
    labels = torch.zeros(len(every), K, dtype=torch.int64)
    return -scores_of(images[every], labels, queries.expand(len(every), -1, -1)).mean()


def distance_parts(queries, images, K, query_spread=True):
    queries, images = queries.numpy(), images.numpy()
    apart = ((queries.mean(0) - images.mean(0)) ** 2).sum()
    return query_spread * queries.var(0).sum() + images.var(0).sum() / K + apart


# The other queries


def draw_batch(generator):
    """θ of a conv4 with two channels, images (n, 1, 16, 16), reference images (m, 1, 16, 16)."""
    theta = real(generator, embedding(conv4(2, 2, (1, 16, 16))).size)
    return theta, real(generator, whole(generator, 2, 4), 1, 16, 16), real(generator, whole(generator, 2, 4), 1, 16, 16)


def features_of_package(theta, x, reference):
    """Features by the batch's own statistics, and by those of the reference."""
    nets = conv4(2, 2, (1, 16, 16)), conv4(2, 2, (1, 16, 16), reference=reference)
    return torch.stack([embedding(net)(theta, x) for net in nets])


def features_by_loops(theta, x, reference, mixed=False):
    theta, x, reference = theta.numpy(), x.numpy(), reference.numpy()
    both = np.concatenate([reference, x])
    own = normalised(theta, x, len(x))
    return [own, normalised(theta, both, len(both) if mixed else len(reference))[len(reference) :]]


def normalised(theta, x, count):
    """Four blocks: convolution, (13.5) with the statistics of the first ``count`` images, maximum, ReLU."""
    at = 0

    def piece(*shape):
        nonlocal at
        at += int(np.prod(shape))
        return theta[at - int(np.prod(shape)) : at].reshape(shape)

    for _ in range(4):
        kernel, gain, bias = piece(2, x.shape[1], 3, 3), piece(2), piece(2)
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        u = np.einsum("nchwij,kcij->nkhw", windows, kernel)
        m, v = u[:count].mean((0, 2, 3)), u[:count].var((0, 2, 3))
        u = gain[:, None, None] * (u - m[:, None, None]) / np.sqrt(v + 1e-5)[:, None, None] + bias[:, None, None]
        n, k, h, w = u.shape
        x = np.maximum(u.reshape(n, k, h // 2, 2, w // 2, 2).max((3, 5)), 0)
    return x.reshape(len(x), -1)


def draw_mixture(generator):
    """Values of one channel for the images of each class, some images of each (N lists of (images, places))."""
    places = whole(generator, 2, 4)
    return ([real(generator, whole(generator, 1, 4), places) + 2 * k for k in range(whole(generator, 2, 4))],)


def batch_moments(classes):
    values = torch.cat(classes).flatten()
    return torch.stack([values.mean(), values.var(correction=0)])


def mixed_moments(classes, between=True):
    w = np.array([len(values) for values in classes]) / sum(len(values) for values in classes)
    m, v = (np.array([f(values.numpy()) for values in classes]) for f in (np.mean, np.var))
    return [w @ m, w @ (v + between * (m - w @ m) ** 2)]


# Wrong labels


def draw_wrong(generator):
    """N classes, K images each, how many of them get the label of the class ``shift`` further, Δ."""
    N, K = whole(generator, 3, 5), whole(generator, 2, 5)
    return N, K, whole(generator, 1, K), whole(generator, 1, N - 1), 0.5 + torch.rand(1, generator=generator).item()


def margin_of_prototypes(N, K, wrong, shift, delta):
    """Scores of the package for queries at the class means: of the right class minus of the one that took its images."""
    means = torch.eye(N, dtype=torch.float64) * delta / 2**0.5
    labels = torch.arange(N).repeat_interleave(K).reshape(N, K)
    support = means.repeat_interleave(K, 0)
    given = labels.clone()
    given[:, :wrong] = (given[:, :wrong] + shift) % N
    scores = scores_of(support, given.flatten(), means)
    return scores.diagonal() - scores.gather(1, ((torch.arange(N) + shift) % N)[:, None])[:, 0]


FORMULAS = {
    "13.1": Formula(
        r"\operatorname{Var}(a) = \operatorname{Var}\!\left( \frac{1}{N} \sum_{n=1}^{N} p_n \right) + \frac{1}{N q}\,"
        r" \mathbb{E}\!\left[ \frac{1}{N} \sum_{n=1}^{N} p_n (1 - p_n) \right]",
        "closed form", draw_chances, variance_listed, variance_split, variance_of_independent,
    ),
    "13.2": Formula(
        r"a(N) = \frac{1}{J} \sum_{j=1}^{J} \binom{M - 1 - b_j}{N - 1} \left/ \binom{M - 1}{N - 1} \right.",
        "closed form", draw_classes, accuracy_listed, accuracy_counted, accuracy_with_repetition,
    ),
    "13.3": Formula(
        r"a(M) = \mathbb{E}\left[ (1 - p)^{M - 1} \right] \;\ge\; \mathbb{E}\left[ (1 - p)^{N - 1} \right]^{\frac{M -"
        r" 1}{N - 1}} = a(N)^{\frac{M - 1}{N - 1}} \qquad (M \ge N)",
        "bound", draw_bound, accuracy_of_ways, bound, lambda *arguments: bound(*arguments, turned=True), None,
        lambda left, right: at_most(right, left),
    ),
    "13.4": Formula(
        r"\mathbb{E} \lVert f(x) - c_K \rVert^2 = \sigma_x^2 + \frac{\sigma_c^2}{K} + \lVert \mu_x - \mu_c \rVert^2",
        "closed form", draw_clouds, distance_listed, distance_parts,
        lambda *arguments: distance_parts(*arguments, query_spread=False),
    ),
    "13.5": Formula(
        r"u' = \gamma\, \frac{u - m_B}{\sqrt{v_B + \epsilon}} + \beta",
        "definition", draw_batch, features_of_package, features_by_loops,
        lambda *arguments: features_by_loops(*arguments, mixed=True), conv4,
    ),
    "13.6": Formula(
        r"m_B = \sum_{n=1}^{N} w_n\, m_n, \qquad v_B = \sum_{n=1}^{N} w_n \left[ v_n + (m_n - m_B)^2 \right]",
        "closed form", draw_mixture, batch_moments, mixed_moments,
        lambda classes: mixed_moments(classes, between=False),
    ),
    "13.7": Formula(
        r"\lVert \mu_n - c_m \rVert^2 - \lVert \mu_n - c_n \rVert^2 = (1 - \epsilon)^2 \Delta^2 - \epsilon^2 \Delta^2 ="
        r" (1 - 2\epsilon)\, \Delta^2",
        "closed form", draw_wrong, margin_of_prototypes,
        lambda N, K, wrong, shift, delta: np.full(N, (1 - 2 * wrong / K) * delta**2),
        lambda N, K, wrong, shift, delta: np.full(N, (1 - wrong / K) * delta**2),
    ),
}  # fmt: skip
