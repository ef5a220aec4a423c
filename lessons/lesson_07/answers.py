"""Answers to the exercises of lesson 07, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import numpy as np
import torch


def convolved_by_loops(x, w):
    h, v = x.shape
    result = torch.zeros(h, v, dtype=x.dtype)
    for i in range(h):
        for j in range(v):
            for a in (-1, 0, 1):
                for b in (-1, 0, 1):
                    if 0 <= i + a < h and 0 <= j + b < v:
                        result[i, j] += w[a + 1, b + 1] * x[i + a, j + b]
    return result


def convolved_by_shifts(x, w, rim="constant"):
    """Nine shifted copies of the picture, weighted."""
    padded = torch.from_numpy(np.pad(x.numpy(), 1, mode=rim))
    h, v = x.shape
    return sum(w[a, b] * padded[a : a + h, b : b + v] for a in range(3) for b in range(3))


def one_hot(scores, labels):
    return torch.eye(scores.shape[1], dtype=scores.dtype)[labels]


def by_examples(scores, labels):
    total = 0.0
    for row, label in zip(scores, labels, strict=True):
        total = total + ((row**2).sum() - 2 * row[label] + 1) / 2
    return total / len(labels)


def each_class(score):
    """The mean over the classes of score(TP, FP, FN)."""

    def answer(true, read, classes):
        found = []
        for c in range(classes):
            tp = sum(1 for t, r in zip(true.tolist(), read.tolist(), strict=True) if t == r == c)
            fp = sum(1 for t, r in zip(true.tolist(), read.tolist(), strict=True) if r == c != t)
            fn = sum(1 for t, r in zip(true.tolist(), read.tolist(), strict=True) if t == c != r)
            found.append(score(tp, fp, fn))
        return sum(found) / classes

    return answer


def by_sklearn(average):
    def answer(true, read, classes):
        from sklearn.metrics import f1_score

        return float(f1_score(true.numpy(), read.numpy(), average=average))

    return answer


def of_means(true, read, classes):
    p = each_class(lambda tp, fp, fn: tp / (tp + fp))(true, read, classes)
    r = each_class(lambda tp, fp, fn: tp / (tp + fn))(true, read, classes)
    return 2 / (1 / p + 1 / r)


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_map_size": (
        lambda h, w, k, p: tuple(torch.nn.Conv2d(1, 1, k, padding=p)(torch.zeros(1, 1, h, w)).shape[2:]),
        lambda h, w, k, p: [len(range(-p, n + p - k + 1)) for n in (h, w)],
    ),
    "check_convolution": (convolved_by_loops, convolved_by_shifts),
    "check_one_hot_risk": (
        by_examples,
        lambda y, c: torch.nn.functional.mse_loss(y, one_hot(y, c), reduction="sum") / 2 / y.shape[0],
    ),
    "check_macro_f1": (by_sklearn("macro"), each_class(lambda tp, fp, fn: tp / (tp + (fp + fn) / 2))),
}  # fmt: skip

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_map_size", "+ 1", lambda h, w, k, p: (h - k + 2 * p, w - k + 2 * p)),
    ("check_map_size", "one side only", lambda h, w, k, p: (p + h - (k - 1), p + w - (k - 1))),
    ("check_map_size", "rim is forgotten", lambda h, w, k, p: (h - (k - 1), w - (k - 1))),
    ("check_map_size", "with its rim", lambda h, w, k, p: (p + h + p, p + w + p)),
    ("check_map_size", "swapped", lambda h, w, k, p: (w - k + 1 + 2 * p, h - k + 1 + 2 * p)),
    ("check_convolution", "half a circle", lambda x, w: convolved_by_loops(x, torch.rot90(w, 2))),
    ("check_convolution", "Rows and columns", lambda x, w: convolved_by_loops(x, w.t())),
    ("check_convolution", "no rim", lambda x, w: convolved_by_loops(x, w)[1:-1, 1:-1]),
    ("check_convolution", "ring", lambda x, w: convolved_by_shifts(x, w, rim="wrap")),
    ("check_convolution", "repeats the pixels", lambda x, w: convolved_by_shifts(x, w, rim="edge")),
    ("check_one_hot_risk", "½ is missing", lambda y, c: (y - one_hot(y, c)).pow(2).sum() / len(y)),
    ("check_one_hot_risk", "mse_loss", lambda y, c: torch.nn.functional.mse_loss(y, one_hot(y, c))),
    ("check_one_hot_risk", "averaged instead of summed", lambda y, c: ((y - one_hot(y, c)) ** 2).mean(1).mean() / 2),
    ("check_one_hot_risk", "examples are summed", lambda y, c: ((y - one_hot(y, c)) ** 2 / 2).sum()),
    ("check_one_hot_risk", "Only the true class", lambda y, c: ((y[range(len(c)), c] - 1) ** 2 / 2).mean()),
    ("check_one_hot_risk", "softmax", lambda y, c: ((torch.softmax(y, -1) - one_hot(y, c)) ** 2).sum() / 2 / len(y)),
    ("check_macro_f1", "accuracy", by_sklearn("micro")),
    ("check_macro_f1", "weighted by their size", by_sklearn("weighted")),
    ("check_macro_f1", "averaged over the classes first", of_means),
    ("check_macro_f1", "arithmetic", each_class(lambda tp, fp, fn: (tp / (tp + fp) + tp / (tp + fn)) / 2)),
    ("check_macro_f1", "mean recall", each_class(lambda tp, fp, fn: tp / (tp + fn))),
    ("check_macro_f1", "mean precision", each_class(lambda tp, fp, fn: tp / (tp + fp))),
]
