"""Losses and risks: what they refuse, and what dividing by 1 + λ keeps. Their formulas are held in test_formulas.py."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies
from torch.func import grad

from metautil.models import mlp
from metautil.risks import (
    MetaLoss,
    TaskLoss,
    cross_entropy,
    empirical_risk,
    half_squared_error,
    half_squared_error_of_classes,
    joint_risk,
    normalised_joint_risk,
)
from metautil.tasks import Data

LAMBDAS = strategies.floats(0, 1e3)


@pytest.mark.parametrize("y_star", [torch.zeros(5), torch.zeros(1, 5), torch.zeros(5, 2)])
def test_half_squared_error_refuses_to_broadcast(y_star):
    with pytest.raises(ValueError, match=r"\(5, 1\).*reshape"):
        half_squared_error(torch.zeros(5, 1), y_star)


def test_class_numbers_beside_outputs_are_told_of_the_loss_that_takes_them():
    with pytest.raises(ValueError, match=r"\(5, 3\).*\(5,\).*half_squared_error_of_classes"):
        half_squared_error(torch.zeros(5, 3), torch.zeros(5, dtype=torch.int64))


@pytest.mark.parametrize("loss", [cross_entropy, half_squared_error_of_classes])
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.tensor([0, 3]), "0 to 3"),
        (torch.tensor([-1, 0]), "-1 to 0"),
        (torch.tensor([0.0, 1.0]), "int64"),
        (torch.tensor([[0], [1]]), r"\(2, 1\)"),
        (torch.eye(3, dtype=torch.int64)[:2], r"\(2, 3\)"),
    ],
)
def test_labels_that_are_no_classes_are_refused(loss, labels, words):
    with pytest.raises(ValueError, match=words):
        loss(torch.zeros(2, 3), labels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_half_squared_error_of_classes_counts_every_output(dtype):
    """By hand: the true output misses 1, the others miss 0. The result and its gradient keep the outputs' type."""
    y = torch.tensor([[0.5, 0.25, 0.0], [2.0, -1.0, 1.0]], dtype=dtype)
    losses = half_squared_error_of_classes(y, torch.tensor([1, 2]))
    assert losses.tolist() == [0.5 * (0.25 + 0.5625), 0.5 * (4 + 1)] and losses.dtype == dtype
    slope = grad(lambda y: half_squared_error_of_classes(y, torch.tensor([1, 2])).sum())(y)
    assert slope.tolist() == [[0.5, -0.75, 0.0], [2.0, -1.0, 0.0]]
    tasks = half_squared_error_of_classes(y.expand(4, 2, 3), torch.tensor([1, 2]).expand(4, 2))
    assert torch.equal(tasks, losses.expand(4, 2))


def test_meta_loss_and_task_loss_are_means_over_their_own_examples():
    """A line through the origin: ½(θx − y)² by hand."""
    model = mlp((1, 1))
    data = Data(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[0.0], [3.0], [4.0]]))
    theta = torch.tensor([2.0, 0.0])  # errors 2, 1, 4
    assert MetaLoss(model, half_squared_error)(theta, data) == (2 + 0.5 + 8) / 3
    assert MetaLoss(model, half_squared_error)(theta, Data(data.x[:2], data.y[:2])) == 2.5 / 2
    assert TaskLoss(model, half_squared_error, data)(theta) == (2 + 0.5 + 8) / 3


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (torch.zeros(0, 1), torch.zeros(0, 1), "empty"),
        (torch.zeros(3, 1), torch.zeros(2, 1), "3 inputs and 2 labels"),
        (torch.tensor([[0.0], [float("nan")]]), torch.zeros(2, 1), "1 of 2 inputs .* index 1"),
    ],
)
def test_task_loss_refuses_a_support_set_that_cannot_be_learned_from(x, y, words):
    with pytest.raises(ValueError, match=words):
        TaskLoss(mlp((1, 1)), half_squared_error, Data(x, y))


def test_losses_keep_leading_axes():
    """Tasks drawn at once share a leading axis; a loss is one number per example of each task."""
    y = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20).reshape(4, 5) % 3
    assert half_squared_error(y, torch.zeros_like(y)).shape == cross_entropy(y, labels).shape == (4, 5)
    alone = torch.stack([cross_entropy(y[task], labels[task]) for task in range(4)])
    assert torch.equal(cross_entropy(y, labels), alone)


def test_cross_entropy_does_not_overflow():
    assert cross_entropy(torch.tensor([[1e4, 0.0]]), torch.tensor([1])).item() == 1e4


def test_risk_of_nothing_is_refused():
    with pytest.raises(ValueError, match="empty"):
        empirical_risk(mlp((2, 1)), torch.zeros(3), Data(torch.zeros(0, 2), torch.zeros(0, 1)), half_squared_error)


@pytest.mark.parametrize("objective", [joint_risk, normalised_joint_risk])
@pytest.mark.parametrize("lam", [-0.1, float("nan"), float("inf")])
def test_a_weight_must_be_a_number_from_zero_up(objective, lam):
    with pytest.raises(ValueError, match="λ"):
        objective(1.0, 1.0, lam)


@settings(max_examples=50)
@given(lam=LAMBDAS, seed=strategies.integers(0, 2**31))
def test_dividing_by_one_plus_lambda_keeps_the_direction_and_bounds_the_length(lam, seed):
    """∇(0.5) = ∇(0.4)/(1 + λ): the same zeros; never longer than the longer of the two gradients."""
    generator = torch.Generator().manual_seed(seed)
    theta, m_D, m_T = torch.randn(3, 4, generator=generator, dtype=torch.float64)

    def risk(m):
        return lambda theta: (theta - m).square().sum() / 2

    def both(objective):
        return grad(lambda theta: objective(risk(m_D)(theta), risk(m_T)(theta), lam))(theta)

    assert torch.allclose(both(normalised_joint_risk) * (1 + lam), both(joint_risk), rtol=1e-12)
    longest = max((theta - m_D).norm(), (theta - m_T).norm())
    assert both(normalised_joint_risk).norm() <= longest * (1 + 1e-12)
    minimiser = (m_D + lam * m_T) / (1 + lam)
    at_minimum = grad(lambda theta: normalised_joint_risk(risk(m_D)(theta), risk(m_T)(theta), lam))(minimiser)
    assert at_minimum.norm() < 1e-12 * (1 + minimiser.norm())
