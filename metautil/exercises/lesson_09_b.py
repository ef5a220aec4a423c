"""Checks of lesson 09, *Learning to adapt*, part B: waves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metautil.exercises import Exercise, Mistake


def _real(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _whole(generator: torch.Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (), generator=generator))


def _share(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand(1, generator=generator, dtype=torch.float64).item()


# What λ leaves of the error on the new task


def _two_functions(generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    points = _whole(generator, 5, 9)
    return _real(generator, points), _real(generator, points), _share(generator, 0.3, 4)


def _error(blend: Callable[[Tensor, Tensor, float], Tensor]) -> Callable[[Tensor, Tensor, float], Tensor]:
    """MSE of a blend (mean, wave, λ) → f on the wave."""
    return lambda mean, wave, lam: (blend(mean, wave, lam) - wave).square().mean()


check_weighted_error = Exercise(
    number="9.4",
    call="answer_4(mean, wave, lam) with shapes (n,), (n,) and a number",
    reference=_error(lambda mean, wave, lam: (mean + lam * wave) / (1 + lam)),
    inputs=_two_functions,
    mistakes=(
        Mistake(
            "λ weighs the pooled tasks instead of the new one",
            _error(lambda mean, wave, lam: (lam * mean + wave) / (1 + lam)),
            (
                "At λ = 0, which function does the objective end at: the mean, or the new wave?",
                "In L_D + λ L_T the pooled data D have the weight 1, T has λ.",
                "Blend (mean + lam * wave) / (1 + lam).",
            ),
        ),
        Mistake(
            "The blend is not divided by 1 + λ, so it is no mean of the two functions",
            _error(lambda mean, wave, lam: mean + lam * wave),
            (
                "If both functions were the same, what should the blend be? What is yours?",
                "The derivative (f − m) + λ (f − f_T) contains f once and λ times more.",
                "Divide by 1 + lam before you take the error.",
            ),
        ),
        Mistake(
            "The distance shrinks by 1/(1 + λ), and the squared error by the square of that",
            lambda mean, wave, lam: (mean - wave).square().mean() / (1 + lam),
            (
                "At λ = 1 the blend lies half-way. Which part of the squared error does half the distance leave?",
                "f_λ − f_T = (m − f_T)/(1 + λ), and this is squared.",
                "Divide the mean of (mean − wave)² by (1 + lam)**2.",
            ),
        ),
        Mistake(
            "This is the risk, with the ½ of the loss; the MSE is twice that",
            lambda mean, wave, lam: ((mean - wave) / (1 + lam)).square().mean() / 2,
            (
                "Which of the two numbers do the tables of this lesson hold?",
                "The MSE is the mean of the squares alone.",
                "Multiply by 2.",
            ),
        ),
        Mistake(
            "The squares are added up, not averaged",
            lambda mean, wave, lam: ((mean - wave) / (1 + lam)).square().sum(),
            (
                "What does the M in MSE stand for?",
                "Twice as many grid points should not double the error.",
                "Use .mean() in the place of .sum().",
            ),
        ),
    ),
    praise="λ buys a smaller error on one task that was named in training; the next task gets nothing of it.",
)


# The floor


def _noisy_wave(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Support x and y with noise, so that a needless feature changes the answer; query x."""
    x, x_query = (10 * torch.rand(n, generator=generator, dtype=torch.float64) - 5 for n in (10, 6))
    wave = 3 * torch.sin(x - 3 * _share(generator, 0, 1))
    return x, wave + 0.5 * _real(generator, 10), x_query


