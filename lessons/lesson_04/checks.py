"""Checks of lesson 04, *Two risks, one λ*."""

from __future__ import annotations

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake
from lessons.shared.inputs import real, share, whole


def _curved(generator: torch.Generator, width: int) -> Tensor:
    """A symmetric positive definite matrix with eigenvalues of order one."""
    root = real(generator, width, width + 4)
    return root @ root.T / (width + 4) + 0.3 * torch.eye(width, dtype=torch.float64)


# Exercise 4.1: the number for the printed rule

check_printed_lam = Exercise(
    number="4.1",
    call="answer_1(lam, eta) with two positive numbers",
    reference=lambda lam, eta: eta * lam,
    inputs=lambda generator: (share(generator, 0.2, 5), share(generator, 0.01, 0.8)),
    mistakes=(
        Mistake(
            "λ has been handed on unchanged; in the printed rule it would weigh λ/η",
            lambda lam, eta: lam,
            "Write both steps for the same gradients. Which factor stands before the gradient of T in each?",
            "The derived rule has η·λ there, the printed rule its λ alone.",
            "Set the two factors equal: the printed λ is η times the derived one.",
        ),
        Mistake(
            "This is λ/η, the weight that a given printed λ acts with; the question goes the other way",
            lambda lam, eta: lam / eta,
            "Put your number into the printed rule: by which factor is T weighed against D then?",
            "A printed number p acts as the weight p/η. That weight has to be λ.",
            "Solve p/η = λ for p.",
        ),
        Mistake(
            "Numerator and denominator are swapped: this is η/λ",
            lambda lam, eta: eta / lam,
            "If λ doubles, should T pull more or less in the rule that you have set up?",
            "The step due to T must be proportional to λ, and to η as well.",
            "Multiply: eta * lam.",
        ),
        Mistake(
            "This is the weighted mean's step size η/(1 + λ), which answers another question",
            lambda lam, eta: eta / (1 + lam),
            "Is anything divided by 1 + λ in this exercise?",
            "Compare the factors before the gradient of T in (0.6) and (4.7).",
            "They are η·λ and the printed λ; make them equal.",
        ),
    ),
    praise="With constant η the two rules take the same steps; the printed λ is a step size, η times a weight.",
)


# Exercise 4.2: the joint minimiser


