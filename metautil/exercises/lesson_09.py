"""Checks of lesson 09, *Learning to adapt*."""

from __future__ import annotations

import torch
from torch import Tensor

from metautil.exercises import Exercise, Mistake


def _real(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _whole(generator: torch.Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (), generator=generator))


def _share(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand(1, generator=generator, dtype=torch.float64).item()


def _curved(generator: torch.Generator, *shape: int) -> Tensor:
    """Symmetric positive definite matrices (..., p, p) with eigenvalues from 0.2 to 2, for a shape (..., p)."""
    axes = torch.linalg.qr(_real(generator, *shape, shape[-1])).Q
    values = 0.2 + 1.8 * torch.rand(*shape, generator=generator, dtype=torch.float64)
    return axes * values.unsqueeze(-2) @ axes.mT


def _left(A: Tensor, alpha: float, steps: int) -> Tensor:
    """(I − αA)^K, formula (9.6)."""
    return torch.linalg.matrix_power(torch.eye(A.shape[-1], dtype=A.dtype) - alpha * A, steps)


# Exercise 9.1: the risk after adapting


def _bowl(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, float, int]:
    p = _whole(generator, 2, 4)
    steps = _whole(generator, 2, 4)
    return _curved(generator, p), _real(generator, p), _real(generator, p), _share(generator, 0.1, 0.4), steps


def _height(A: Tensor, away: Tensor, half: float = 0.5) -> Tensor:
    return half * away @ A @ away


check_adapted_risk = Exercise(
    number="9.1",
    call="answer_1(A, c, phi, alpha, K) with shapes (p, p), (p,), (p,) and two numbers",
    reference=lambda A, c, phi, alpha, K: _height(A, _left(A, alpha, K) @ (phi - c)),
    inputs=_bowl,
    mistakes=(
        Mistake(
            "This is the risk at φ itself: nothing has adapted",
            lambda A, c, phi, alpha, K: _height(A, phi - c),
            (
                "Does your answer change with K? Should it?",
                "The risk is taken at θ_K, not at φ.",
                "By (9.6) θ_K − c = (I − αA)^K (φ − c); put that into the risk.",
            ),
        ),
        Mistake(
            "The ½ of the risk is missing",
            lambda A, c, phi, alpha, K: _height(A, _left(A, alpha, K) @ (phi - c), half=1.0),
            (
                "What is the gradient of your risk? The inner steps use A(θ − c).",
                "The gradient of θᵀAθ is 2Aθ.",
                "Multiply by 0.5.",
            ),
        ),
        Mistake(
            "One step has been taken, whatever K is",
            lambda A, c, phi, alpha, K: _height(A, _left(A, alpha, 1) @ (phi - c)),
            (
                "What would your answer be for K = 100 and a small α?",
                "Each step multiplies the distance from the minimum by I − αA once more.",
                "Use torch.linalg.matrix_power(I − αA, K), or a loop of K steps.",
            ),
        ),
        Mistake(
            "The steps are added up, I − KαA, as if the gradient did not change on the way",
            lambda A, c, phi, alpha, K: _height(A, phi - c - K * alpha * A @ (phi - c)),
            (
                "Is the gradient after the first step the one at φ?",
                "K steps are K products, (I − αA)(I − αA)…, not one long step.",
                "Raise the matrix I − αA to the power K.",
            ),
        ),
        Mistake(
            "The power is taken entry by entry; the power of a matrix is a product of matrices",
            lambda A, c, phi, alpha, K: _height(
                A, (torch.eye(len(c), dtype=A.dtype) - alpha * A) ** K @ (phi - c)
            ),
            (
                "For a diagonal A your answer is right. What is different when A is not diagonal?",
                "In torch, M ** K raises every entry of M to the power K.",
                "Use torch.linalg.matrix_power(M, K).",
            ),
        ),
        Mistake(
            "The steps go uphill: I + αA",
            lambda A, c, phi, alpha, K: _height(A, _left(A, -alpha, K) @ (phi - c)),
            (
                "Is the risk after your steps smaller or larger than at φ?",
                "A gradient step subtracts α times the gradient.",
                "The factor of a step is I − αA.",
            ),
        ),
    ),
    praise="Along a curvature a the risk has been multiplied by (1 − αa)^{2K}, which is MAML's weight beside joint training's.",
)  # fmt: skip


# Exercise 9.2: a meta-gradient with two sets


def _two_sets(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, float]:
    p = _whole(generator, 2, 4)
    support = _curved(generator, p), _real(generator, p)
    return (*support, _curved(generator, p), _real(generator, p), _real(generator, p), _share(generator, 0.2, 0.4))


def _chain(
    A_S: Tensor, c_S: Tensor, A_Q: Tensor, c_Q: Tensor, phi: Tensor, alpha: float, outer: Tensor | None = None
) -> Tensor:
    """(I − αM) ∇L_Q(θ_1), with M the matrix ``outer``, or the support's."""
    theta = phi - alpha * A_S @ (phi - c_S)
    slope = A_Q @ (theta - c_Q)
    return slope - alpha * (A_S if outer is None else outer) @ slope


def _unadapted(A_S: Tensor, c_S: Tensor, A_Q: Tensor, c_Q: Tensor, phi: Tensor, alpha: float) -> Tensor:
    slope = A_Q @ (phi - c_Q)
    return slope - alpha * A_S @ slope


check_meta_gradient = Exercise(
    number="9.2",
    call="answer_2(A_S, c_S, A_Q, c_Q, phi, alpha) with shapes (p, p), (p,), (p, p), (p,), (p,) and a number",
    reference=_chain,
    inputs=_two_sets,
    mistakes=(
        Mistake(
            "This is FOMAML: the derivative of the inner step is missing",
            lambda A_S, c_S, A_Q, c_Q, phi, alpha: _chain(A_S, c_S, A_Q, c_Q, phi, alpha, 0 * A_S),
            (
                "If φ moves by δ, by how much does θ_1 move? By δ?",
                "θ_1 = φ − αA_S(φ − c_S), so dθ_1/dφ = I − αA_S.",
                "Multiply the query gradient by I − αA_S from the left.",
            ),
        ),
        Mistake(
            "The Jacobian of the step has the Hessian of the query risk; the step was taken on the support risk",
            lambda A_S, c_S, A_Q, c_Q, phi, alpha: _chain(A_S, c_S, A_Q, c_Q, phi, alpha, A_Q),
            (
                "Which risk does the inner step descend?",
                "The step is φ − α∇L_S(φ): its derivative contains the second derivatives of L_S.",
                "The left factor is I − αA_S.",
            ),
        ),
        Mistake(
            "The query gradient is taken at φ; the query set judges θ_1",
            _unadapted,
            (
                "At which point is the query risk evaluated?",
                "The chain rule takes the outer derivative at the inner value, θ_1.",
                "Use A_Q(θ_1 − c_Q) with θ_1 = φ − αA_S(φ − c_S).",
            ),
        ),
        Mistake(
            "This is the query gradient at φ: joint training, nothing adapts",
            lambda A_S, c_S, A_Q, c_Q, phi, alpha: A_Q @ (phi - c_Q),
            (
                "Does the support set occur in your answer?",
                "First take the step on the support set, then judge its end on the query set.",
                "Compute θ_1, then (I − αA_S) A_Q (θ_1 − c_Q).",
            ),
        ),
        Mistake(
            "The factors stand in the wrong order: A_Q comes first in the gradient of the query risk, the Jacobian after it",
            lambda A_S, c_S, A_Q, c_Q, phi, alpha: A_Q @ (
                _left(A_S, alpha, 1) @ (phi - alpha * A_S @ (phi - c_S) - c_Q)
            ),
            (
                "Do A_S and A_Q commute?",
                "The Jacobian multiplies the whole query gradient A_Q(θ_1 − c_Q) from the left.",
                "Compute slope = A_Q @ (theta - c_Q) first, then slope - alpha * A_S @ slope.",
            ),
        ),
    ),
    praise="Query gradient at the new point, Jacobian of the step at the old one: that is all of MAML.",
)  # fmt: skip


# Exercise 9.3: the implicit gradient


def _spring(generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    p = _whole(generator, 2, 4)
    return _curved(generator, p), _real(generator, p), _share(generator, 1.3, 3)


check_implicit_gradient = Exercise(
    number="9.3",
    call="answer_3(H, g, lam) with shapes (p, p), (p,) and a number",
    reference=lambda H, g, lam: lam * torch.linalg.solve(H + lam * torch.eye(len(g), dtype=H.dtype), g),
    inputs=_spring,
    mistakes=(
        Mistake(
            "λ multiplies the Hessian: a stiff spring would then count as a loose one",
            lambda H, g, lam: torch.linalg.solve(torch.eye(len(g), dtype=H.dtype) + lam * H, g),
            (
                "With a very stiff spring, how far can θ* be from φ? What must the gradient be then?",
                "For λ → ∞ the gradient must tend to g.",
                "Divide H by lam.",
            ),
        ),
        Mistake(
            "A factor λ is missing: (H + λI)⁻¹ g goes to 0 as the spring stiffens",
            lambda H, g, lam: torch.linalg.solve(H + lam * torch.eye(len(g), dtype=H.dtype), g),
            (
                "For H = 0 the inner minimum does not pull at all, and θ* = φ. What is your answer then?",
                "Differentiate ∇L_S(θ*) + λ(θ* − φ) = 0 by φ: on the right-hand side stands λI.",
                "Multiply by lam, or use I + H/λ.",
            ),
        ),
        Mistake(
            "λ does not occur: this is the answer for λ = 1",
            lambda H, g, lam: torch.linalg.solve(torch.eye(len(g), dtype=H.dtype) + H, g),
            (
                "Does your answer change with λ?",
                "The spring's curvature λI adds to H.",
                "Divide H by lam.",
            ),
        ),
        Mistake(
            "This is g itself, as if θ* moved exactly with φ: the first-order answer",
            lambda H, g, lam: g,
            (
                "Does θ* follow φ all the way, or does the support risk hold it back?",
                "dθ*/dφ = (I + H/λ)⁻¹, by (9.12).",
                "Solve (I + H/λ) v = g for v.",
            ),
        ),
        Mistake(
            "The matrix multiplies instead of being inverted",
            lambda H, g, lam: g + H @ g / lam,
            (
                "Where the support risk is steep, should θ* follow φ more or less?",
                "The implicit derivative is an inverse, (I + H/λ)⁻¹.",
                "Use torch.linalg.solve(I + H / lam, g).",
            ),
        ),
        Mistake(
            "The Jacobian of one explicit step, I − H/λ, stands in for the inverse",
            lambda H, g, lam: g - H @ g / lam,
            (
                "For which H and λ is 1 − h/λ close to 1/(1 + h/λ)? Is that the case here?",
                "I − H/λ is the derivative of a gradient step of size 1/λ, not of the minimum.",
                "Use torch.linalg.solve(I + H / lam, g).",
            ),
        ),
    ),
    praise="One linear solve at the end of the inner problem, however the end was found.",
)  # fmt: skip


# Exercise 9.4: where MAML starts


def _family(generator: torch.Generator) -> tuple[Tensor, Tensor, float, int]:
    tasks, p = _whole(generator, 3, 5), _whole(generator, 2, 4)
    alpha, steps = _share(generator, 0.2, 0.4), _whole(generator, 2, 3)
    return _curved(generator, tasks, p), _real(generator, tasks, p), alpha, steps


def _weighted(W: Tensor, c: Tensor) -> Tensor:
    """Formula (9.9)."""
    return torch.linalg.solve(W.sum(0), (W @ c.unsqueeze(-1)).sum(0)).squeeze(-1)


def _maml_weights(A: Tensor, alpha: float, steps: int) -> Tensor:
    return _left(A, alpha, steps) @ A @ _left(A, alpha, steps)


check_best_start = Exercise(
    number="9.4",
    call="answer_4(A, c, alpha, K) with shapes (T, p, p), (T, p) and two numbers",
    reference=lambda A, c, alpha, K: _weighted(_maml_weights(A, alpha, K), c),
    inputs=_family,
    mistakes=(
        Mistake(
            "This is joint training's point, best before adapting",
            lambda A, c, alpha, K: _weighted(A, c),
            (
                "Does your answer change with K?",
                "What is minimised is the mean risk after K steps.",
                "The weights are (I − αA)^K A (I − αA)^K.",
            ),
        ),
        Mistake(
            "This is FOMAML's point: one of the two factors (I − αA)^K is missing",
            lambda A, c, alpha, K: _weighted(A @ _left(A, alpha, K), c),
            (
                "The risk after adapting is quadratic in (I − αA)^K (φ − c). How often does the matrix occur in its gradient?",
                "Once from adapting, once from the chain rule.",
                "Multiply A by (I − αA)^K from both sides.",
            ),
        ),
        Mistake(
            "This is Reptile's point, I − (I − αA)^K",
            lambda A, c, alpha, K: _weighted(torch.eye(A.shape[-1], dtype=A.dtype) - _left(A, alpha, K), c),
            (
                "Is the gradient that you set to zero that of the mean query risk?",
                "Reptile moves towards θ_K, and judges nothing on a query set.",
                "Take MAML's weights from (9.10).",
            ),
        ),
        Mistake(
            "This is the plain mean of the minima; with different curvatures the tasks weigh differently",
            lambda A, c, alpha, K: c.mean(0),
            (
                "Does your answer depend on A at all?",
                "The plain mean is right only where all A_t are equal.",
                "Weigh each minimum by its matrix (I − αA)^K A (I − αA)^K.",
            ),
        ),
        Mistake(
            "The weights are those of one step, whatever K is",
            lambda A, c, alpha, K: _weighted(_maml_weights(A, alpha, 1), c),
            (
                "How does K come into your answer?",
                "Every inner step brings one more factor I − αA on both sides.",
                "Use torch.linalg.matrix_power(I − αA, K).",
            ),
        ),
    ),
    praise="Steep directions that a few steps repair have lost their say; what adapting leaves decides.",
)  # fmt: skip
