"""Checks of lesson 13, *Few-shot images*."""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake
from lessons.shared.inputs import whole


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


# Exercise 13.1: how sure?


def _read(generator: torch.Generator) -> tuple[Tensor]:
    """0 or 1 for each query of T tasks of different difficulty."""
    tasks, queries = whole(generator, 5, 12), whole(generator, 3, 8)
    return ((_uniform(generator, tasks, queries) < 0.2 + 0.6 * _uniform(generator, tasks, 1)).double(),)


check_half_width = Exercise(
    number="13.1",
    call="answer_1(right) with shape (T, J)",
    reference=lambda right: 1.96 * right.mean(1).std() / len(right) ** 0.5,
    inputs=_read,
    mistakes=(
        Mistake(
            "Every answer counts as an independent draw: the interval is too narrow where tasks differ",
            lambda right: 1.96 * right.std() / right.numel() ** 0.5,
            "What is one draw here, an answer or a task?",
            "One odd support image spoils all queries of its class: answers within a task go together.",
            "Take the mean over the queries first; then s and √T are over the tasks.",
        ),
        Mistake(
            "This is how far the accuracy of one task scatters, not how far the mean of all of them does",
            lambda right: 1.96 * right.mean(1).std(),
            "Should your answer shrink when there are more tasks?",
            "The standard deviation of a mean of T draws is s/√T.",
            "Divide by the root of the number of tasks.",
        ),
        Mistake(
            "The spread has been divided by the number of queries, not by the number of tasks",
            lambda right: 1.96 * right.mean(1).std() / right.shape[1] ** 0.5,
            "Which axis holds the draws whose mean is reported?",
            "right.shape is (T, J); T is what grows when tasks are drawn.",
            "Divide by the root of len(right).",
        ),
        Mistake(
            "The sample variance divides by T − 1, not by T",
            lambda right: 1.96 * right.mean(1).std(correction=0) / len(right) ** 0.5,
            "From how many tasks was the mean taken away that the deviations are measured from?",
            "Deviations from the sample's own mean are a little too small (lesson 02).",
            "Use std with its default correction of 1.",
        ),
    ),
    praise="A thousand queries of one task are one draw of a task.",
)


# Exercise 13.2: what transduction is worth


