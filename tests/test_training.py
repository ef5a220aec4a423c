"""Tasks and training loops."""

from __future__ import annotations

import pytest
import torch

from metautil.models import mlp
from metautil.risks import empirical_risk, half_squared_error
from metautil.tasks import Data, split_per_class, take
from metautil.training import accuracy, minibatches, predict, progress, train_epoch
from metautil.updates import descend, momentum, sgd


def labelled(count=30, classes=3):
    return Data(torch.arange(count).float().unsqueeze(1), torch.arange(count) % classes)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_split_per_class_draws_the_same_number_of_each_and_loses_none():
    data = labelled()
    task = split_per_class(data, shots=4, generator=seeded())
    assert task.support.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert sorted(torch.cat([task.support.x, task.query.x]).flatten().tolist()) == list(range(30))
    assert (task.query.x.flatten().diff() > 0).all()  # the others keep their order
    assert (task.support.x.flatten().long() % 3 == task.support.y).all()  # labels stay with their inputs


def test_split_per_class_draws_differently_with_another_seed():
    draws = {tuple(split_per_class(labelled(), 4, seeded(seed)).support.x.flatten().tolist()) for seed in range(5)}
    assert len(draws) == 5
    again = split_per_class(labelled(), 4, seeded(0)).support.x
    assert torch.equal(again, split_per_class(labelled(), 4, seeded(0)).support.x)


@pytest.mark.parametrize(("shots", "words"), [(0, "at least 1"), (10, "10 examples"), (11, "10 examples")])
def test_split_per_class_refuses(shots, words):
    with pytest.raises(ValueError, match=words):
        split_per_class(labelled(), shots, seeded())


def test_minibatches_are_a_permutation_without_the_rest():
    batches = list(minibatches(labelled(30), 8, seeded()))
    assert [len(batch.y) for batch in batches] == [8, 8, 8]
    seen = torch.cat([batch.x for batch in batches]).flatten().long()
    assert len(seen.unique()) == 24
    assert torch.equal(torch.cat([batch.y for batch in batches]), seen % 3)
    other = torch.cat([batch.x for batch in minibatches(labelled(30), 8, seeded(1))]).flatten().long()
    assert seen.tolist() != sorted(seen.tolist()) and seen.tolist() != other.tolist()


@pytest.mark.parametrize("size", [0, 31])
def test_minibatches_refuse(size):
    with pytest.raises(ValueError, match="30 examples"):
        list(minibatches(labelled(30), size, seeded()))


def test_train_epoch_on_whole_batches_is_descend():
    """One batch an epoch, three epochs, is three steps of the rule along the risk's gradient, state carried over."""
    torch.set_default_dtype(torch.float64)
    model = mlp((1, 4, 1))
    data = Data(torch.linspace(-1, 1, 9).unsqueeze(1), torch.linspace(-1, 1, 9).unsqueeze(1) ** 2)
    theta = start = model.init(seeded())

    def risk(theta, batch):
        return empirical_risk(model, theta, batch, half_squared_error)

    rule = momentum(0.1, 0.9)
    state, means = rule.init(theta), []
    for _ in range(3):
        theta, state, mean = train_epoch(risk, theta, rule, state, [data])
        means.append(mean)
    path = descend(rule, torch.func.grad(lambda theta: risk(theta, data)), start, 3)
    torch.set_default_dtype(torch.float32)
    assert torch.allclose(theta, path[-1], atol=1e-14)
    assert means[0] > means[1] > means[2] and means[0] == risk(start, data).item()


def test_train_epoch_stops_where_the_objective_is_no_number():
    data = Data(torch.ones(1, 1), torch.zeros(1, 1))

    def risk(theta, batch):
        return (theta**2).sum() ** 8

    with pytest.raises(FloatingPointError, match=r"step \d+ .*smaller step size η"):
        train_epoch(risk, torch.full((1,), 10.0), sgd(10.0), (), [data] * 50)


def test_train_epoch_needs_a_batch():
    with pytest.raises(ValueError, match="No batches"):
        train_epoch(lambda theta, batch: theta.sum(), torch.zeros(1), sgd(0.1), (), [])


def test_accuracy_counts():
    model = lambda theta, x: torch.stack([x[:, 0], theta.expand(len(x))], dim=1)  # noqa: E731
    data = Data(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([1, 1, 0, 1]))
    theta = torch.tensor(1.5)
    assert predict(model, theta, data.x).tolist() == [1, 1, 0, 0]
    assert accuracy(model, theta, data) == 0.75
    with pytest.raises(ValueError, match="empty"):
        accuracy(model, theta, take(data, torch.zeros(4, dtype=torch.bool)))


def test_progress_goes_through_everything(capsys):
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    assert "counting" in capsys.readouterr().err
