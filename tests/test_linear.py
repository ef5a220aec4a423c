"""Linear regression with a known truth: shapes, the minimiser, refusals. Conjugate gradients are in test_learners.py."""

from __future__ import annotations

import pytest
import torch

from metautil.linear import LinearPopulation, least_squares, linear
from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data


@pytest.mark.parametrize("sets", [(), (4,), (2, 3)])
def test_shapes_with_and_without_leading_axes(sets, generator):
    population = LinearPopulation(torch.tensor([1.0, 2.0, 3.0]), noise=0.5, intercept=True)
    data = population.draw(7, generator, sets)
    theta = least_squares(data)
    assert data.x.shape == (*sets, 7, 3) and data.y.shape == (*sets, 7, 1)
    assert theta.shape == (*sets, 3) and population.risk(theta).shape == sets
    assert linear(theta, data.x).shape == (*sets, 7, 1)
    assert (data.x[..., 0] == 1).all() and data.x[..., 1].std() > 0


def test_least_squares_has_the_smallest_risk_and_finds_the_truth_without_noise(generator):
    data = LinearPopulation(torch.ones(3), noise=1.0).draw(9, generator)
    best = least_squares(data)
    lowest = empirical_risk(linear, best, data, half_squared_error)
    for other in best + 0.1 * torch.randn(20, 3, generator=generator):
        assert empirical_risk(linear, other, data, half_squared_error) > lowest
    assert torch.allclose(best, torch.linalg.lstsq(data.x, data.y).solution[:, 0])
    exact = LinearPopulation(torch.tensor([1.0, -2.0]), noise=0.0)
    assert torch.allclose(least_squares(exact.draw(5, generator)), exact.theta) and exact.risk(exact.theta) == 0


def test_refusals(generator):
    with pytest.raises(ValueError, match="at least one example"):
        LinearPopulation(torch.ones(3), noise=1.0).draw(0, generator)
    with pytest.raises(ValueError, match="not unique"):
        least_squares(Data(torch.ones(2, 3), torch.ones(2, 1)))
