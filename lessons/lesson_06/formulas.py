"""Formulas of lesson 06, *Images and tasks*."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from lessons.shared.formulas import Formula, at_most, draw_network, numpy_network, package_network, real, sizes
from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data


def draw_shares(generator):
    """Equally likely outcomes of a measurement: shares of m settings in each, shape (outcomes, m)."""
    outcomes, m = sizes(generator, 2)
    return (torch.rand(outcomes, m, generator=generator, dtype=torch.float64),)


def mean_of_largest(shares):
    return sum(max(row) for row in shares.tolist()) / len(shares)


def largest_of_means(shares):
    return shares.numpy().mean(0).max()


def draw_counts(generator):
    """C, n, N, K, Q small enough to list every task, with one or two images to spare and none to two classes."""
    ranges = ((2, 4), (1, 3), (1, 3), (0, 3), (1, 3))
    N, K, Q, classes, images = (int(torch.randint(low, high, (), generator=generator)) for low, high in ranges)
    if N == 3:
        K = Q = 1  # or the list would have a million entries
    return N + classes, K + Q + images, N, K, Q


def listed(C, n, N, K, Q):
    """Tasks as sets of (class, support set, query set), listed one by one; a set leaves the numbering out."""
    images = range(n)
    halves = [
        (s, q)
        for s in itertools.combinations(images, K)
        for q in itertools.combinations(images, Q)
        if not set(s) & set(q)
    ]
    tasks = {
        frozenset(zip(classes, chosen, strict=True))
        for classes in itertools.permutations(range(C), N)
        for chosen in itertools.product(halves, repeat=N)
    }
    return len(tasks)


def counted(C, n, N, K, Q):
    return math.comb(C, N) * (math.comb(n, K) * math.comb(n - K, Q)) ** N


def draw_guesses(generator):
    """Classes and answers of J queries, both 0..N−1, with N up to 5."""
    N = int(torch.randint(2, 6, (), generator=generator))
    J = sizes(generator, 1)[0]
    return N, torch.randint(0, N, (J,), generator=generator), torch.randint(0, N, (J,), generator=generator)


def share_over_numberings(N, classes, answers):
    shares = [
        np.mean([order[c] == a for c, a in zip(classes.tolist(), answers.tolist(), strict=True)])
        for order in itertools.permutations(range(N))
    ]
    return np.mean(shares)


def draw_pairs(generator):
    """C classes, N of them to draw, and which pairs look alike."""
    C = 3 + sizes(generator, 1)[0]
    N = int(torch.randint(2, C, (), generator=generator))
    pairs = [pair for pair in itertools.combinations(range(C), 2) if torch.rand(1, generator=generator) < 0.4]
    return C, N, [(0, 1), *(pair for pair in pairs if pair != (0, 1))]


def mean_pairs_listed(C, N, pairs):
    subsets = list(itertools.combinations(range(C), N))
    return sum(sum(a in chosen and b in chosen for a, b in pairs) for chosen in subsets) / len(subsets)


def draw_versions(generator):
    """A network with N inputs, and m versions of them, shape (m, N, d)."""
    W1, b1, W2, b2, x, y = draw_network(generator)
    m = sizes(generator, 1)[0]
    return W1, b1, W2, b2, x + 0.5 * real(generator, m, *x.shape), y


def augmented_risk_by_network(W1, b1, W2, b2, versions, y):
    """Plain risk on the data set enlarged by all versions."""
    enlarged = Data(versions.flatten(0, 1), y.repeat(len(versions), 1))
    return empirical_risk(*package_network(W1, b1, W2, b2), enlarged, half_squared_error)


def augmented_risk_by_loops(W1, b1, W2, b2, versions, y):
    """For each example the mean loss over its versions; then the mean over examples."""
    means = []
    for i in range(len(y)):
        losses = []
        for version in versions:
            _, delta, _, _ = numpy_network(W1, b1, W2, b2, version[i : i + 1], y[i : i + 1])
            losses.append(0.5 * float((delta**2).sum()))
        means.append(sum(losses) / len(losses))
    return sum(means) / len(means)


def risk_of_average_input(W1, b1, W2, b2, versions, y):
    return augmented_risk_by_loops(W1, b1, W2, b2, versions.mean(0, keepdim=True), y)


def draw_linear(generator):
    """W (d, C), b (C,), versions of one image (m, d), its label (C,)."""
    d, C, m = sizes(generator, 3)
    return real(generator, d, C), real(generator, C), real(generator, m, d), real(generator, C)


def mean_loss_of_versions(W, b, versions, y):
    return half_squared_error(versions @ W + b, y.expand(len(versions), -1)).mean()


def average_and_variance(W, b, versions, y, variance=True):
    W, b, versions, y = (value.numpy() for value in (W, b, versions, y))
    outputs, middle = versions @ W + b, versions.mean(0) @ W + b
    return 0.5 * float(((middle - y) ** 2).sum()) + variance * 0.5 * float(((outputs - middle) ** 2).sum(1).mean())


FORMULAS = {
    "6.1": Formula(
        r"\mathbb{E}\left[ \max_{j} \hat{s}_j \right] \ge \max_{j}\, \mathbb{E}\left[ \hat{s}_j \right]",
        "bound", draw_shares, largest_of_means, mean_of_largest,
        lambda shares: sum(min(row) for row in shares.tolist()) / len(shares), holds=at_most,
    ),
    "6.2": Formula(
        r"\binom{C}{N} \left[ \binom{n}{K} \binom{n - K}{Q} \right]^N",
        "closed form", draw_counts, counted, listed,
        lambda C, n, N, K, Q: math.comb(C, N) * math.comb(n, K) ** N,
    ),
    "6.3": Formula(
        r"\frac{1}{N!} \sum_{\pi} \frac{1}{J} \sum_{j=1}^{J} \left[\, \hat{y}_j = \pi(c_j) \,\right] = \frac{1}{N}",
        "closed form", draw_guesses, share_over_numberings,
        lambda N, classes, answers: 1 / N,
        lambda N, classes, answers: 1 / math.factorial(N) if N > 2 else 1 / N**2,
    ),
    "6.4": Formula(
        r"\binom{N}{2} \, P \left/ \binom{C}{2} \right.",
        "closed form", draw_pairs, mean_pairs_listed,
        lambda C, N, pairs: math.comb(N, 2) * len(pairs) / math.comb(C, 2),
        lambda C, N, pairs: N**2 * len(pairs) / C**2,
    ),
    "6.5": Formula(
        r"\mathcal{L}_D^{\text{aug}}(\theta) = \frac{1}{N} \sum_{i=1}^{N} "
        r"\mathbb{E}_a \left[\, \ell(M_\theta(a(x_i)), y_i^*) \,\right]",
        "closed form", draw_versions, augmented_risk_by_network, augmented_risk_by_loops, risk_of_average_input,
    ),
    "6.6": Formula(
        r"\frac{1}{m} \sum_{a} \tfrac{1}{2} \lVert M_\theta(a(x)) - y^* \rVert^2 = "
        r"\tfrac{1}{2} \lVert M_\theta(\bar{x}) - y^* \rVert^2 + "
        r"\frac{1}{2m} \sum_{a} \lVert M_\theta(a(x)) - M_\theta(\bar{x}) \rVert^2",
        "closed form", draw_linear, mean_loss_of_versions, average_and_variance,
        lambda *arguments: average_and_variance(*arguments, variance=False),
    ),
}  # fmt: skip
