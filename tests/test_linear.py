"""Linear regression with a known truth: shapes, the minimiser, refusals."""

from __future__ import annotations

import pytest
import torch

import metautil
from metautil.linear import LinearPopulation, least_squares, linear
from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data


@pytest.fixture
def generator():
    yield metautil.begin(0)
    torch.set_default_dtype(torch.float32)


def test_shapes_with_and_without_leading_axes(generator):
    population = LinearPopulation(torch.tensor([1.0, 2.0, 3.0]), noise=0.5, intercept=True)
    for sets in ((), (4,), (2, 3)):
        data = population.draw(7, generator, sets)
        theta = least_squares(data)
        assert data.x.shape == (*sets, 7, 3) and data.y.shape == (*sets, 7, 1)
        assert theta.shape == (*sets, 3) and population.risk(theta).shape == sets
        assert linear(theta, data.x).shape == (*sets, 7, 1)
        assert (data.x[..., 0] == 1).all() and data.x[..., 1].std() > 0


def test_least_squares_has_the_smallest_risk(generator):
    data = LinearPopulation(torch.ones(3), noise=1.0).draw(9, generator)
    best = least_squares(data)
    lowest = empirical_risk(linear, best, data, half_squared_error)
    for _ in range(20):
        other = best + 0.1 * torch.randn(3, generator=generator)
        assert empirical_risk(linear, other, data, half_squared_error) > lowest
    assert torch.allclose(best, torch.linalg.lstsq(data.x, data.y).solution[:, 0])


def test_without_noise_the_truth_is_found(generator):
    population = LinearPopulation(torch.tensor([1.0, -2.0]), noise=0.0)
    assert torch.allclose(least_squares(population.draw(5, generator)), population.theta)
    assert population.risk(population.theta) == 0


def test_refusals(generator):
    population = LinearPopulation(torch.ones(3), noise=1.0)
    with pytest.raises(ValueError, match="at least one example"):
        population.draw(0, generator)
    with pytest.raises(ValueError, match="not unique"):
        least_squares(Data(torch.ones(2, 3), torch.ones(2, 1)))
