"""Checks of lesson 14, *Meta-features*."""

from __future__ import annotations

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake
from lessons.shared.inputs import real, whole
from metautil.similarity import linear_cka


def _positive(generator: torch.Generator, *shape: int) -> Tensor:
    return 0.2 + torch.rand(*shape, generator=generator, dtype=torch.float64)


# Exercise 14.1: prototypes as a head


def _centres(generator: torch.Generator) -> tuple[Tensor]:
    return (real(generator, whole(generator, 3, 5), whole(generator, 6, 8)),)


def _head(centres: Tensor, weights: float = 2, biases: float = -1) -> Tensor:
    return torch.cat([weights * centres.T, biases * centres.square().sum(1)[None]])


check_prototype_head = Exercise(
    number="14.1",
    call="answer_1(centres) with shape (N, F)",
    reference=_head,
    inputs=_centres,
    mistakes=(
        Mistake(
            "The factor 2 of the weights is missing",
            lambda centres: _head(centres, weights=1),
            "Multiply out the square of f − c. How often does the product of f and c occur?",
            "The product occurs twice, with a minus; the score is minus the square.",
            "The weights are 2c_n. (With weights c_n the biases would be −‖c_n‖²/2: the same answers, other scores.)",
        ),
        Mistake(
            "The biases have the wrong sign",
            lambda centres: _head(centres, biases=1),
            "Should a class far from the origin get a bonus or a malus at f = 0?",
            "At f = 0 the score is −‖0 − c_n‖².",
            "The bias is −‖c_n‖².",
        ),
        Mistake(
            "The weights have the wrong sign: the farthest centre would win",
            lambda centres: _head(centres, weights=-2),
            "Put f = c_n: is the score of class n the largest one?",
            "In −‖f − c‖² the product of f and c has the sign plus.",
            "The weights are 2c_n.",
        ),
        Mistake(
            "The bias is minus the length of the centre, not its square",
            lambda centres: torch.cat([2 * centres.T, -centres.norm(dim=1)[None]]),
            "What is ‖f − c‖² at f = 0?",
            "The square root has no place in a squared distance.",
            "Use centres.square().sum(1).",
        ),
        Mistake(
            "The biases are missing; without them the longest centre wins too often",
            lambda centres: _head(centres, biases=0),
            "Two centres in the same direction, one twice as long: which one wins?",
            "Which term of ‖f − c‖² depends on the class and not on f?",
            "The last row is −‖c_n‖².",
        ),
    ),
    praise="A mean has become a linear layer, with nothing trained; Proto-MAML starts its inner loop there.",
)


# Exercise 14.2: which layers move


def _moved(generator: torch.Generator) -> tuple[Tensor, Tensor, list[int]]:
    sizes = [whole(generator, 2, 6) for _ in range(4)]
    before = real(generator, sum(sizes))
    return before, before + 0.3 * real(generator, sum(sizes)), sizes


def _by_layer(top: Tensor, bottom: Tensor, sizes: list[int]) -> Tensor:
    return torch.stack([a.norm() / b.norm() for a, b in zip(top.split(sizes), bottom.split(sizes), strict=True)])


check_layer_changes = Exercise(
    number="14.2",
    call="answer_2(before, after, sizes) with shapes (p,), (p,) and a list of whole numbers that sum to p",
    reference=lambda before, after, sizes: _by_layer(after - before, before, sizes),
    inputs=_moved,
    mistakes=(
        Mistake(
            "The change is divided by the size after adapting",
            lambda before, after, sizes: _by_layer(after - before, after, sizes),
            "Relative to what does (14.10) measure?",
            "The denominator holds θ_0, not θ_K.",
            "Divide by the norm of before.",
        ),
        Mistake(
            "The change is not divided by anything: a layer of large weights seems to move most",
            lambda before, after, sizes: torch.stack([part.norm() for part in (after - before).split(sizes)]),
            "Two layers move by the same amount, one has weights ten times as large. Which one has changed more?",
            "(14.10) is a quotient.",
            "Divide each norm by that of before in the same layer.",
        ),
        Mistake(
            "The change is divided by the norm of all parameters, not by that of the layer",
            lambda before, after, sizes: (
                torch.stack([part.norm() for part in (after - before).split(sizes)]) / before.norm()
            ),
            "A small layer that doubles all its weights: what should its relative change be?",
            "Numerator and denominator are of the same layer.",
            "Split before too.",
        ),
        Mistake(
            "These are changes of the norm: a layer that only turns would not have moved",
            lambda before, after, sizes: (_by_layer(after, before, sizes) - 1).abs(),
            "after = −before: has nothing moved?",
            "The norm is taken of the difference, not the difference of the norms.",
            "Take (after − before) first, then the norms.",
        ),
        Mistake(
            "The squares have not been brought back: a root is missing",
            lambda before, after, sizes: _by_layer(after - before, before, sizes).square(),
            "If all weights grow by a tenth, what should the relative change be?",
            "‖·‖ is the root of the sum of squares.",
            "Use .norm().",
        ),
    ),
    praise="For ANIL all entries but the last are 0, by construction; for MAML they turn out to be small.",
)


