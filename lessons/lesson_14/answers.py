"""Answers to the exercises of lesson 14, right and wrong, as learners would write them; none is taken from the package."""

from __future__ import annotations

import torch
from torch.func import grad


def head_by_loop(centres):
    columns = [torch.cat([2 * c, -(c @ c)[None]]) for c in centres]
    return torch.stack(columns, dim=1)


def head_by_scores(centres):
    """The scores at the origin are the biases, and what unit vectors add to them the weights."""
    F = centres.shape[1]
    unit = torch.eye(F, dtype=centres.dtype)
    at_zero = -((centres**2).sum(1))
    scores = -((unit[:, None] - centres[None]) ** 2).sum(2) + 1  # plus the square of a unit vector
    return torch.vstack([scores - at_zero, at_zero])


def head_wrong(weights, biases):
    def answer(centres):
        return torch.vstack([weights * centres.t(), torch.stack([biases(c) for c in centres])])

    return answer


def changes_by_loop(before, after, sizes):
    found, start = [], 0
    for size in sizes:
        a, b = before[start : start + size], after[start : start + size]
        found.append((((b - a) ** 2).sum() / (a**2).sum()) ** 0.5)
        start += size
    return torch.stack(found)


def changes_by_scatter(before, after, sizes):
    layer = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    zero = torch.zeros(len(sizes), dtype=before.dtype)
    return zero.index_add(0, layer, (after - before) ** 2).sqrt() / zero.index_add(0, layer, before**2).sqrt()


def changes_wrong(one):
    def answer(before, after, sizes):
        return torch.stack([one(a, b) for a, b in zip(before.split(sizes), after.split(sizes), strict=True)])

    return answer


def whole_norm(before, after, sizes):
    return torch.stack(
        [(b - a).norm() / before.norm() for a, b in zip(before.split(sizes), after.split(sizes), strict=True)]
    )


def entropy_by_autograd(p, q):
    F = lambda v: (v * v.log()).sum()  # noqa: E731
    return F(p) - F(q) - grad(F)(q) @ (p - q)


def entropy_by_loop(p, q):
    return sum(a * torch.log(a) - a * torch.log(b) - a + b for a, b in zip(p, q, strict=True))


def ridge_primal(F, Y, lam, f):
    return f @ torch.linalg.inv(F.T @ F + lam * torch.eye(F.shape[1], dtype=F.dtype)) @ F.T @ Y


def ridge_by_rows(F, Y, lam, f):
    """Least squares with the ridge as further rows: √λ I, and zeros as their labels."""
    d = F.shape[1]
    rows = torch.cat([F, lam**0.5 * torch.eye(d, dtype=F.dtype)])
    labels = torch.cat([Y, torch.zeros(d, Y.shape[1], dtype=Y.dtype)])
    return f @ torch.linalg.lstsq(rows, labels).solution


def ridge_wrong(matrix):
    def answer(F, Y, lam, f):
        return (f @ F.T) @ torch.linalg.inv(matrix(F @ F.T, lam, torch.eye(len(F), dtype=F.dtype))) @ Y

    return answer


def attention_by_loop(query, keys, values):
    rows = []
    for q in query:
        weights = torch.exp(keys @ q / len(q) ** 0.5)
        rows.append((weights[:, None] * values).sum(0) / weights.sum())
    return torch.stack(rows)


def attention_by_library(query, keys, values):
    return torch.nn.functional.scaled_dot_product_attention(query, keys, values)


def attention_wrong(scale, axis=1):
    def answer(query, keys, values):
        weights = torch.exp(torch.einsum("mw,nw->mn", query, keys) * scale(query.shape[1]))
        return weights / weights.sum(axis, keepdim=True) @ values

    return answer


def cka_by_tables(A, B):
    N = len(A)
    H = torch.eye(N, dtype=A.dtype) - torch.ones(N, N, dtype=A.dtype) / N
    K, L = H @ A @ A.T @ H, H @ B @ B.T @ H
    return (K * L).sum() / ((K**2).sum() * (L**2).sum()) ** 0.5


def cka_by_singular_values(A, B):
    A, B = A - A.mean(0), B - B.mean(0)
    top = torch.linalg.svdvals(A.T @ B).square().sum()
    bottom = [torch.linalg.svdvals(table).pow(4).sum().sqrt() for table in (A, B)]
    return top / (bottom[0] * bottom[1])


def cka_wrong(centre, finish):
    def answer(A, B):
        A, B = centre(A), centre(B)
        return finish((A.T @ B).norm(), (A.T @ A).norm(), (B.T @ B).norm(), A, B)

    return answer


