"""Answers to the exercises of lesson 13, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import itertools
import math
import statistics

import torch


def half_by_loop(right):
    means = [statistics.fmean(row) for row in right.tolist()]
    return 1.96 * statistics.stdev(means) / math.sqrt(len(means))


def half_by_squares(right):
    a = right.sum(1) / right.shape[1]
    s2 = ((a - a.mean()) ** 2).sum() / (len(a) - 1)
    return 1.96 * (s2 / len(a)).sqrt()


def half_of_answers(right):
    return 1.96 * (right.flatten().var() / right.nelement()) ** 0.5


def effect_by_loop(transductive, independent):
    gains = [a - b for a, b in zip(transductive.tolist(), independent.tolist(), strict=True)]
    return statistics.fmean(gains), 1.96 * statistics.stdev(gains) / math.sqrt(len(gains))


def effect_by_covariance(transductive, independent):
    table = torch.cov(torch.stack([transductive, independent]))
    variance = table[0, 0] + table[1, 1] - 2 * table[0, 1]
    return transductive.mean() - independent.mean(), 1.96 * (variance / len(transductive)).sqrt()


def effect_unpaired(transductive, independent):
    variance = transductive.var() + independent.var()
    return transductive.mean() - independent.mean(), 1.96 * (variance / len(transductive)).sqrt()


def leak_by_sets(support, query):
    leaked = [image in set(s) for s, q in zip(support.tolist(), query.tolist(), strict=True) for image in q]
    return sum(leaked) / len(leaked)


def leak_by_rows(support, query):
    return torch.stack([torch.isin(q, s).double() for s, q in zip(support, query, strict=True)]).mean()


def leak_across(support, query):
    known = set(support.flatten().tolist())
    return sum(image in known for image in query.flatten().tolist()) / query.numel()


def leaky_tasks(support, query):
    return statistics.fmean(bool(set(s) & set(q)) for s, q in zip(support.tolist(), query.tolist(), strict=True))


def leak_of_support(support, query):
    return leak_by_rows(query, support)


def distance_by_enumeration(features, K):
    """Every choice of K support images and one other as the query."""
    n, found = len(features), []
    for chosen in itertools.combinations(range(n), K):
        centre = features[list(chosen)].mean(0)
        found += [((features[i] - centre) ** 2).sum() for i in range(n) if i not in chosen]
    return sum(found) / len(found)


def distance_by_pairs(features, K):
    """The mean squared distance of two images is 2σ²."""
    pairs = torch.pdist(features).square().mean()
    return pairs / 2 + pairs / (2 * K)


def distance(factor, correction=1, reduce=torch.sum):
    def answer(features, K):
        centred = features - features.mean(0)
        return reduce((centred**2).sum(0) / (len(features) - correction)) * factor(K)

    return answer


def beating(scores):
    return [sum(float(row[k]) > float(row[j]) for k in range(len(row))) for j, row in enumerate(scores)]


def ways_by_enumeration(scores, N):
    M, hits = len(scores), []
    for j in range(M):
        rest = [k for k in range(M) if k != j]
        hits += [all(scores[j, k] < scores[j, j] for k in others) for others in itertools.combinations(rest, N - 1)]
    return sum(hits) / len(hits)


def ways_by_product(scores, N):
    """None of the b drawn: the first is harmless, the second of the rest is, ..."""
    M = len(scores)
    found = [math.prod(max(M - 1 - b - i, 0) / (M - 1 - i) for i in range(N - 1)) for b in beating(scores)]
    return sum(found) / M


def ways_by_power(scores, N):
    return (1 - statistics.fmean(beating(scores)) / (len(scores) - 1)) ** (N - 1)


def ways_one_too_many(scores, N):
    return ways_by_product(scores, N + 1)


def ways_with_repetition(scores, N):
    return statistics.fmean((1 - b / (len(scores) - 1)) ** (N - 1) for b in beating(scores))


def ways_all(scores, N):
    return (scores.argmax(1) == torch.arange(len(scores))).double().mean()


def above_by_logs(low, high, N, M):
    return high - torch.exp(low.log() * (M - 1) / (N - 1))


def above_by_duel(low, high, N, M):
    duel = low ** (1 / (N - 1))
    return high - duel ** (M - 1)


def above(exponent, sign=1):
    return lambda low, high, N, M: sign * (high - torch.pow(low, exponent(N, M)))


OTHER_SOLUTIONS = {
    "check_half_width": (half_by_loop, half_by_squares),
    "check_effect": (effect_by_loop, effect_by_covariance),
    "check_leak": (leak_by_sets, leak_by_rows),
    "check_own_distance": (distance_by_enumeration, distance_by_pairs),
    "check_fewer_ways": (ways_by_enumeration, ways_by_product),
    "check_table": (above_by_logs, above_by_duel),
}

MISCONCEPTIONS = [
    ("check_half_width", "Every answer counts as an independent draw", half_of_answers),
    ("check_half_width", "scatters, not how far the mean", lambda right: 1.96 * right.mean(1).var() ** 0.5),
    ("check_half_width", "divided by the number of queries", lambda r: half_by_loop(r) * (len(r) / r.shape[1]) ** 0.5),
    ("check_half_width", "divides by T − 1", lambda right: half_by_squares(right) * (1 - 1 / len(right)) ** 0.5),
    ("check_effect", "two separate sets of tasks", effect_unpaired),
    ("check_effect", "sign is turned round", lambda a, b: effect_by_loop(b, a)),
    ("check_effect", "spread of the effect", lambda a, b: (effect_by_loop(a, b)[0], 1.96 * (a - b).var() ** 0.5)),
    ("check_leak", "compared across tasks", leak_across),
    ("check_leak", "share of tasks with a leak", leaky_tasks),
    ("check_leak", "share of the support images", leak_of_support),
    ("check_own_distance", "scatter of the mean alone", distance(lambda K: 1 / K)),
    ("check_own_distance", "falls with 1/K", distance(lambda K: 1 + 1 / math.sqrt(K))),
    ("check_own_distance", "divides by n", distance(lambda K: 1 + 1 / K, correction=0)),
    ("check_own_distance", "have been averaged", distance(lambda K: 1 + 1 / K, reduce=torch.mean)),
    ("check_fewer_ways", "All queries share one probability", ways_by_power),
    ("check_fewer_ways", "N of the other classes are drawn", ways_one_too_many),
    ("check_fewer_ways", "can be drawn twice", ways_with_repetition),
    ("check_fewer_ways", "with all M classes", ways_all),
    ("check_table", "ratio of the ways", above(lambda N, M: M / N)),
    ("check_table", "a single duel", above(lambda N, M: M - 1)),
    ("check_table", "sign is turned round", above(lambda N, M: (M - 1) / (N - 1), sign=-1)),
    ("check_table", "upside down", above(lambda N, M: (N - 1) / (M - 1))),
]
