"""Losses and risks: what they refuse, and what dividing by 1 + λ keeps. Their formulas are held in test_formulas.py."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies
from torch.func import grad

from metautil.models import mlp
from metautil.risks import (
    cross_entropy,
    empirical_risk,
    half_squared_error,
    half_squared_error_of_classes,
    joint_risk,
    normalised_joint_risk,
)
from metautil.tasks import Data

LAMBDAS = strategies.floats(0, 1e3)


@pytest.mark.parametrize(
    ("y", "y_star", "words"),
    [
        *((torch.zeros(5, 1), torch.zeros(shape), r"\(5, 1\).*reshape") for shape in ((5,), (1, 5), (5, 2))),
        (torch.zeros(5, 3), torch.zeros(5, dtype=torch.int64), r"\(5, 3\).*\(5,\).*half_squared_error_of_classes"),
    ],
)
def test_half_squared_error_refuses_to_broadcast(y, y_star, words):
    """Class numbers are told of the loss that takes them."""
    with pytest.raises(ValueError, match=words):
        half_squared_error(y, y_star)


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


def test_losses_keep_leading_axes_and_large_scores():
    """Tasks drawn at once share a leading axis; a loss is one number per example of each task."""
    y = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20).reshape(4, 5) % 3
    assert half_squared_error(y, torch.zeros_like(y)).shape == cross_entropy(y, labels).shape == (4, 5)
    alone = torch.stack([cross_entropy(y[task], labels[task]) for task in range(4)])
    assert torch.equal(cross_entropy(y, labels), alone)
    assert cross_entropy(torch.tensor([[1e4, 0.0]]), torch.tensor([1])).item() == 1e4


@pytest.mark.parametrize("lam", [-0.1, float("nan"), float("inf")])
def test_a_risk_of_nothing_and_a_weight_below_zero_are_refused(lam):
    with pytest.raises(ValueError, match="empty"):
        empirical_risk(mlp((2, 1)), torch.zeros(3), Data(torch.zeros(0, 2), torch.zeros(0, 1)), half_squared_error)
    for objective in (joint_risk, normalised_joint_risk):
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