def over_images(A):
    return A - A.mean(0, keepdim=True)


# Two more ways to solve each exercise
OTHER_SOLUTIONS = {
    "check_prototype_head": (head_by_loop, head_by_scores),
    "check_layer_changes": (changes_by_loop, changes_by_scatter),
    "check_relative_entropy": (entropy_by_autograd, entropy_by_loop),
    "check_dual_ridge": (ridge_primal, ridge_by_rows),
    "check_attention": (attention_by_loop, attention_by_library),
    "check_cka": (cka_by_tables, cka_by_singular_values),
}

# (exercise, words that the finding must contain, wrong answer)
MISCONCEPTIONS = [
    ("check_prototype_head", "factor 2", head_wrong(1, lambda c: -(c @ c))),
    ("check_prototype_head", "biases have the wrong sign", head_wrong(2, lambda c: c @ c)),
    ("check_prototype_head", "farthest centre", head_wrong(-2, lambda c: -(c @ c))),
    ("check_prototype_head", "not its square", head_wrong(2, lambda c: -((c @ c) ** 0.5))),
    ("check_prototype_head", "biases are missing", head_wrong(2, lambda c: 0 * c[0])),
    ("check_layer_changes", "after adapting", changes_wrong(lambda a, b: (b - a).norm() / b.norm())),
    ("check_layer_changes", "not divided by anything", changes_wrong(lambda a, b: (b - a).norm())),
    ("check_layer_changes", "norm of all parameters", whole_norm),
    ("check_layer_changes", "changes of the norm", changes_wrong(lambda a, b: abs(b.norm() - a.norm()) / a.norm())),
    ("check_layer_changes", "root is missing", changes_wrong(lambda a, b: ((b - a) ** 2).sum() / (a**2).sum())),
    ("check_relative_entropy", "relative entropy of probabilities", lambda p, q: p @ torch.log(p) - p @ torch.log(q)),
    ("check_relative_entropy", "exchanged", lambda p, q: (q * torch.log(q / p) - q + p).sum()),
    ("check_relative_entropy", "sign is wrong", lambda p, q: (p * torch.log(q / p) + p - q).sum()),
    ("check_relative_entropy", "rest has the wrong sign", lambda p, q: (p * torch.log(p / q) + p - q).sum()),
    ("check_relative_entropy", "linear term", lambda p, q: p @ torch.log(p) - q @ torch.log(q)),
    ("check_dual_ridge", "λ is missing", lambda F, Y, lam, f: f @ torch.linalg.pinv(F) @ Y),
    ("check_dual_ridge", "multiplied by N", ridge_wrong(lambda K, lam, one: K + len(K) * lam * one)),
    ("check_dual_ridge", "identity is missing", ridge_wrong(lambda K, lam, one: K + lam * torch.ones_like(K))),
    ("check_dual_ridge", "No system", ridge_wrong(lambda K, lam, one: one)),
    ("check_dual_ridge", "λ is subtracted", ridge_wrong(lambda K, lam, one: K - lam * one)),
    ("check_attention", "not divided", attention_wrong(lambda w: 1.0)),
    ("check_attention", "not by its root", attention_wrong(lambda w: 1 / w)),
    ("check_attention", "over the queries", attention_wrong(lambda w: w**-0.5, axis=0)),
    ("check_attention", "softmax is missing", lambda query, keys, values: query @ (keys.T @ values) / query.shape[1] ** 0.5),
    ("check_attention", "this is the mean",
     lambda query, keys, values: torch.ones(len(query), 1, dtype=values.dtype) * values.sum(0) / len(values)),
    ("check_cka", "not centred", cka_wrong(lambda A: A, lambda ab, aa, bb, A, B: ab**2 / (aa * bb))),
    ("check_cka", "over the neurons",
     cka_wrong(lambda A: A - A.mean(1, keepdim=True), lambda ab, aa, bb, A, B: ab**2 / (aa * bb))),
    ("check_cka", "not squared", cka_wrong(over_images, lambda ab, aa, bb, A, B: ab / (aa * bb))),
    ("check_cka", "A root has been taken", cka_wrong(over_images, lambda ab, aa, bb, A, B: ab / (aa * bb) ** 0.5)),
    ("check_cka", "norms of A and B themselves",
     cka_wrong(over_images, lambda ab, aa, bb, A, B: ab**2 / ((A**2).sum() * (B**2).sum()))),
]  # fmt: skip
