"""Checks of lesson 11, *Learning to adapt*."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake
from lessons.shared.inputs import real, share, whole


def _curved(generator: torch.Generator, *shape: int) -> Tensor:
    """Symmetric positive definite matrices (..., p, p) with eigenvalues from 0.2 to 2, for a shape (..., p)."""
    axes = torch.linalg.qr(real(generator, *shape, shape[-1])).Q
    values = 0.2 + 1.8 * torch.rand(*shape, generator=generator, dtype=torch.float64)
    return axes * values.unsqueeze(-2) @ axes.mT


def _left(A: Tensor, alpha: float, steps: int) -> Tensor:
    """(I − αA)^K, formula (11.6)."""
    return torch.linalg.matrix_power(torch.eye(A.shape[-1], dtype=A.dtype) - alpha * A, steps)


# Exercise 11.1: the risk after adapting


def _bowl(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, float, int]:
    p = whole(generator, 2, 4)
    steps = whole(generator, 2, 4)
    return _curved(generator, p), real(generator, p), real(generator, p), share(generator, 0.1, 0.4), steps


def _height(A: Tensor, away: Tensor, half: float = 0.5) -> Tensor:
    return half * away @ A @ away


check_adapted_risk = Exercise(
    number="11.1",
    call="answer_1(A, c, phi, alpha, K) with shapes (p, p), (p,), (p,) and two numbers",
    reference=lambda A, c, phi, alpha, K: _height(A, _left(A, alpha, K) @ (phi - c)),
    inputs=_bowl,
    mistakes=(
        Mistake(
            "This is the risk at φ itself: nothing has adapted",
            lambda A, c, phi, alpha, K: _height(A, phi - c),
            "Does your answer change with K? Should it?",
            "The risk is taken at θ_K, not at φ.",
            "By (11.6) θ_K − c = (I − αA)^K (φ − c); put that into the risk.",
        ),
        Mistake(
            "The ½ of the risk is missing",
            lambda A, c, phi, alpha, K: _height(A, _left(A, alpha, K) @ (phi - c), half=1.0),
            "What is the gradient of your risk? The inner steps use A(θ − c).",
            "The gradient of θᵀAθ is 2Aθ.",
            "Multiply by 0.5.",
        ),
        Mistake(
            "One step has been taken, whatever K is",
            lambda A, c, phi, alpha, K: _height(A, _left(A, alpha, 1) @ (phi - c)),
            "What would your answer be for K = 100 and a small α?",
            "Each step multiplies the distance from the minimum by I − αA once more.",
            "Use torch.linalg.matrix_power(I − αA, K), or a loop of K steps.",
        ),
        Mistake(
            "The steps are added up, I − KαA, as if the gradient did not change on the way",
            lambda A, c, phi, alpha, K: _height(A, phi - c - K * alpha * A @ (phi - c)),
            "Is the gradient after the first step the one at φ?",
            "K steps are K products, (I − αA)(I − αA)…, not one long step.",
            "Raise the matrix I − αA to the power K.",
        ),
        Mistake(
            "The power is taken entry by entry; the power of a matrix is a product of matrices",
            lambda A, c, phi, alpha, K: _height(A, (torch.eye(len(c), dtype=A.dtype) - alpha * A) ** K @ (phi - c)),
            "For a diagonal A your answer is right. What is different when A is not diagonal?",
            "In torch, M ** K raises every entry of M to the power K.",
            "Use torch.linalg.matrix_power(M, K).",
        ),
        Mistake(
            "The steps go uphill: I + αA",
            lambda A, c, phi, alpha, K: _height(A, _left(A, -alpha, K) @ (phi - c)),
            "Is the risk after your steps smaller or larger than at φ?",
            "A gradient step subtracts α times the gradient.",
            "The factor of a step is I − αA.",
        ),
    ),
    praise="Along a curvature a the risk has been multiplied by (1 − αa)^{2K}, which is MAML's weight beside joint training's.",
)


# Exercise 11.3: a meta-gradient with two sets


def _two_sets(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, float]:
    p = whole(generator, 2, 4)
    support = _curved(generator, p), real(generator, p)
    return (*support, _curved(generator, p), real(generator, p), real(generator, p), share(generator, 0.2, 0.4))


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
    number="11.3",
    call="answer_3(A_S, c_S, A_Q, c_Q, phi, alpha) with shapes (p, p), (p,), (p, p), (p,), (p,) and a number",
    reference=_chain,
    inputs=_two_sets,
    mistakes=(
        Mistake(
            "This is FOMAML: the derivative of the inner step is missing",
            lambda A_S, c_S, A_Q, c_Q, phi, alpha: _chain(A_S, c_S, A_Q, c_Q, phi, alpha, 0 * A_S),
            "If φ moves by δ, by how much does θ_1 move? By δ?",
            "θ_1 = φ − αA_S(φ − c_S), so dθ_1/dφ = I − αA_S.",
            "Multiply the query gradient by I − αA_S from the left.",
        ),
        Mistake(
            "The Jacobian of the step has the Hessian of the query risk; the step was taken on the support risk",
            lambda A_S, c_S, A_Q, c_Q, phi, alpha: _chain(A_S, c_S, A_Q, c_Q, phi, alpha, A_Q),
            "Which risk does the inner step descend?",
            "The step is φ − α∇L_S(φ): its derivative contains the second derivatives of L_S.",
            "The left factor is I − αA_S.",
        ),
        Mistake(
            "The query gradient is taken at φ; the query set judges θ_1",
            _unadapted,
            "At which point is the query risk evaluated?",
            "The chain rule takes the outer derivative at the inner value, θ_1.",
            "Use A_Q(θ_1 − c_Q) with θ_1 = φ − αA_S(φ − c_S).",
        ),
        Mistake(
            "This is the query gradient at φ: joint training, nothing adapts",
            lambda A_S, c_S, A_Q, c_Q, phi, alpha: A_Q @ (phi - c_Q),
            "Does the support set occur in your answer?",
            "First take the step on the support set, then judge its end on the query set.",
            "Compute θ_1, then (I − αA_S) A_Q (θ_1 − c_Q).",
        ),
        Mistake(
            "The factors stand in the wrong order: A_Q comes first in the gradient of the query risk, the Jacobian after it",
            lambda A_S, c_S, A_Q, c_Q, phi, alpha: (
                A_Q @ (_left(A_S, alpha, 1) @ (phi - alpha * A_S @ (phi - c_S) - c_Q))
            ),
            "Do A_S and A_Q commute?",
            "The Jacobian multiplies the whole query gradient A_Q(θ_1 − c_Q) from the left.",
            "Compute slope = A_Q @ (theta - c_Q) first, then slope - alpha * A_S @ slope.",
        ),
    ),
    praise="Query gradient at the new point, Jacobian of the step at the old one: that is all of MAML.",
)


# Exercise 11.4: the implicit gradient


def _spring(generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    p = whole(generator, 2, 4)
    return _curved(generator, p), real(generator, p), share(generator, 1.3, 3)


check_implicit_gradient = Exercise(
    number="11.4",
    call="answer_4(H, g, lam) with shapes (p, p), (p,) and a number",
    reference=lambda H, g, lam: lam * torch.linalg.solve(H + lam * torch.eye(len(g), dtype=H.dtype), g),
    inputs=_spring,
    mistakes=(
        Mistake(
            "λ multiplies the Hessian: a stiff spring would then count as a loose one",
            lambda H, g, lam: torch.linalg.solve(torch.eye(len(g), dtype=H.dtype) + lam * H, g),
            "With a very stiff spring, how far can θ* be from φ? What must the gradient be then?",
            "For λ → ∞ the gradient must tend to g.",
            "Divide H by lam.",
        ),
        Mistake(
            "A factor λ is missing: (H + λI)⁻¹ g goes to 0 as the spring stiffens",
            lambda H, g, lam: torch.linalg.solve(H + lam * torch.eye(len(g), dtype=H.dtype), g),
            "For H = 0 the inner minimum does not pull at all, and θ* = φ. What is your answer then?",
            "Differentiate ∇L_S(θ*) + λ(θ* − φ) = 0 by φ: on the right-hand side stands λI.",
            "Multiply by lam, or use I + H/λ.",
        ),
        Mistake(
            "λ does not occur: this is the answer for λ = 1",
            lambda H, g, lam: torch.linalg.solve(torch.eye(len(g), dtype=H.dtype) + H, g),
            "Does your answer change with λ?",
            "The spring's curvature λI adds to H.",
            "Divide H by lam.",
        ),
        Mistake(
            "This is g itself, as if θ* moved exactly with φ: the first-order answer",
            lambda H, g, lam: g,
            "Does θ* follow φ all the way, or does the support risk hold it back?",
            "dθ*/dφ = (I + H/λ)⁻¹, by (11.12).",
            "Solve (I + H/λ) v = g for v.",
        ),
        Mistake(
            "The matrix multiplies instead of being inverted",
            lambda H, g, lam: g + H @ g / lam,
            "Where the support risk is steep, should θ* follow φ more or less?",
            "The implicit derivative is an inverse, (I + H/λ)⁻¹.",
            "Use torch.linalg.solve(I + H / lam, g).",
        ),
        Mistake(
            "The Jacobian of one explicit step, I − H/λ, stands in for the inverse",
            lambda H, g, lam: g - H @ g / lam,
            "For which H and λ is 1 − h/λ close to 1/(1 + h/λ)? Is that the case here?",
            "I − H/λ is the derivative of a gradient step of size 1/λ, not of the minimum.",
            "Use torch.linalg.solve(I + H / lam, g).",
        ),
    ),
    praise="One linear solve at the end of the inner problem, however the end was found.",
)


# Exercise 11.7: where MAML starts


def _family(generator: torch.Generator) -> tuple[Tensor, Tensor, float, int]:
    tasks, p = whole(generator, 3, 5), whole(generator, 2, 4)
    alpha, steps = share(generator, 0.2, 0.4), whole(generator, 2, 3)
    return _curved(generator, tasks, p), real(generator, tasks, p), alpha, steps


def _weighted(W: Tensor, c: Tensor) -> Tensor:
    """Formula (11.9)."""
    return torch.linalg.solve(W.sum(0), (W @ c.unsqueeze(-1)).sum(0)).squeeze(-1)


def _maml_weights(A: Tensor, alpha: float, steps: int) -> Tensor:
    return _left(A, alpha, steps) @ A @ _left(A, alpha, steps)


check_best_start = Exercise(
    number="11.7",
    call="answer_7(A, c, alpha, K) with shapes (T, p, p), (T, p) and two numbers",
    reference=lambda A, c, alpha, K: _weighted(_maml_weights(A, alpha, K), c),
    inputs=_family,
    mistakes=(
        Mistake(
            "This is joint training's point, best before adapting",
            lambda A, c, alpha, K: _weighted(A, c),
            "Does your answer change with K?",
            "What is minimised is the mean risk after K steps.",
            "The weights are (I − αA)^K A (I − αA)^K.",
        ),
        Mistake(
            "This is FOMAML's point: one of the two factors (I − αA)^K is missing",
            lambda A, c, alpha, K: _weighted(A @ _left(A, alpha, K), c),
            "The risk after adapting is quadratic in (I − αA)^K (φ − c). How often does the matrix occur in its gradient?",
            "Once from adapting, once from the chain rule.",
            "Multiply A by (I − αA)^K from both sides.",
        ),
        Mistake(
            "This is Reptile's point, I − (I − αA)^K",
            lambda A, c, alpha, K: _weighted(torch.eye(A.shape[-1], dtype=A.dtype) - _left(A, alpha, K), c),
            "Is the gradient that you set to zero that of the mean query risk?",
            "Reptile moves towards θ_K, and judges nothing on a query set.",
            "Take MAML's weights from (11.10).",
        ),
        Mistake(
            "This is the plain mean of the minima; with different curvatures the tasks weigh differently",
            lambda A, c, alpha, K: c.mean(0),
            "Does your answer depend on A at all?",
            "The plain mean is right only where all A_t are equal.",
            "Weigh each minimum by its matrix (I − αA)^K A (I − αA)^K.",
        ),
        Mistake(
            "The weights are those of one step, whatever K is",
            lambda A, c, alpha, K: _weighted(_maml_weights(A, alpha, 1), c),
            "How does K come into your answer?",
            "Every inner step brings one more factor I − αA on both sides.",
            "Use torch.linalg.matrix_power(I − αA, K).",
        ),
    ),
    praise="Steep directions that a few steps repair have lost their say; what adapting leaves decides.",
)


# Exercise 11.2: what λ leaves of the error on the new task


def _two_functions(generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    points = whole(generator, 5, 9)
    return real(generator, points), real(generator, points), share(generator, 0.3, 4)


def _error(blend: Callable[[Tensor, Tensor, float], Tensor]) -> Callable[[Tensor, Tensor, float], Tensor]:
    """MSE of a blend (mean, wave, λ) → f on the wave."""
    return lambda mean, wave, lam: (blend(mean, wave, lam) - wave).square().mean()


check_weighted_error = Exercise(
    number="11.2",
    call="answer_2(mean, wave, lam) with shapes (n,), (n,) and a number",
    reference=_error(lambda mean, wave, lam: (mean + lam * wave) / (1 + lam)),
    inputs=_two_functions,
    mistakes=(
        Mistake(
            "λ weighs the pooled tasks instead of the new one",
            _error(lambda mean, wave, lam: (lam * mean + wave) / (1 + lam)),
            "At λ = 0, which function does the objective end at: the mean, or the new wave?",
            "In L_D + λ L_T the pooled data D have the weight 1, T has λ.",
            "Blend (mean + lam * wave) / (1 + lam).",
        ),
        Mistake(
            "The blend is not divided by 1 + λ, so it is no mean of the two functions",
            _error(lambda mean, wave, lam: mean + lam * wave),
            "If both functions were the same, what should the blend be? What is yours?",
            "The derivative (f − m) + λ (f − f_T) contains f once and λ times more.",
            "Divide by 1 + lam before you take the error.",
        ),
        Mistake(
            "The distance shrinks by 1/(1 + λ), and the squared error by the square of that",
            lambda mean, wave, lam: (mean - wave).square().mean() / (1 + lam),
            "At λ = 1 the blend lies half-way. Which part of the squared error does half the distance leave?",
            "f_λ − f_T = (m − f_T)/(1 + λ), and this is squared.",
            "Divide the mean of (mean − wave)² by (1 + lam)**2.",
        ),
        Mistake(
            "This is the risk, with the ½ of the loss; the MSE is twice that",
            lambda mean, wave, lam: ((mean - wave) / (1 + lam)).square().mean() / 2,
            "Which of the two numbers do the tables of this lesson hold?",
            "The MSE is the mean of the squares alone.",
            "Multiply by 2.",
        ),
        Mistake(
            "The squares are added up, not averaged",
            lambda mean, wave, lam: ((mean - wave) / (1 + lam)).square().sum(),
            "What does the M in MSE stand for?",
            "Twice as many grid points should not double the error.",
            "Use .mean() in the place of .sum().",
        ),
    ),
    praise="λ buys a smaller error on one task that was named in training; the next task gets nothing of it.",
)


# Exercise 11.5: the floor


def _noisy_wave(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Support x and y with noise, so that a needless feature changes the answer; query x."""
    x, x_query = (10 * torch.rand(n, generator=generator, dtype=torch.float64) - 5 for n in (10, 6))
    wave = 3 * torch.sin(x - 3 * share(generator, 0, 1))
    return x, wave + 0.5 * real(generator, 10), x_query


