"""Checks of lesson 00, *Start here*."""

from __future__ import annotations

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake

# Exercise 0.1: the empirical risk from predictions and labels


def _prediction_inputs(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    shape = tuple(torch.randint(3, 8, (2,), generator=generator).tolist())
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))


def _risk(y: Tensor, y_star: Tensor) -> Tensor:
    return (0.5 * (y - y_star) ** 2).sum(1).mean()


check_risk = Exercise(
    number="0.1",
    call="answer_1(y, y_star) with two tensors of shape (N, C)",
    reference=_risk,
    inputs=_prediction_inputs,
    mistakes=(
        Mistake(
            "The value is twice what it should be: the ½ of the loss is missing",
            lambda y, y_star: 2 * _risk(y, y_star),
            "Which factor stands in front of the square in the loss?",
            "ℓ = ½ Σ_c (y_c − y*_c)².",
            "Multiply by 0.5.",
        ),
        Mistake(
            "The value is N times what it should be: a sum over the examples stands where the risk has a mean",
            lambda y, y_star: len(y) * _risk(y, y_star),
            "If every example came twice, should the risk double?",
            "The risk is the mean of the N losses.",
            "Sum over axis 1, the outputs; then take the mean over axis 0, the examples.",
        ),
        Mistake(
            "The value is C times too small: the outputs are averaged, as mse_loss does, where the loss sums them",
            lambda y, y_star: _risk(y, y_star) / y.shape[1],
            "Over which axis does the loss of one example run, and does it sum or average?",
            "ℓ sums over the C outputs; only the examples are averaged.",
            "Use .sum(1).mean() instead of .mean().",
        ),
        Mistake(
            "This is torch's mse_loss: no ½, and a mean over the outputs too",
            lambda y, y_star: ((y - y_star) ** 2).mean(),
            "Compare factor by factor: which two differ between mse_loss and the formula?",
            "The formula has a ½ and sums over the C outputs.",
            "0.5 * (y - y_star) ** 2, then .sum(1), then .mean().",
        ),
        Mistake(
            "A square root has come in: this is the root of the risk",
            lambda y, y_star: _risk(y, y_star).sqrt(),
            "Is there a root in the formula?",
            "The loss is a square; the risk is a mean of squares.",
            "Remove the square root.",
        ),
    ),
    praise="A loss for each example, and their mean: that is the empirical risk.",
)


# Exercise 0.2: the weighted objective


def _weight_inputs(generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    risk_D, risk_T, lam = 0.1 + torch.rand(3, generator=generator, dtype=torch.float64)
    return risk_D, risk_T, 3 * lam.item()


check_objective = Exercise(
    number="0.2",
    call="answer_2(risk_D, risk_T, lam)",
    reference=lambda risk_D, risk_T, lam: (risk_D + lam * risk_T) / (1 + lam),
    inputs=_weight_inputs,
    mistakes=(
        Mistake(
            "This is L_D + λL_T, not divided by 1 + λ: its gradient grows with λ",
            lambda risk_D, risk_T, lam: risk_D + lam * risk_T,
            "What happens to your objective at λ = 100 if both risks are 1?",
            "The weights 1 and λ should add up to 1 after dividing.",
            "Divide the whole sum by (1 + lam).",
        ),
        Mistake(
            "Only L_T has been divided by 1 + λ: a bracket is missing",
            lambda risk_D, risk_T, lam: risk_D + lam * risk_T / (1 + lam),
            "In which order does Python read a + b / c?",
            "The whole sum is divided.",
            "Put brackets around the sum: (risk_D + lam * risk_T) / (1 + lam).",
        ),
        Mistake(
            "λ weighs D instead of T",
            lambda risk_D, risk_T, lam: (lam * risk_D + risk_T) / (1 + lam),
            "Which data set should decide alone at λ = 0?",
            "At λ = 0 the objective is L_D.",
            "lam multiplies risk_T.",
        ),
        Mistake(
            "This is (1 − λ)L_D + λL_T: with this λ the weight of D turns negative beyond 1",
            lambda risk_D, risk_T, lam: (1 - lam) * risk_D + lam * risk_T,
            "Which values can λ take here, and what is the weight of D at λ = 3?",
            "The weights are 1/(1 + λ) and λ/(1 + λ).",
            "(risk_D + lam * risk_T) / (1 + lam).",
        ),
        Mistake(
            "The sum is divided by λ instead of 1 + λ",
            lambda risk_D, risk_T, lam: (risk_D + lam * risk_T) / lam,
            "What does your objective give at λ = 0?",
            "The weights are 1 and λ; they add up to 1 + λ.",
            "Divide by (1 + lam).",
        ),
    ),
    praise="The minimiser is that of L_D + λL_T, and the gradient is never longer than the longer of the two.",
)


# Exercise 0.3: choose on validation, report on test


def _sweep_inputs(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    validation, test = torch.rand(2, 8, generator=generator, dtype=torch.float64)
    return validation, test


check_reported = Exercise(
    number="0.3",
    call="answer_3(validation, test) with one accuracy for each λ, shape (n,) both",
    reference=lambda validation, test: test[validation.argmax()],
    inputs=_sweep_inputs,
    mistakes=(
        Mistake(
            "λ has been chosen on the test scans: the largest test accuracy is reported",
            lambda validation, test: test.max(),
            "Suppose all λ were equally good. Which of the noisy test values would you report, and is it typical?",
            "The test scans may be looked at once, after the choice has been made.",
            "Find the position with validation.argmax(), then read test there.",
        ),
        Mistake(
            "The validation accuracy itself is reported: it is the largest of several and so too good on average",
            lambda validation, test: validation.max(),
            "Which scans decided? Are they still an unbiased judge?",
            "Validation chooses, test judges.",
            "Return test[validation.argmax()].",
        ),
        Mistake(
            "The roles are swapped: chosen on the test scans, reported on the validation scans",
            lambda validation, test: validation[test.argmax()],
            "Which scans may be looked at before the choice has been made?",
            "Validation chooses, test judges.",
            "Return test[validation.argmax()].",
        ),
        Mistake(
            "The position of the best λ is returned, not the accuracy there",
            lambda validation, test: validation.argmax(),
            "Is your answer an accuracy?",
            "argmax gives a position; the accuracy stands at that position of `test`.",
            "Return test[validation.argmax()].",
        ),
        Mistake(
            "The mean over all λ is reported; one λ was to be chosen",
            lambda validation, test: test.mean(),
            "How many values of λ will you use in the end?",
            "Choose one λ by its validation accuracy.",
            "Return test[validation.argmax()].",
        ),
        Mistake(
            "The worst λ on the validation scans has been chosen",
            lambda validation, test: test[validation.argmin()],
            "Is a large accuracy good or bad?",
            "Accuracy is to be as large as possible; a risk would be as small as possible.",
            "Use argmax instead of argmin.",
        ),
    ),
    praise="Validation chooses, test judges, once.",
)
