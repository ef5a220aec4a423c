"""Checks of lesson 02, *Empirical risk*."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake
from lessons.shared.inputs import real, whole


def _noise(generator: torch.Generator) -> float:
    """σ between 1.5 and 2.5, so that σ, σ² and 1 differ."""
    return 1.5 + float(torch.rand((), generator=generator, dtype=torch.float64))


# Exercise 2.1: one step, three ways to average


def _recipe(generator: torch.Generator) -> tuple[float, int, int]:
    # not C = 2, at which two slips cancel; N larger than C, so that they are told apart
    return 0.01 * _noise(generator), whole(generator, 8, 40), whole(generator, 3, 7)


check_same_steps = Exercise(
    number="2.1",
    call="answer_1(eta, N, C), returning (for mse_loss, for the sum)",
    reference=lambda eta, N, C: (eta * C / 2, eta / N),
    inputs=_recipe,
    mistakes=(
        Mistake(
            "Both are upside down: these are the factors by which the gradients grow, times η",
            lambda eta, N, C: (2 * eta / C, eta * N),
            "If a gradient is twice as long, must the step size grow or shrink for the same step?",
            "Step = step size · gradient. Keep the product, not the step size.",
            "Divide η by the factor of each gradient, 2/C and N.",
        ),
        Mistake(
            "The mean over the C outputs is missing: only the ½ has been made good",
            lambda eta, N, C: (eta / 2, eta / N),
            "Over how many numbers does mse_loss take its mean, if y has shape (N, C)?",
            "mse_loss divides by N·C, the risk by N.",
            "The gradient of mse_loss is 2/C times the risk's: divide η by 2/C.",
        ),
        Mistake(
            "The missing ½ of mse_loss is not made good: its step is still twice as long",
            lambda eta, N, C: (eta * C, eta / N),
            "With C = 1, does mse_loss have the gradient of the risk?",
            "mse_loss has no ½.",
            "The gradient of mse_loss is 2/C times the risk's: divide η by 2/C.",
        ),
        Mistake(
            "The step size of the sum has been multiplied by N: its gradient is already N times as long",
            lambda eta, N, C: (eta * C / 2, eta * N),
            "Hand in every example twice. Which way must the step size of a sum go?",
            "Formula (2.4) read from right to left.",
            "Divide by N.",
        ),
        Mistake(
            "The two have changed places",
            lambda eta, N, C: (eta / N, eta * C / 2),
            "Which of the two depends on the number of examples?",
            "mse_loss is a mean over examples; only the sum counts them.",
            "First the step size for mse_loss, then the one for the sum.",
        ),
    ),
    praise="A step is a product: a recipe that names a step size has to name the average too.",
)


# Exercise 2.2: true risk for inputs that are not scaled to I


def _population(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, float]:
    width = whole(generator, 2, 4)
    root = real(generator, width, width)
    return real(generator, width), real(generator, width), root @ root.T + 0.2 * torch.eye(width), _noise(generator)


def _excess(theta: Tensor, theta_true: Tensor, S: Tensor) -> Tensor:
    return (theta - theta_true) @ S @ (theta - theta_true)


check_true_risk = Exercise(
    number="2.2",
    call="answer_2(theta, theta_true, S, sigma) with shapes (p,), (p,), (p, p) and a number",
    reference=lambda theta, theta_true, S, sigma: 0.5 * (sigma**2 + _excess(theta, theta_true, S)),
    inputs=_population,
    mistakes=(
        Mistake(
            "The noise floor is missing: at the truth this risk would be zero",
            lambda theta, theta_true, S, sigma: 0.5 * _excess(theta, theta_true, S),
            "What is the risk of the true parameters themselves?",
            "The error is x(θ − θ°) − σε, and both parts have a variance.",
            "Add ½σ².",
        ),
        Mistake(
            "S is missing: this is (2.6), which holds for inputs with E[xᵀx] = I only",
            lambda theta, theta_true, S, sigma: 0.5 * (sigma**2 + (theta - theta_true).square().sum()),
            "Make one input ten times as large. Should an error in its parameter cost the same?",
            "E[(x(θ − θ°))²] = (θ − θ°)ᵀ E[xᵀx] (θ − θ°).",
            "Replace the squared length of θ − θ° by (theta - theta_true) @ S @ (theta - theta_true).",
        ),
        Mistake(
            "The ½ of the loss is missing",
            lambda theta, theta_true, S, sigma: sigma**2 + _excess(theta, theta_true, S),
            "This is the expectation of the squared error. Which loss was asked for?",
            "The ½ of the loss stays in front of both terms.",
            "Multiply the whole by 0.5.",
        ),
        Mistake(
            "The ½ is missing in front of the noise: both terms come from one squared error",
            lambda theta, theta_true, S, sigma: sigma**2 + 0.5 * _excess(theta, theta_true, S),
            "What is the mean of ½(σε)² over the noise?",
            "The loss is ½ of the whole squared error, noise included.",
            "0.5 * (sigma**2 + ...), with both terms in the bracket.",
        ),
        Mistake(
            "σ stands where its square belongs; σ is a standard deviation",
            lambda theta, theta_true, S, sigma: 0.5 * (sigma + _excess(theta, theta_true, S)),
            "Which unit has a squared error, and which has σ?",
            "ε has variance 1, so σε has variance σ².",
            "Write sigma**2.",
        ),
    ),
    praise="Noise floor plus excess: the first no learner can change, the second is all there is to learn.",
)


# Exercise 2.3: standard deviation of an empirical risk, from one data set


def _losses(generator: torch.Generator) -> tuple[Tensor]:
    return (real(generator, whole(generator, 5, 12)).square(),)


check_spread = Exercise(
    number="2.3",
    call="answer_3(losses) with shape (N,)",
    reference=lambda losses: losses.std() / math.sqrt(len(losses)),
    inputs=_losses,
    mistakes=(
        Mistake(
            "This is the spread of one loss, not of the mean of N of them",
            lambda losses: losses.std(),
            "Does your value shrink when the data set grows?",
            "The variance of a mean of N independent numbers is the variance of one, divided by N.",
            "Divide the standard deviation by √N.",
        ),
        Mistake(
            "The standard deviation has been divided by N; a variance is divided by N, its root by √N",
            lambda losses: losses.std() / len(losses),
            "Four times the data: by how much should the spread fall?",
            "Var of the mean = Var / N. Take the root of both sides.",
            "Divide by the root of len(losses).",
        ),
        Mistake(
            "This is the variance of the mean; the spread is its root",
            lambda losses: losses.var() / len(losses),
            "Which unit have the losses, and which has your value?",
            "(2.8) has a root over the whole fraction.",
            "Take the square root at the end.",
        ),
        Mistake(
            "The variance has been divided by N instead of N − 1: too small on average",
            lambda losses: losses.std(correction=0) / math.sqrt(len(losses)),
            "With a single loss, what would your variance be, and how sure would you claim to be?",
            "The mean was chosen by the same losses. On average their mean square around it is (N − 1)/N of the variance.",
            "Divide the sum of squares by N − 1 (torch's .std() does so).",
        ),
        Mistake(
            "The mean has not been subtracted: this is the root of the mean square, not a spread",
            lambda losses: losses.square().mean().sqrt() / math.sqrt(len(losses)),
            "All losses equal: what should the spread be, and what is yours?",
            "A variance is the mean square around the mean.",
            "Subtract losses.mean() before squaring.",
        ),
    ),
    praise="One data set tells its risk and how far to trust it, as long as it did not choose θ too.",
)


# Exercise 2.4: generalisation gap of a learner that is linear in the labels


def _smoother(generator: torch.Generator) -> tuple[Tensor, float]:
    count = whole(generator, 4, 7)
    return real(generator, count, count) + torch.eye(count), _noise(generator)


check_expected_gap = Exercise(
    number="2.4",
    call="answer_4(A, sigma) with A of shape (N, N)",
    reference=lambda A, sigma: sigma**2 * A.diagonal().sum() / A.shape[0],
    inputs=_smoother,
    mistakes=(
        Mistake(
            "The value is half of what it should be: the two risks each have a ½, but the cross term has a 2",
            lambda A, sigma: 0.5 * sigma**2 * A.trace() / A.shape[0],
            "For A = P your value should be (2.14) minus (2.13). Is it?",
            "½E‖y* − Ay*‖² contains −E[ε·Aε] twice times a half.",
            "Leave the ½ out: σ² tr(A) / N.",
        ),
        Mistake(
            "The 1/N is missing: a risk is a mean over the examples",
            lambda A, sigma: sigma**2 * A.trace(),
            "Which of your sums is a mean in L_D?",
            "Both risks begin with 1/N, and so does their difference.",
            "Divide by len(A).",
        ),
        Mistake(
            "σ stands where its square belongs; σ is a standard deviation",
            lambda A, sigma: sigma * A.trace() / A.shape[0],
            "Which unit has a squared error, and which has σ?",
            "E[εεᵀ] = I, so the noise σε brings σ².",
            "Write sigma**2.",
        ),
        Mistake(
            "The squares of A's entries have been summed, tr(AᵀA); that equals tr(A) for projections only",
            lambda A, sigma: sigma**2 * A.square().sum() / A.shape[0],
            "The term ‖Aε‖² occurs in both risks. What is left of it in their difference?",
            "Only the cross term survives: E[ε·Aε] = tr(A), while with fresh noise E[ε′·Aε] = 0.",
            "Use A.trace().",
        ),
        Mistake(
            "The rank of A has been counted; it equals the trace for projections only",
            lambda A, sigma: sigma**2 * float(torch.linalg.matrix_rank(A)) / A.shape[0],
            "A learner that shrinks every label by half has full rank. Does it fit as much noise as one that copies them?",
            "What counts is E[ε·Aε], how much each label pulls its own prediction.",
            "That is the sum of the diagonal: A.trace().",
        ),
        Mistake(
            "The sign is wrong: this is fitted minus fresh",
            lambda A, sigma: -(sigma**2) * A.trace() / A.shape[0],
            "On which labels should a learner that has seen them look better?",
            "The gap is the risk on fresh labels minus the risk on the fitted ones.",
            "Drop the minus.",
        ),
    ),
    praise="The gap is how far each label pulls its own prediction: tr(A) counts the parameters that a learner really uses.",
)