def _pairs(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    tasks = whole(generator, 5, 12)
    hard = 0.5 + 0.4 * _uniform(generator, tasks)
    return hard + 0.1 * _uniform(generator, tasks) - 0.02, hard


def _half(values: Tensor) -> Tensor:
    return 1.96 * values.std() / len(values) ** 0.5


check_effect = Exercise(
    number="13.2",
    call="answer_2(transductive, independent) with shapes (T,), (T,)",
    reference=lambda a, b: ((a - b).mean(), _half(a - b)),
    inputs=_pairs,
    mistakes=(
        Mistake(
            "The interval is that of two separate sets of tasks; these are the same tasks twice",
            lambda a, b: ((a - b).mean(), (_half(a) ** 2 + _half(b) ** 2) ** 0.5),
            "If every task gained exactly one point, how sure would you be of the effect?",
            "A hard task is hard for both readers: what tasks have in common cancels in the difference.",
            "Take the difference task by task first, then its mean and its spread.",
        ),
        Mistake(
            "The sign is turned round: a help must come out positive",
            lambda a, b: ((b - a).mean(), _half(a - b)),
            "If the transductive reader reads more right, which sign has your answer?",
            "The effect is with minus without.",
            "Subtract independent from transductive.",
        ),
        Mistake(
            "This is the spread of the effect over tasks, not the half-width for its mean",
            lambda a, b: ((a - b).mean(), 1.96 * (a - b).std()),
            "Should the second number shrink with more tasks?",
            "The standard deviation of a mean of T draws is s/√T.",
            "Divide by the root of the number of tasks.",
        ),
    ),
    praise="Paired, the effect of a point can be seen where each accuracy alone is unsure by several.",
)


# Exercise 13.3: a leak


def _drawn(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Image numbers of T tasks from a pool so small that sets meet, within tasks and across them."""
    tasks, support, query = whole(generator, 3, 6), whole(generator, 3, 6), whole(generator, 4, 9)
    pool = support + query + 8
    return (
        torch.stack([torch.randperm(pool, generator=generator)[:support] for _ in range(tasks)]),
        torch.stack([torch.randperm(pool, generator=generator)[:query] for _ in range(tasks)]),
    )


def _met(support: Tensor, query: Tensor) -> Tensor:
    return (query[:, :, None] == support[:, None, :]).any(2)


check_leak = Exercise(
    number="13.3",
    call="answer_3(support, query) with int64 shapes (T, n), (T, m)",
    reference=lambda support, query: _met(support, query).double().mean(),
    inputs=_drawn,
    mistakes=(
        Mistake(
            "Images are compared across tasks: one that is support in another task is no leak",
            lambda support, query: torch.isin(query, support).double().mean(),
            "May an image be in the support set of one task and in the query set of another?",
            "torch.isin(query, support) forgets which task a number comes from.",
            "Keep the axis of tasks: compare query[:, :, None] with support[:, None, :].",
        ),
        Mistake(
            "This is the share of tasks with a leak; the share of query images is asked for",
            lambda support, query: _met(support, query).any(1).double().mean(),
            "What is your denominator?",
            "A task with one leaked query of 75 and a task with all of them leaked are not alike.",
            "Take the mean over tasks and queries.",
        ),
        Mistake(
            "This is the share of the support images that turn up among the queries",
            lambda support, query: _met(query, support).double().mean(),
            "For which of the two sets is the share asked?",
            "Accuracy is counted over queries, so the leak is a share of the queries.",
            "Let the mean run over the query images.",
        ),
    ),
    praise="The package's own builder gives 0 here; lesson 06 checked it with images that are their own numbers.",
)


# Exercise 13.4: more shots


def _embedded(generator: torch.Generator) -> tuple[Tensor, int]:
    images, width = whole(generator, 5, 9), whole(generator, 2, 4)
    scales = 0.5 + _uniform(generator, width)
    features = scales * torch.randn(images, width, generator=generator, dtype=torch.float64)
    return features + 3 * _uniform(generator, width), whole(generator, 2, 4)


check_own_distance = Exercise(
    number="13.4",
    call="answer_4(features, K) with shape (n, F) and a number",
    reference=lambda features, K: features.var(0).sum() * (1 + 1 / K),
    inputs=_embedded,
    mistakes=(
        Mistake(
            "This is the scatter of the mean alone; the query has its own",
            lambda features, K: features.var(0).sum() / K,
            "With endlessly many shots, would the query lie on the class mean?",
            "Formula (13.4) has two variances.",
            "Add σ² for the query: σ² (1 + 1/K).",
        ),
        Mistake(
            "A variance falls with 1/K; it is the standard deviation that falls with 1/√K",
            lambda features, K: features.var(0).sum() * (1 + K**-0.5),
            "Is the squared distance a variance or a standard deviation?",
            "The variance of a mean of K independent images is σ²/K.",
            "Write 1 / K.",
        ),
        Mistake(
            "The variance divides by n; with n − 1 the formula is exact for draws without repetition",
            lambda features, K: features.var(0, correction=0).sum() * (1 + 1 / K),
            "Try n = 2 and K = 1: what is the squared distance of the two images?",
            "With two numbers 0 and 2 it is 4: twice the variance with n − 1, which is 2.",
            "Use var with its default correction of 1.",
        ),
        Mistake(
            "The variances of the coordinates have been averaged; a squared distance adds them",
            lambda features, K: features.var(0).mean() * (1 + 1 / K),
            "What is the squared length of a vector in terms of its entries?",
            "σ² of the formula is summed over the embedding's coordinates.",
            "Sum over the coordinates.",
        ),
    ),
    praise="From one shot to endlessly many the squared distance to the right class halves; the margin stays.",
)


# Exercise 13.5: fewer ways


def _scored(generator: torch.Generator) -> tuple[Tensor, int]:
    M = whole(generator, 7, 11)
    scores = torch.randn(M, M, generator=generator, dtype=torch.float64) + 1.5 * torch.eye(M, dtype=torch.float64)
    return scores, whole(generator, 3, 5)


def _beaten(scores: Tensor) -> Tensor:
    return (scores > scores.diagonal()[:, None]).sum(1)


def _fewer(scores: Tensor, N: int, drawn: int = 1) -> float:
    M = len(scores)
    return sum(comb(M - 1 - b, N - drawn) for b in _beaten(scores).tolist()) / M / comb(M - 1, N - drawn)


check_fewer_ways = Exercise(
    number="13.5",
    call="answer_5(scores, N) with shape (M, M) and a number",
    reference=_fewer,
    inputs=_scored,
    mistakes=(
        Mistake(
            "All queries share one probability of being beaten: the power, which is too dark",
            lambda scores, N: (1 - _beaten(scores).double().mean() / (len(scores) - 1)) ** (N - 1),
            "Is a smudged letter beaten as often as a clear one?",
            "Each query has its own b; average what they give, not the b.",
            "Put the mean over queries around the quotient of binomials.",
        ),
        Mistake(
            "N of the other classes are drawn; the query's own class is one of the N",
            lambda scores, N: _fewer(scores, N, 0),
            "How many wrong classes are in a task of N ways?",
            "With N = 2 there is one duel.",
            "Draw N − 1 of the M − 1 others.",
        ),
        Mistake(
            "The same class can be drawn twice here; classes of a task differ",
            lambda scores, N: ((1 - _beaten(scores).double() / (len(scores) - 1)) ** (N - 1)).mean(),
            "With N = M, may a query that one class beats still be read right?",
            "Draws without repetition are counted with binomial coefficients.",
            "Use comb(M − 1 − b, N − 1) / comb(M − 1, N − 1).",
        ),
        Mistake(
            "This is the accuracy with all M classes; N has played no part",
            lambda scores, N: (_beaten(scores) == 0).double().mean(),
            "Should your answer change with N?",
            "A query beaten by two of M classes is still right in tasks that leave those two out.",
            "Average the chance that none of the b classes is among the N − 1 drawn.",
        ),
    ),
    praise="One expensive table with many ways holds every smaller number of ways.",
)


# Exercise 13.6: judge a table


def _table(generator: torch.Generator) -> tuple[Tensor, Tensor, int, int]:
    rows, N = whole(generator, 2, 4), whole(generator, 3, 6)
    low = 0.8 + 0.19 * _uniform(generator, rows)
    return low, low - 0.15 * _uniform(generator, rows), N, N + whole(generator, 3, 15)


check_table = Exercise(
    number="13.6",
    call="answer_6(low, high, N, M) with shapes (r,), (r,) and two numbers",
    reference=lambda low, high, N, M: high - low ** ((M - 1) / (N - 1)),
    inputs=_table,
    mistakes=(
        Mistake(
            "The exponent is the ratio of the ways; it must be that of the wrong classes",
            lambda low, high, N, M: high - low ** (M / N),
            "How many classes can beat the right one at N ways?",
            "Formula (13.3) has M − 1 and N − 1.",
            "Use the exponent (M − 1)/(N − 1).",
        ),
        Mistake(
            "The power is taken as if `low` were the accuracy of a single duel",
            lambda low, high, N, M: high - low ** (M - 1),
            "At how many ways was `low` measured?",
            "By (13.3), the accuracy of a duel is at most low ** (1 / (N − 1)).",
            "Use the exponent (M − 1)/(N − 1).",
        ),
        Mistake(
            "The sign is turned round: an entry above its bound must come out positive",
            lambda low, high, N, M: low ** ((M - 1) / (N - 1)) - high,
            "Which of the two is expected to be larger?",
            "The bound is a lower one.",
            "Subtract the bound from `high`.",
        ),
        Mistake(
            "The exponent is upside down: more ways must lower the bound",
            lambda low, high, N, M: high - low ** ((N - 1) / (M - 1)),
            "Is your bound below `low`? Should it be?",
            "M is the larger number of ways here.",
            "Use the exponent (M − 1)/(N − 1), which is above 1.",
        ),
    ),
    praise="An entry below the bound tells that its scores are not made class by class, or not by one network.",
)