def _two_lines(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    width = whole(generator, 2, 4)
    N, N_T = width + whole(generator, 10, 14), width + whole(generator, 4, 8)
    sizes = ((N, width), (N,), (N_T, width), (N_T,))
    return (*(real(generator, *size) for size in sizes), share(generator, 0.3, 4))


def _joint(w_D: float, w_T: float, x_D: Tensor, y_D: Tensor, x_T: Tensor, y_T: Tensor) -> Tensor:
    """Minimiser of w_D Σ_D + w_T Σ_T, sums of squares."""
    return torch.linalg.solve(w_D * x_D.T @ x_D + w_T * x_T.T @ x_T, w_D * x_D.T @ y_D + w_T * x_T.T @ y_T)


def _apart(x_D: Tensor, y_D: Tensor, x_T: Tensor, y_T: Tensor, lam: float) -> Tensor:
    ends = [torch.linalg.solve(x.T @ x, x.T @ y) for x, y in ((x_D, y_D), (x_T, y_T))]
    return (ends[0] + lam * ends[1]) / (1 + lam)


def _weight_in_H_only(x_D: Tensor, y_D: Tensor, x_T: Tensor, y_T: Tensor, lam: float) -> Tensor:
    N, N_T = len(y_D), len(y_T)
    return torch.linalg.solve(x_D.T @ x_D / N + lam * x_T.T @ x_T / N_T, x_D.T @ y_D / N + x_T.T @ y_T / N_T)


check_joint_minimiser = Exercise(
    number="4.2",
    call="answer_2(x_D, y_D, x_T, y_T, lam) with shapes (N, p), (N,), (N_T, p), (N_T,) and a number",
    reference=lambda x_D, y_D, x_T, y_T, lam: _joint(1 / len(y_D), lam / len(y_T), x_D, y_D, x_T, y_T),
    inputs=_two_lines,
    mistakes=(
        Mistake(
            "Sums stand where the risks have means, so every example counts and the larger data set weighs more",
            lambda x_D, y_D, x_T, y_T, lam: _joint(1, lam, x_D, y_D, x_T, y_T),
            "Copy every example of D once. Should the minimiser change?",
            "Both risks begin with one over their own number of examples, N and N_T.",
            "Divide D's matrix and vector by len(y_D), T's by len(y_T).",
        ),
        Mistake(
            "λ weighs D instead of T",
            lambda x_D, y_D, x_T, y_T, lam: _joint(lam / len(y_D), 1 / len(y_T), x_D, y_D, x_T, y_T),
            "At λ = 0, which of the two data sets should your answer ignore?",
            "The objective is L_D + λ L_T.",
            "Move lam from the terms with x_D to those with x_T.",
        ),
        Mistake(
            "λ is missing: this is the answer for λ = 1",
            lambda x_D, y_D, x_T, y_T, lam: _joint(1 / len(y_D), 1 / len(y_T), x_D, y_D, x_T, y_T),
            "Does your answer change with λ?",
            "Both H_T and b_T carry the factor λ.",
            "Multiply both terms with x_T by lam.",
        ),
        Mistake(
            "λ multiplies H_T but not b_T",
            _weight_in_H_only,
            "For very large λ your θ tends to zero. Where should it tend to?",
            "The gradient of λ L_T is λ (H_T θ − b_T): λ stands before both.",
            "Multiply the right-hand side's term with x_T and y_T by lam as well.",
        ),
        Mistake(
            "This averages the two separate minimisers; the joint one weighs them by matrices, not by numbers",
            _apart,
            "In a direction that T's inputs do not see, whose minimiser should win?",
            "Each minimiser is weighed by its curvature: (H_D + λH_T)θ = H_D θ_D + λ H_T θ_T.",
            "Add matrices and vectors first, then solve once.",
        ),
    ),
    praise="Curvatures add and pulls add, each data set by its own mean; one linear solve does the rest.",
)


# Exercise 4.3: fixed point of the printed rule


def _two_bowls(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, float, float]:
    width = whole(generator, 2, 4)
    H_D, H_T = _curved(generator, width), _curved(generator, width)
    eta, lam = share(generator, 0.02, 0.3), share(generator, 0.4, 3)
    return H_D, real(generator, width), H_T, real(generator, width), eta, lam


def _ends_at(w_D: float, w_T: float, H_D: Tensor, b_D: Tensor, H_T: Tensor, b_T: Tensor) -> Tensor:
    return torch.linalg.solve(w_D * H_D + w_T * H_T, w_D * b_D + w_T * b_T)


check_printed_limit = Exercise(
    number="4.3",
    call="answer_3(H_D, b_D, H_T, b_T, eta, lam) with shapes (p, p), (p,), (p, p), (p,) and two numbers",
    reference=lambda H_D, b_D, H_T, b_T, eta, lam: _ends_at(eta, lam, H_D, b_D, H_T, b_T),
    inputs=_two_bowls,
    mistakes=(
        Mistake(
            "This is θ(λ), where the derived rule ends; the printed rule weighs T by λ/η",
            lambda H_D, b_D, H_T, b_T, eta, lam: _ends_at(1, lam, H_D, b_D, H_T, b_T),
            "Does your answer depend on η? Should it?",
            "Standing still means η∇L_D + λ∇L_T = 0, with η before the first gradient only.",
            "Multiply H_D and b_D by eta.",
        ),
        Mistake(
            "The weight is upside down: D is weighed by λ and T by η",
            lambda H_D, b_D, H_T, b_T, eta, lam: _ends_at(lam, eta, H_D, b_D, H_T, b_T),
            "As η goes to zero, whose minimum should your answer approach?",
            "In (4.7) η stands before the gradient of D, λ before that of T.",
            "Use eta * H_D + lam * H_T, and the same for the vectors.",
        ),
        Mistake(
            "T is weighed by ηλ; that is the number that makes the printed rule agree with the derived one",
            lambda H_D, b_D, H_T, b_T, eta, lam: _ends_at(1, eta * lam, H_D, b_D, H_T, b_T),
            "By which factor is T weighed against D if D's step is η∇L_D and T's is λ∇L_T?",
            "Take η out of the bracket: what is left before ∇L_T?",
            "The weight is λ/η; or multiply through: eta * H_D + lam * H_T.",
        ),
        Mistake(
            "This is the minimum of T alone, the limit for η → 0, not the fixed point at this η",
            lambda H_D, b_D, H_T, b_T, eta, lam: torch.linalg.solve(H_T, b_T),
            "Is the gradient of D zero at your point? Does the rule stand still there?",
            "At a finite η both gradients matter: η∇L_D + λ∇L_T = 0.",
            "Solve (eta * H_D + lam * H_T) θ = eta * b_D + lam * b_T.",
        ),
        Mistake(
            "η multiplies the matrix of D but not its vector",
            lambda H_D, b_D, H_T, b_T, eta, lam: torch.linalg.solve(eta * H_D + lam * H_T, b_D + lam * b_T),
            "With λ = 0 the answer must be the minimum of D. Is yours?",
            "The gradient of D is H_D θ − b_D, and η stands before all of it.",
            "Multiply b_D by eta too.",
        ),
    ),
    praise="The step size has moved into the answer: that is what is wrong with the rule.",
)


# Exercise 4.4: stability of the printed rule


def _pairs(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """200 pairs (η, λ) up to and beyond the edges of every plausible region, none within a thousandth of an edge."""
    width = whole(generator, 2, 4)
    H_D, H_T = _curved(generator, width), _curved(generator, width)
    shares = 1.3 * torch.rand(2, 200, generator=generator, dtype=torch.float64) + 0.01
    etas, lams = (2 * share / _top(H) for share, H in zip(shares, (H_D, H_T), strict=True))
    sums = _top(etas[:, None, None] * H_D + lams[:, None, None] * H_T)
    clear = (sums - 2).abs() > 2e-3
    return H_D, H_T, etas[clear], lams[clear]


def _top(H: Tensor) -> Tensor:
    """Largest eigenvalue of symmetric matrices (..., p, p)."""
    return torch.linalg.eigvalsh(H)[..., -1]


def _added(H_D: Tensor, H_T: Tensor, etas: Tensor, lams: Tensor) -> Tensor:
    return etas[:, None, None] * H_D + lams[:, None, None] * H_T


check_printed_is_stable = Exercise(
    number="4.4",
    call="answer_4(H_D, H_T, etas, lams) with shapes (p, p), (p, p), (n,), (n,)",
    reference=lambda H_D, H_T, etas, lams: _top(_added(H_D, H_T, etas, lams)) < 2,
    inputs=_pairs,
    mistakes=(
        Mistake(
            "Only λ L(H_T) < 2 is checked: necessary, but not sufficient",
            lambda H_D, H_T, etas, lams: lams * _top(H_T) < 2,
            "With λ = 0 your answer says stable for every η. Is gradient descent on D?",
            "The step matrix is I − (ηH_D + λH_T). Whose eigenvalues decide?",
            "Compute the largest eigenvalue of the sum eta * H_D + lam * H_T, pair by pair.",
        ),
        Mistake(
            "This is the condition of the derived rule, η L(H_D + λH_T) < 2",
            lambda H_D, H_T, etas, lams: etas * _top(_added(H_D, H_T, torch.ones_like(etas), lams)) < 2,
            "For tiny η your answer says stable at every λ. Section 7 has a counterexample.",
            "In the printed rule η does not multiply the gradient of T.",
            "Use eta * H_D + lam * H_T inside, and no factor outside.",
        ),
        Mistake(
            "Each rule alone is checked, η L(H_D) < 2 and λ L(H_T) < 2; together they can still diverge",
            lambda H_D, H_T, etas, lams: torch.maximum(etas * _top(H_D), lams * _top(H_T)) < 2,
            "If both matrices are the same and each product is 1.5, what is the largest eigenvalue of the sum?",
            "The two curvatures act in the same step: their matrices add.",
            "Form the sum first, then take its largest eigenvalue.",
        ),
        Mistake(
            "The largest eigenvalues are added: sufficient, but too strict where the steep directions differ",
            lambda H_D, H_T, etas, lams: etas * _top(H_D) + lams * _top(H_T) < 2,
            "If D is steep along one axis and T along another, do the two steepest curvatures meet?",
            "By (4.14) the eigenvalue of the sum is at most the sum of the eigenvalues, and mostly less.",
            "Add the matrices, not their eigenvalues.",
        ),
        Mistake(
            "The border is set at 1: up to there the walk comes from one side, but it converges up to 2",
            lambda H_D, H_T, etas, lams: _top(_added(H_D, H_T, etas, lams)) < 1,
            "An eigenvalue a of the sum multiplies an error by 1 − a. For which a does the error shrink?",
            "|1 − a| < 1 means 0 < a < 2.",
            "Compare the largest eigenvalue with 2.",
        ),
        Mistake(
            "The trace stands in for the largest eigenvalue, so the verdict is too strict",
            lambda H_D, H_T, etas, lams: torch.einsum("nii->n", _added(H_D, H_T, etas, lams)) < 2,
            "For the identity in many dimensions, what is the trace, and what the largest eigenvalue?",
            "Directions along eigenvectors do not disturb one another: only the largest eigenvalue counts.",
            "torch.linalg.eigvalsh works on a whole stack of matrices; take the last entry of each row.",
        ),
    ),
    praise="The sum decides: both matrices act in one step, and η has no say over the part of T.",
)
