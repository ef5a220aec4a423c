"""Answers to the exercises of lesson 06, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import itertools
import math

import torch


def tensor_by_unsqueeze(images):
    return images.to(torch.float32).unsqueeze(1) / 255.0


def tensor_by_loop(images):
    return torch.stack([torch.stack([picture * (1 / 255)]) for picture in images])


def relabel_by_dictionary(labels, classes):
    number = {int(c): k for k, c in enumerate(classes)}
    return torch.tensor([number[int(label)] for label in labels])


def relabel_by_nonzero(labels, classes):
    return torch.stack([(classes == label).nonzero()[0, 0] for label in labels])


def count_by_factorials(C, n, N, K, Q):
    f = math.factorial
    within = f(n) // (f(K) * f(Q) * f(n - K - Q))
    return f(C) // f(C - N) * within**N


def count_by_listing_a_class(C, n, N, K, Q):
    within = 0
    for support in itertools.combinations(range(n), K):
        rest = [image for image in range(n) if image not in support]
        within += sum(1 for _ in itertools.combinations(rest, Q))
    return sum(1 for _ in itertools.permutations(range(C), N)) * within**N


def risk_of_the_enlarged_set(model, copies, y_star):
    m, N, d = copies.shape
    y = model(copies.reshape(m * N, d))
    return ((y - y_star.repeat(m)) ** 2).mean() / 2


def risk_by_loops(model, copies, y_star):
    total = 0
    for i in range(len(y_star)):
        losses = [(model(version[i : i + 1])[0] - y_star[i]) ** 2 / 2 for version in copies]
        total = total + sum(losses) / len(losses)
    return total / len(y_star)


def all_losses(model, copies, y_star):
    return torch.stack([(model(version) - y_star) ** 2 / 2 for version in copies])


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_to_tensor": (tensor_by_unsqueeze, tensor_by_loop),
    "check_relabel": (relabel_by_dictionary, relabel_by_nonzero),
    "check_count_tasks": (count_by_factorials, count_by_listing_a_class),
    "check_augmented_risk": (risk_of_the_enlarged_set, risk_by_loops),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_to_tensor", "still whole numbers", lambda images: images.unsqueeze(1).float()),
    ("check_to_tensor", "one of whole numbers", lambda images: images.unsqueeze(1).int().div(255).floor()),
    ("check_to_tensor", "channels is missing", lambda images: images / 255),
    ("check_to_tensor", "last axis", lambda images: images.unsqueeze(-1) / 255),
    ("check_to_tensor", "channels of a single image", lambda images: images.unsqueeze(0) / 255),
    ("check_to_tensor", "own brightest pixel",
     lambda images: torch.stack([(picture / picture.max())[None] for picture in images])),
    ("check_to_tensor", "happens to be there", lambda images: images.unsqueeze(1) / images.max()),
    ("check_to_tensor", "divisor is 256", lambda images: images.unsqueeze(1).float() / 2**8),
    ("check_relabel", "size of the class numbers",
     lambda labels, classes: torch.tensor([sorted(classes.tolist()).index(label) for label in labels.tolist()])),
    ("check_relabel", "labels appear",
     lambda labels, classes: torch.tensor([list(dict.fromkeys(labels.tolist())).index(c) for c in labels.tolist()])),
    ("check_relabel", "numbers have gaps", lambda labels, classes: labels - classes.min()),
    ("check_relabel", "table of agreements", lambda labels, classes: labels.unsqueeze(1).eq(classes.unsqueeze(0))),
    ("check_relabel", "sorted by class", lambda labels, classes: torch.where(classes.unsqueeze(1) == labels)[0]),
    ("check_count_tasks", "counts tasks that differ in their numbering once",
     lambda C, n, N, K, Q: math.comb(C, N) * math.prod([math.comb(n, K + Q) * math.comb(K + Q, K)] * N)),
    ("check_count_tasks", "drawn from all n images",
     lambda C, n, N, K, Q: math.perm(C, N) * math.comb(n, K) ** N * math.comb(n, Q) ** N),
    ("check_count_tasks", "not told apart",
     lambda C, n, N, K, Q: math.perm(C, N) * math.prod(math.comb(n, K + Q) for _ in range(N))),
    ("check_count_tasks", "for one class only",
     lambda C, n, N, K, Q: math.perm(C, N) * math.comb(n, K) * math.comb(n - K, Q)),
    ("check_count_tasks", "last factor only",
     lambda C, n, N, K, Q: math.perm(C, N) * math.comb(n, K) * math.comb(n - K, Q) ** N),
    ("check_count_tasks", "are added",
     lambda C, n, N, K, Q: math.perm(C, N) * sum(math.comb(n, K) * math.comb(n - K, Q) for _ in range(N))),
    ("check_count_tasks", "counted twice",
     lambda C, n, N, K, Q: math.factorial(N) ** 2 * math.comb(C, N) * (math.comb(n, K) * math.comb(n - K, Q)) ** N),
    ("check_count_tasks", "counted in order",
     lambda C, n, N, K, Q: math.perm(C, N) * (math.perm(n, K) * math.perm(n - K, Q)) ** N),
    ("check_augmented_risk", "average input",
     lambda model, copies, y_star: ((model(sum(copies) / len(copies)) - y_star) ** 2 / 2).mean()),
    ("check_augmented_risk", "average output",
     lambda model, copies, y_star: ((sum(map(model, copies)) / len(copies) - y_star) ** 2 / 2).mean()),
    ("check_augmented_risk", "over the versions instead",
     lambda model, copies, y_star: all_losses(model, copies, y_star).sum() / len(y_star)),
    ("check_augmented_risk", "over the examples instead",
     lambda model, copies, y_star: all_losses(model, copies, y_star).sum() / len(copies)),
    ("check_augmented_risk", "½ of the loss", lambda model, copies, y_star: 2 * all_losses(model, copies, y_star).mean()),
    ("check_augmented_risk", "first version", lambda model, copies, y_star: all_losses(model, copies, y_star)[0].mean()),
    ("check_augmented_risk", "smallest loss",
     lambda model, copies, y_star: all_losses(model, copies, y_star).min(0).values.mean()),
]  # fmt: skip