# Exercise 14.3: a divergence that is not a square


def _two_positive(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    size = whole(generator, 3, 6)
    return _positive(generator, size), _positive(generator, size)


def _entropy(p: Tensor, q: Tensor, rest: float = 1) -> Tensor:
    return (p * (p / q).log() + rest * (q - p)).sum()


check_relative_entropy = Exercise(
    number="14.3",
    call="answer_3(p, q) with shapes (n,) and (n,)",
    reference=_entropy,
    inputs=_two_positive,
    mistakes=(
        Mistake(
            "This is the relative entropy of probabilities; p and q do not sum to the same here, and it can be negative",
            lambda p, q: _entropy(p, q, rest=0),
            "Put q = 2p into your answer. Is it positive, as a divergence must be?",
            "The derivative of p log p is log p + 1; what does the 1 contribute to (14.6)?",
            "The term −(p − q) stays: add q − p.",
        ),
        Mistake(
            "The two arguments are exchanged",
            lambda p, q: _entropy(q, p),
            "At which of the two points is the tangent in (14.6)?",
            "F(p) = Σ p log p stands at p, the gradient at q.",
            "The logarithm is of p/q, and its factor is p.",
        ),
        Mistake(
            "The sign is wrong: a divergence is never negative",
            lambda p, q: -_entropy(p, q),
            "Which of F and its tangent is the larger one, for a convex F?",
            "(14.6) is F minus its tangent.",
            "Use log(p/q), not log(q/p), and q − p, not p − q.",
        ),
        Mistake(
            "The rest has the wrong sign: add q and subtract p",
            lambda p, q: _entropy(p, q, rest=-1),
            "Put q = 2p: is your answer positive?",
            "−(log q + 1)(p − q) contains −p + q.",
            "The sum is over p log(p/q) − p + q.",
        ),
        Mistake(
            "The linear term is missing: this is F(p) − F(q)",
            lambda p, q: (p * p.log()).sum() - (q * q.log()).sum(),
            "Is your answer positive for all p and q?",
            "(14.6) subtracts the tangent at q, not only its value.",
            "Subtract (log q + 1)(p − q) too.",
        ),
    ),
    praise="It is least, as a sum over examples, at their mean, like every divergence of (14.6).",
)


# Exercise 14.4: a probe from few examples


def _few(generator: torch.Generator) -> tuple[Tensor, Tensor, float, Tensor]:
    N, d, C = whole(generator, 3, 5), whole(generator, 6, 9), 2
    lam = _positive(generator, 1).item()
    return real(generator, N, d), real(generator, N, C), lam, real(generator, 4, d)


def _ridge(F: Tensor, Y: Tensor, lam: float, f: Tensor) -> Tensor:
    return f @ F.T @ torch.linalg.solve(F @ F.T + lam * torch.eye(len(F), dtype=F.dtype), Y)


check_dual_ridge = Exercise(
    number="14.4",
    call="answer_4(F, Y, lam, f) with shapes (N, d), (N, C), a number and (M, d)",
    reference=_ridge,
    inputs=_few,
    mistakes=(
        Mistake(
            "λ is missing: this fits the support set exactly",
            lambda F, Y, lam, f: _ridge(F, Y, 0.0, f),
            "Does your answer change with lam?",
            "The matrix of (14.9) is FFᵀ + λI.",
            "Add lam * torch.eye(N) before solving.",
        ),
        Mistake(
            "λ has been multiplied by N: the sum of squared errors is not their mean",
            lambda F, Y, lam, f: _ridge(F, Y, lam * len(F), f),
            "Which objective has (14.9) as its minimiser, Σ‖W ᵀf_i − y_i‖² + λ‖W‖² or the mean?",
            "In (14.9) λ stands alone.",
            "Use lam, not lam * N.",
        ),
        Mistake(
            "The identity is missing: λ has been added to every entry",
            lambda F, Y, lam, f: f @ F.T @ torch.linalg.solve(F @ F.T + lam, Y),
            "In torch, matrix + number adds the number to every entry.",
            "λ belongs on the diagonal.",
            "Add lam * torch.eye(N).",
        ),
        Mistake(
            "No system has been solved: this is one step, fFᵀY",
            lambda F, Y, lam, f: f @ F.T @ Y,
            "If two support examples are nearly the same, do they count twice in your answer?",
            "The inverse of FFᵀ + λI takes their likeness into account.",
            "Put torch.linalg.solve(F @ F.T + lam * I, Y) in the place of Y.",
        ),
        Mistake(
            "λ is subtracted",
            lambda F, Y, lam, f: _ridge(F, Y, -lam, f),
            "What becomes of your answer where lam is near an eigenvalue of FFᵀ?",
            "A larger λ makes a smaller head.",
            "Add λI to FFᵀ.",
        ),
    ),
    praise="Five examples, five equations, however many features; and a kernel FFᵀ is all that is asked of them.",
)


# Exercise 14.5: looking at a set


def _looked_at(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    w, N = whole(generator, 3, 5), whole(generator, 6, 8)
    return real(generator, 4, w), real(generator, N, w), real(generator, N, 2)


def _attention(query: Tensor, keys: Tensor, values: Tensor, scale: float | None = None, axis: int = 1) -> Tensor:
    scale = keys.shape[1] ** 0.5 if scale is None else scale
    return (query @ keys.T / scale).softmax(axis) @ values


check_attention = Exercise(
    number="14.5",
    call="answer_5(query, keys, values) with shapes (M, w), (N, w) and (N, v)",
    reference=_attention,
    inputs=_looked_at,
    mistakes=(
        Mistake(
            "The products are not divided by √w",
            lambda query, keys, values: _attention(query, keys, values, scale=1.0),
            "How large does a product of two vectors get as they grow longer?",
            "(14.12) divides by the root of w.",
            "Divide by keys.shape[1] ** 0.5.",
        ),
        Mistake(
            "The products are divided by w, not by its root",
            lambda query, keys, values: _attention(query, keys, values, scale=float(keys.shape[1])),
            "The product of two random vectors of w entries grows like √w.",
            "(14.12) has a root.",
            "Divide by keys.shape[1] ** 0.5.",
        ),
        Mistake(
            "The weights sum to 1 over the queries; each query is to spread its own 1 over the examples",
            lambda query, keys, values: _attention(query, keys, values, axis=0),
            "What do the weights of one query sum to?",
            "The softmax goes over i, the examples.",
            "Use softmax(1) on a table with a row for each query.",
        ),
        Mistake(
            "Nothing is normalised: the softmax is missing",
            lambda query, keys, values: query @ keys.T / keys.shape[1] ** 0.5 @ values,
            "Can your weights be negative? Do they sum to 1?",
            "a(x) in (14.12) is a softmax.",
            "Put .softmax(1) after the division.",
        ),
        Mistake(
            "Every example gets the same weight: this is the mean, where a query looks at all alike",
            lambda query, keys, values: values.mean(0).expand(len(query), -1),
            "Does your answer depend on the query?",
            "The mean of the r_i is the third argument of o, not the second.",
            "Weigh the values by the softmax of the products with the keys.",
        ),
    ),
    praise="The examples may come in any order: keys and values are exchanged together, and the sum does not notice.",
)


# Exercise 14.6: alike up to a rotation


def _two_views(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    N = whole(generator, 8, 12)
    return real(generator, N, 3) + 0.5, real(generator, N, 4) - 0.3


def _cka(A: Tensor, B: Tensor) -> Tensor:
    return (A.T @ B).norm() ** 2 / ((A.T @ A).norm() * (B.T @ B).norm())


def _centred(*tables: Tensor) -> list[Tensor]:
    return [table - table.mean(0) for table in tables]


check_cka = Exercise(
    number="14.6",
    call="answer_6(A, B) with shapes (N, p) and (N, q)",
    reference=linear_cka,
    inputs=_two_views,
    mistakes=(
        Mistake(
            "The features are not centred: a constant that all images share makes everything alike",
            _cka,
            "Add 100 to every feature: what becomes of your answer?",
            "A and B in (14.11) are centred over the images.",
            "Subtract A.mean(0) and B.mean(0) first.",
        ),
        Mistake(
            "The features are centred over the neurons, not over the images",
            lambda A, B: _cka(A - A.mean(1, keepdim=True), B - B.mean(1, keepdim=True)),
            "Which axis counts the images?",
            "The mean is taken over the rows, for each feature.",
            "Use A.mean(0).",
        ),
        Mistake(
            "The numerator is not squared",
            lambda A, B: (
                (_centred(A)[0].T @ _centred(B)[0]).norm()
                / ((_centred(A)[0].T @ _centred(A)[0]).norm() * (_centred(B)[0].T @ _centred(B)[0]).norm())
            ),
            "Double A: does your answer stay the same?",
            "Numerator and denominator must grow alike when a set is scaled.",
            "The numerator is the square of the norm of AᵀB.",
        ),
        Mistake(
            "A root has been taken of (14.11)",
            lambda A, B: linear_cka(A, B).sqrt(),
            "Which power of ‖AᵀB‖ stands in (14.11)?",
            "CKA is not a cosine of AᵀB, but one of AAᵀ and BBᵀ.",
            "Leave the root out.",
        ),
        Mistake(
            "The denominator holds the norms of A and B themselves, squared; (14.11) has those of AᵀA and BᵀB",
            lambda A, B: (
                (_centred(A)[0].T @ _centred(B)[0]).norm() ** 2
                / (_centred(A)[0].norm() ** 2 * _centred(B)[0].norm() ** 2)
            ),
            "What does your answer give for B = A? It should be 1.",
            "‖AᵀA‖ is at most ‖A‖², and equal only where A has one direction.",
            "Use (A.T @ A).norm().",
        ),
    ),
    praise="A turned or scaled representation is the same one to it, as it is to distances; one neuron means nothing.",
)
