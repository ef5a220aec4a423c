"""Answers to the exercises of lesson 01, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import torch


def learner_by_loop(x, y):
    centres = [x[y == c].sum(0) / (y == c).sum() for c in (0, 1, 2)]

    def predict(query):
        return torch.tensor([min((0, 1, 2), key=lambda c: float((q - centres[c]).norm())) for q in query])

    return predict


def learner_by_one_hot(x, y):
    member = torch.nn.functional.one_hot(y, 3).to(x.dtype)
    means = member.T @ x / member.sum(0)[:, None]
    return lambda query: (query @ means.T - (means**2).sum(1) / 2).argmax(1)


def learner_of_points(points):
    """A learner that compares with the wrong points."""

    def learner(x, y):
        kept = points(x, y)
        return lambda query: (query[:, None] - kept[None]).pow(2).sum(2).argmin(1)

    return learner


def pull_by_autograd(W, x, u):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(torch.tanh(W @ x) @ u, x)[0]


def pull_by_jacobian(W, x, u):
    return u @ torch.func.jacrev(lambda x: torch.tanh(W @ x))(x)


def meta_by_lstsq(support, query):
    s, q = support.mean(1), query.mean(1)
    w = torch.linalg.lstsq((s - s.mean()).unsqueeze(1), (q - s.mean()).unsqueeze(1)).solution.item()
    return lambda new: (1 - w) * s.mean() + w * new.mean()


def meta_by_sums(support, query):
    m = support.sum() / support.numel()
    a, b = support.mean(1) - m, query.mean(1) - m
    w = torch.dot(a, b) / torch.dot(a, a)

    def learner(new):
        return m + w * (new.sum() / len(new) - m)

    return learner


def meta_wrong(weight):
    def meta(support, query):
        a, b = support.mean(1), query.mean(1)
        m = a.mean()
        w = weight(a - m, b - m)
        return lambda new: m * (1 - w) + w * new.mean()

    return meta


def through_zero(support, query):
    a, b = support.mean(1), query.mean(1)
    return lambda new: new.mean() * (a @ b) / (a @ a)


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_learner": (learner_by_loop, learner_by_one_hot),
    "check_pull_back": (pull_by_autograd, pull_by_jacobian),
    "check_meta_learner": (meta_by_lstsq, meta_by_sums),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_learner", "nearest single example",
     lambda x, y: lambda query: y[(query[:, None] - x).norm(dim=2).min(1).indices]),
    ("check_learner", "farthest mean",
     lambda x, y: lambda q: (q[:, None] - torch.stack([x[y == c].mean(0) for c in range(3)])).norm(dim=2).argmax(1)),
    ("check_learner", "Sums stand", learner_of_points(lambda x, y: torch.stack([x[y == c].sum(0) for c in range(3)]))),
    ("check_learner", "most frequent class", lambda x, y: lambda query: y.mode().values.repeat(len(query))),
    ("check_learner", "distances are returned",
     lambda x, y: lambda q: (q[:, None] - torch.stack([x[y == c].mean(0) for c in range(3)])).norm(dim=2)),
    ("check_pull_back", "This is Ju", lambda W, x, u: torch.diag(1 - torch.tanh(W @ x) ** 2) @ W @ u),
    ("check_pull_back", "slope of tanh is missing", lambda W, x, u: u @ W),
    ("check_pull_back", "taken at x", lambda W, x, u: (u * (1 - x.tanh().square())) @ W),
    ("check_pull_back", "not transposed", lambda W, x, u: W @ (u * (1 - (W @ x).tanh().square()))),
    ("check_pull_back", "order is swapped", lambda W, x, u: (u @ W) * (1 - (W @ x).tanh().square())),
    ("check_meta_learner", "nothing was learned", lambda s, q: lambda new: new.sum() / len(new)),
    ("check_meta_learner", "for every task", lambda s, q: lambda new: s.sum() / s.numel()),
    ("check_meta_learner", "through zero", through_zero),
    ("check_meta_learner", "upside down", meta_wrong(lambda a, b: (a @ a) / (a @ b))),
    ("check_meta_learner", "squares of q̄", meta_wrong(lambda a, b: (a @ b) / (b @ b))),
]  # fmt: skip