def _fitted(features: Callable[[Tensor], list[Tensor]]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def answer(x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
        return torch.stack(features(x_query), 1) @ torch.linalg.lstsq(torch.stack(features(x), 1), y[:, None]).solution

    return lambda x, y, x_query: answer(x, y, x_query)[:, 0]


def _projected(x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
    Z, Z_query = (torch.stack([torch.sin(v), torch.cos(v)], 1) for v in (x, x_query))
    return Z_query @ (2 * Z.T @ y / len(y))


check_floor = Exercise(
    number="9.5",
    call="answer_5(x, y, x_query) with shapes (N,), (N,), (M,)",
    reference=_fitted(lambda x: [torch.sin(x), torch.cos(x)]),
    inputs=_noisy_wave,
    mistakes=(
        Mistake(
            "Only sin x is a feature, so every prediction has phase 0 or π",
            _fitted(lambda x: [torch.sin(x)]),
            (
                "Can your answer fit the wave cos x?",
                "Formula (9.21) has two features.",
                "Stack sin x and cos x as the two columns of one matrix.",
            ),
        ),
        Mistake(
            "Only cos x is a feature, so every prediction is even",
            _fitted(lambda x: [torch.cos(x)]),
            (
                "Can your answer fit the wave sin x?",
                "Formula (9.21) has two features.",
                "Stack sin x and cos x as the two columns of one matrix.",
            ),
        ),
        Mistake(
            "There is a constant among the features; no wave of the family needs it, and it fits noise",
            _fitted(lambda x: [torch.ones_like(x), torch.sin(x), torch.cos(x)]),
            (
                "How many unknown numbers has a wave of this family?",
                "Formula (9.21) has no term that is free of x.",
                "Leave the column of ones out.",
            ),
        ),
        Mistake(
            "A straight line is fitted",
            _fitted(lambda x: [torch.ones_like(x), x]),
            (
                "Which functions can your features make, and is a wave among them?",
                "The columns are functions of x: those of formula (9.21).",
                "Use sin x and cos x in the place of 1 and x.",
            ),
        ),
        Mistake(
            "The coefficients are projections, 2/N times sums; they are right for inputs spread evenly over a turn, not for "
            "random ones",
            _projected,
            (
                "Are the two columns orthogonal on the support points, and of equal length?",
                "One gradient step with the kernel of (9.27) does what you do. Least squares also divides by ZᵀZ.",
                "Solve with torch.linalg.lstsq(Z, y[:, None]).solution.",
            ),
        ),
    ),
    praise="Two features, put in by hand, and no start is needed at all: that is what the network had to discover.",
)


# One step of the small model


def _draw_toy(generator: torch.Generator) -> tuple[float, float, float, float]:
    return (
        _share(generator, 0.4, 1.5),
        _share(generator, -1.5, -0.4),
        _share(generator, 1, 3),
        _share(generator, 0.05, 0.3),
    )


def _after_step(u: float, v: float, c: float, alpha: float, scale: float = 1.0) -> float:
    gap = scale * (u * v - c)
    return (u - alpha * v * gap) * (v - alpha * u * gap)


def _in_turn(u: float, v: float, c: float, alpha: float) -> float:
    new = u - alpha * v * (u * v - c)
    return new * (v - alpha * new * (new * v - c))


check_small_step = Exercise(
    number="9.6",
    call="answer_6(u, v, c, alpha) with four numbers",
    reference=_after_step,
    inputs=_draw_toy,
    mistakes=(
        Mistake(
            "This is the first order of (9.26): the term in α² is missing",
            lambda u, v, c, alpha: u * v - alpha * (u * u + v * v) * (u * v - c),
            (
                "Is the model linear in (u, v)? What does (9.26) leave out where it is not?",
                "Both parameters move, and their product has a term in which both moves meet.",
                "Compute the new u and the new v, and multiply them.",
            ),
        ),
        Mistake(
            "v moves with the gradient at the new u; a gradient step moves both from the old point",
            _in_turn,
            (
                "At which point is the gradient taken: for u, and for v?",
                "Both derivatives belong to the point (u, v) from which the step starts.",
                "Compute the residual u*v − c once, then both new parameters from the old ones.",
            ),
        ),
        Mistake(
            "The step goes uphill: its sign is wrong",
            lambda u, v, c, alpha: _after_step(u, v, c, -alpha),
            (
                "Does your prediction come closer to c for small α?",
                "θ ← θ − α∇L_S(θ).",
                "Subtract alpha times each derivative.",
            ),
        ),
        Mistake(
            "The derivatives have a factor 2; the loss has ½ before the square",
            lambda u, v, c, alpha: _after_step(u, v, c, alpha, scale=2.0),
            (
                "What is the derivative of ½ r² by r?",
                "The ½ cancels the 2 of the square.",
                "The derivative by u is v * (u*v − c).",
            ),
        ),
        Mistake(
            "Each derivative has its own parameter as a factor: they are swapped",
            lambda u, v, c, alpha: (u - alpha * u * (u * v - c)) * (v - alpha * v * (u * v - c)),
            (
                "What is the derivative of u·v by u?",
                "It is v: each parameter's step is scaled by the other one.",
                "Use v * (u*v − c) for u, and u * (u*v − c) for v.",
            ),
        ),
        Mistake(
            "Only u has moved",
            lambda u, v, c, alpha: (u - alpha * v * (u * v - c)) * v,
            (
                "How many parameters has θ?",
                "The risk depends on v too, so v has a derivative.",
                "Move v by −α u (uv − c) as well.",
            ),
        ),
    ),
    praise="Starts with the same product uv are the same function, and go to different places in one step.",
)


# One step as a kernel


def _draw_step(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, float]:
    points, support, p = (_whole(generator, low, low + 3) for low in (3, 4, 5))
    rows = _real(generator, points, p), _real(generator, support, p)
    return (
        *rows,
        _real(generator, points),
        _real(generator, support),
        _real(generator, support),
        _share(generator, 0.1, 0.9),
    )


def _moved(factor: Callable[[float, int], float] = lambda alpha, n: -alpha / n) -> Callable[..., Tensor]:
    def answer(
        J_query: Tensor, J_support: Tensor, f_query: Tensor, f_support: Tensor, y: Tensor, alpha: float
    ) -> Tensor:
        return f_query + factor(alpha, len(y)) * J_query @ J_support.T @ (f_support - y)

    return answer


check_kernel_step = Exercise(
    number="9.7",
    call="answer_7(J_query, J_support, f_query, f_support, y, alpha) with shapes (M, p), (N, p), (M,), (N,), (N,), a number",
    reference=_moved(),
    inputs=_draw_step,
    mistakes=(
        Mistake(
            "The errors are added up, not averaged: the 1/N of the support risk is missing",
            _moved(lambda alpha, n: -alpha),
            (
                "If every support point came twice, should the step change?",
                "L_S is a mean over the support points.",
                "Divide by len(y).",
            ),
        ),
        Mistake(
            "The sign is wrong: this moves away from the labels",
            _moved(lambda alpha, n: alpha / n),
            (
                "Take the support points for queries. Do the predictions come closer to the labels?",
                "With f − y the step has a minus sign.",
                "Subtract alpha / N times the spread error.",
            ),
        ),
        Mistake(
            "There is a factor 2 too much, that of the gradient of an MSE; the loss here has the ½",
            _moved(lambda alpha, n: -2 * alpha / n),
            (
                "What is the derivative of ½ r² by r?",
                "The ½ cancels the 2 of the square.",
                "Leave the 2 out.",
            ),
        ),
        Mistake(
            "The labels have been spread, not the errors: a start that fits the support set already would move",
            lambda J_query, J_support, f_query, f_support, y, alpha: (
                f_query + alpha / len(y) * J_query @ J_support.T @ y
            ),
            (
                "If f_support equals y, what is the gradient of the support risk?",
                "Formula (9.26) has the difference of prediction and label.",
                "Use f_support − y.",
            ),
        ),
        Mistake(
            "This is the change alone; the prediction before the step is missing",
            lambda J_query, J_support, f_query, f_support, y, alpha: _moved()(
                J_query, J_support, torch.zeros_like(f_query), f_support, y, alpha
            ),
            (
                "With alpha = 0 your answer is zero. What should it be?",
                "Formula (9.26) begins with the prediction of the start.",
                "Add f_query.",
            ),
        ),
    ),
    praise="A start is two things: what it predicts, f, and how that moves, J Jᵀ; joint training sees the first only.",
)