def _fitted(features: Callable[[Tensor], list[Tensor]]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def answer(x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
        return torch.stack(features(x_query), 1) @ torch.linalg.lstsq(torch.stack(features(x), 1), y[:, None]).solution

    return lambda x, y, x_query: answer(x, y, x_query)[:, 0]


def _projected(x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
    Z, Z_query = (torch.stack([torch.sin(v), torch.cos(v)], 1) for v in (x, x_query))
    return Z_query @ (2 * Z.T @ y / len(y))


check_floor = Exercise(
    number="11.5",
    call="answer_5(x, y, x_query) with shapes (N,), (N,), (M,)",
    reference=_fitted(lambda x: [torch.sin(x), torch.cos(x)]),
    inputs=_noisy_wave,
    mistakes=(
        Mistake(
            "Only sin x is a feature, so every prediction has phase 0 or π",
            _fitted(lambda x: [torch.sin(x)]),
            "Can your answer fit the wave cos x?",
            "Formula (11.15) has two features.",
            "Stack sin x and cos x as the two columns of one matrix.",
        ),
        Mistake(
            "Only cos x is a feature, so every prediction is even",
            _fitted(lambda x: [torch.cos(x)]),
            "Can your answer fit the wave sin x?",
            "Formula (11.15) has two features.",
            "Stack sin x and cos x as the two columns of one matrix.",
        ),
        Mistake(
            "There is a constant among the features; no wave of the family needs it, and it fits noise",
            _fitted(lambda x: [torch.ones_like(x), torch.sin(x), torch.cos(x)]),
            "How many unknown numbers has a wave of this family?",
            "Formula (11.15) has no term that is free of x.",
            "Leave the column of ones out.",
        ),
        Mistake(
            "A straight line is fitted",
            _fitted(lambda x: [torch.ones_like(x), x]),
            "Which functions can your features make, and is a wave among them?",
            "The columns are functions of x: those of formula (11.15).",
            "Use sin x and cos x in the place of 1 and x.",
        ),
        Mistake(
            "The coefficients are projections, 2/N times sums; they are right for inputs spread evenly over a turn, not for "
            "random ones",
            _projected,
            "Are the two columns orthogonal on the support points, and of equal length?",
            "One gradient step with the kernel of (11.21) does what you do. Least squares also divides by ZᵀZ.",
            "Solve with torch.linalg.lstsq(Z, y[:, None]).solution.",
        ),
    ),
    praise="Two features, put in by hand, and no start is needed at all: that is what the network had to discover.",
)


# Exercise 11.6: one step of the small model


def _draw_toy(generator: torch.Generator) -> tuple[float, float, float, float]:
    return (
        share(generator, 0.4, 1.5),
        share(generator, -1.5, -0.4),
        share(generator, 1, 3),
        share(generator, 0.05, 0.3),
    )


def _after_step(u: float, v: float, c: float, alpha: float, scale: float = 1.0) -> float:
    gap = scale * (u * v - c)
    return (u - alpha * v * gap) * (v - alpha * u * gap)


def _in_turn(u: float, v: float, c: float, alpha: float) -> float:
    new = u - alpha * v * (u * v - c)
    return new * (v - alpha * new * (new * v - c))


check_small_step = Exercise(
    number="11.6",
    call="answer_6(u, v, c, alpha) with four numbers",
    reference=_after_step,
    inputs=_draw_toy,
    mistakes=(
        Mistake(
            "This is the first order of (11.20): the term in α² is missing",
            lambda u, v, c, alpha: u * v - alpha * (u * u + v * v) * (u * v - c),
            "Is the model linear in (u, v)? What does (11.20) leave out where it is not?",
            "Both parameters move, and their product has a term in which both moves meet.",
            "Compute the new u and the new v, and multiply them.",
        ),
        Mistake(
            "v moves with the gradient at the new u; a gradient step moves both from the old point",
            _in_turn,
            "At which point is the gradient taken: for u, and for v?",
            "Both derivatives belong to the point (u, v) from which the step starts.",
            "Compute the residual u*v − c once, then both new parameters from the old ones.",
        ),
        Mistake(
            "The step goes uphill: its sign is wrong",
            lambda u, v, c, alpha: _after_step(u, v, c, -alpha),
            "Does your prediction come closer to c for small α?",
            "θ ← θ − α∇L_S(θ).",
            "Subtract alpha times each derivative.",
        ),
        Mistake(
            "The derivatives have a factor 2; the loss has ½ before the square",
            lambda u, v, c, alpha: _after_step(u, v, c, alpha, scale=2.0),
            "What is the derivative of ½ r² by r?",
            "The ½ cancels the 2 of the square.",
            "The derivative by u is v * (u*v − c).",
        ),
        Mistake(
            "Each derivative has its own parameter as a factor: they are swapped",
            lambda u, v, c, alpha: (u - alpha * u * (u * v - c)) * (v - alpha * v * (u * v - c)),
            "What is the derivative of u·v by u?",
            "It is v: each parameter's step is scaled by the other one.",
            "Use v * (u*v − c) for u, and u * (u*v − c) for v.",
        ),
        Mistake(
            "Only u has moved",
            lambda u, v, c, alpha: (u - alpha * v * (u * v - c)) * v,
            "How many parameters has θ?",
            "The risk depends on v too, so v has a derivative.",
            "Move v by −α u (uv − c) as well.",
        ),
    ),
    praise="Starts with the same product uv are the same function, and go to different places in one step.",
)


# Exercise 11.8: one step as a kernel


def _draw_step(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, float]:
    points, support, p = (whole(generator, low, low + 3) for low in (3, 4, 5))
    rows = real(generator, points, p), real(generator, support, p)
    return (
        *rows,
        real(generator, points),
        real(generator, support),
        real(generator, support),
        share(generator, 0.1, 0.9),
    )


def _moved(factor: Callable[[float, int], float] = lambda alpha, n: -alpha / n) -> Callable[..., Tensor]:
    def answer(
        J_query: Tensor, J_support: Tensor, f_query: Tensor, f_support: Tensor, y: Tensor, alpha: float
    ) -> Tensor:
        return f_query + factor(alpha, len(y)) * J_query @ J_support.T @ (f_support - y)

    return answer


check_kernel_step = Exercise(
    number="11.8",
    call="answer_8(J_query, J_support, f_query, f_support, y, alpha) with shapes (M, p), (N, p), (M,), (N,), (N,), a number",
    reference=_moved(),
    inputs=_draw_step,
    mistakes=(
        Mistake(
            "The errors are added up, not averaged: the 1/N of the support risk is missing",
            _moved(lambda alpha, n: -alpha),
            "If every support point came twice, should the step change?",
            "L_S is a mean over the support points.",
            "Divide by len(y).",
        ),
        Mistake(
            "The sign is wrong: this moves away from the labels",
            _moved(lambda alpha, n: alpha / n),
            "Take the support points for queries. Do the predictions come closer to the labels?",
            "With f − y the step has a minus sign.",
            "Subtract alpha / N times the spread error.",
        ),
        Mistake(
            "There is a factor 2 too much, that of the gradient of an MSE; the loss here has the ½",
            _moved(lambda alpha, n: -2 * alpha / n),
            "What is the derivative of ½ r² by r?",
            "The ½ cancels the 2 of the square.",
            "Leave the 2 out.",
        ),
        Mistake(
            "The labels have been spread, not the errors: a start that fits the support set already would move",
            lambda J_query, J_support, f_query, f_support, y, alpha: (
                f_query + alpha / len(y) * J_query @ J_support.T @ y
            ),
            "If f_support equals y, what is the gradient of the support risk?",
            "Formula (11.20) has the difference of prediction and label.",
            "Use f_support − y.",
        ),
        Mistake(
            "This is the change alone; the prediction before the step is missing",
            lambda J_query, J_support, f_query, f_support, y, alpha: _moved()(
                J_query, J_support, torch.zeros_like(f_query), f_support, y, alpha
            ),
            "With alpha = 0 your answer is zero. What should it be?",
            "Formula (11.20) begins with the prediction of the start.",
            "Add f_query.",
        ),
    ),
    praise="A start is two things: what it predicts, f, and how that moves, J Jᵀ; joint training sees the first only.",
)
