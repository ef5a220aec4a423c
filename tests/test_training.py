"""Tasks and training loops. What happens to a run that is stopped is in test_checkpoints.py."""

from __future__ import annotations

import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch.func import grad

from metautil.models import mlp, small_cnn
from metautil.risks import MetaLoss, TaskLoss, cross_entropy, empirical_risk, half_squared_error
from metautil.tasks import Data, split_per_class, take
from metautil.training import (
    MetaLearner,
    accuracy,
    early_stopping,
    evaluate,
    fit,
    judge,
    minibatches,
    predict,
    progress,
    train_epoch,
)
from metautil.updates import adam, descend, momentum, sgd


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


# MetaLearner and evaluate


def scans(count=23, classes=3, seed=0):
    """A small network and images for it, in 64 bits."""
    generator = seeded(seed)
    model = small_cnn(classes, (2, 3))
    x = torch.rand(count, 1, 8, 8, generator=generator, dtype=torch.float64)
    return model, model.init(generator).double(), Data(x, torch.arange(count) % classes)


@pytest.mark.parametrize("lam", [0, 0.3, 1, 30])
def test_meta_learner_is_the_weighted_mean_of_both_risks(lam):
    """Value and gradient against torch's own cross-entropy; at λ = 0 the task has no say."""
    model, theta, data = scans()
    batch, support = take(data, torch.arange(14)), take(data, torch.arange(14, 23))
    learner = MetaLearner(MetaLoss(model, cross_entropy), TaskLoss(model, cross_entropy, support), lam)

    def risk(theta, data):
        return F.cross_entropy(model(theta, data.x), data.y)

    expected = (risk(theta, batch) + lam * risk(theta, support)) / (1 + lam)
    slope = (grad(risk)(theta, batch) + lam * grad(risk)(theta, support)) / (1 + lam)
    assert torch.allclose(learner(theta, batch), expected, rtol=1e-13)
    assert torch.allclose(grad(learner)(theta, batch), slope, atol=1e-14)
    if lam == 0:
        assert torch.equal(grad(learner)(theta, batch), grad(MetaLoss(model, cross_entropy))(theta, batch))


@pytest.mark.parametrize("lam", [-0.1, math.nan, math.inf])
def test_meta_learner_refuses_a_weight_when_it_is_made(lam):
    with pytest.raises(ValueError, match="λ"):
        MetaLearner(lambda theta, batch: theta.sum(), lambda theta: theta.sum(), lam)


@pytest.mark.parametrize("size", [1, 5, 22, 23, 500])
def test_evaluation_counts_each_example_once(size):
    """23 examples: batches of 5 leave 3, batches of 22 leave 1, which must not weigh as much as the 22."""
    model, theta, data = scans()
    found = evaluate(model, theta, data, cross_entropy, size)
    outputs = model(theta, data.x)
    assert abs(found.risk - F.cross_entropy(outputs, data.y).item()) < 1e-14
    assert found.predicted.tolist() == outputs.argmax(1).tolist()
    assert found.accuracy == sum(map(int.__eq__, outputs.argmax(1).tolist(), data.y.tolist())) / 23


def test_evaluation_builds_no_graph():
    model, theta, data = scans()
    kept = []
    evaluate(model, theta.requires_grad_(), data, lambda y, y_star: kept.append(y) or cross_entropy(y, y_star), 5)
    assert len(kept) == 5 and not any(y.requires_grad for y in kept)


def broken(data, index, value=math.nan):
    x = data.x.clone()
    x[index, 0, 0, 0] = value
    return Data(x, data.y)


BAD_DATA = [
    (lambda data: take(data, torch.arange(0)), "empty"),
    (lambda data: Data(data.x, data.y[:-1]), "23 inputs and 22 labels"),
    (lambda data: broken(data, [4, 9]), "2 of 23 inputs .* index 4"),
    (lambda data: broken(data, [7], -math.inf), "1 of 23 inputs .* index 7"),
    (lambda data: Data(data.x.squeeze(1), data.y), r"\(\d+, 8, 8\).*\(N, 1, 8, 8\).*unsqueeze"),
    (lambda data: Data(data.x.expand(-1, 3, -1, -1), data.y), r"\(\d+, 3, 8, 8\).*\(N, 1, 8, 8\)"),
    (lambda data: Data(data.x, data.y + 1), "1 to 3.*0..2"),
    (lambda data: Data(data.x, data.y.double()), "float64.*int64"),
]


@pytest.mark.parametrize(("change", "words"), BAD_DATA)
def test_bad_data_are_refused_by_name(change, words):
    model, theta, data = scans()
    with pytest.raises(ValueError, match=words):
        evaluate(model, theta, change(data), cross_entropy)
    with pytest.raises(ValueError, match=words):
        fit(MetaLoss(model, cross_entropy), theta, sgd(0.1), change(data), size=22, epochs=9, generator=seeded())


def test_labels_that_are_not_finite_are_refused():
    model, data = mlp((1, 1)), Data(torch.ones(3, 1), torch.tensor([[0.0], [1.0], [math.nan]]))
    with pytest.raises(ValueError, match=r"1 of 3 labels .* index 2"):
        fit(MetaLoss(model, half_squared_error), torch.zeros(2), sgd(0.1), data, size=1, epochs=1, generator=seeded())


def test_evaluate_refuses_what_is_no_classification_and_no_batch():
    model, theta, data = scans()
    with pytest.raises(ValueError, match=r"\(23, 3\).*empirical_risk"):
        evaluate(model, theta, Data(data.x, torch.zeros(23, 3)), half_squared_error)
    with pytest.raises(ValueError, match="size = 0"):
        evaluate(model, theta, data, cross_entropy, 0)


def test_a_start_that_is_not_finite_is_refused():
    model, theta, data = scans()
    theta[5] = math.nan
    with pytest.raises(ValueError, match=f"1 of {model.size} entries .* index 5"):
        evaluate(model, theta, data, cross_entropy)
    with pytest.raises(ValueError, match="index 5"):
        fit(MetaLoss(model, cross_entropy), theta, sgd(0.1), data, size=5, epochs=1, generator=seeded())


# fit


@pytest.mark.parametrize("rule", [sgd(0.1), momentum(0.1, 0.9), adam(0.01)], ids=lambda rule: rule.text)
def test_fit_is_the_loop_over_epochs_in_every_bit(rule):
    model, theta, data = scans()
    objective = MetaLoss(model, cross_entropy)
    run = fit(objective, theta, rule, data, size=5, epochs=4, generator=seeded(1))
    own, state, means = seeded(1), rule.init(theta), []
    start = theta.clone()
    for _ in range(4):
        theta, state, mean = train_epoch(objective, theta, rule, state, minibatches(data, 5, own))
        means.append(mean)
    assert torch.equal(run.theta, theta) and not torch.equal(theta, start)
    assert run.history == {"objective": means} and (run.step, run.epoch, run.stop) == (16, 4, False)
    assert torch.equal(run.generator, own.get_state())


def test_fit_on_whole_batches_is_descend():
    model, theta, data = scans()
    objective = MetaLoss(model, cross_entropy)
    run = fit(objective, theta, momentum(0.1, 0.9), data, size=23, epochs=6, generator=seeded())
    path = descend(momentum(0.1, 0.9), grad(lambda theta: objective(theta, data)), theta, 6)
    assert torch.allclose(run.theta, path[-1], atol=1e-13)
    assert run.history["objective"] == pytest.approx([objective(theta, data).item() for theta in path[:-1]], rel=1e-12)


def test_fit_changes_nothing_it_is_given():
    model, theta, data = scans()
    before = theta.clone(), data.x.clone()
    run = fit(MetaLoss(model, cross_entropy), theta, sgd(0.1), data, size=5, epochs=1, generator=seeded())
    assert torch.equal(theta, before[0]) and torch.equal(data.x, before[1]) and not torch.equal(run.theta, theta)


def test_prepare_meets_each_batch_once_before_its_step():
    """The batches are those of `minibatches`, and what trains is what ``prepare`` returns: here inputs of 0."""
    data, seen = Data(torch.arange(7.0).unsqueeze(1), torch.arange(7)), []

    def prepare(batch, generator):
        seen.append(batch.y.tolist())
        return Data(batch.x * 0, batch.y)

    run = fit(
        lambda theta, batch: (theta * batch.x).sum(), torch.ones(1), sgd(0.1), data,
        size=3, epochs=2, generator=seeded(), prepare=prepare,
    )  # fmt: skip
    own = seeded()
    assert seen == [batch.y.tolist() for _ in range(2) for batch in minibatches(data, 3, own)]
    assert run.theta.item() == 1


def falling_and_rising(columns, callbacks, epochs=10):
    """A run whose θ counts its epochs from 1; ``columns`` gives what is judged then."""
    watch = [
        judge(name, lambda theta, values=values: values[round(theta.item()) - 1]) for name, values in columns.items()
    ]
    data = Data(torch.ones(1, 1), torch.ones(1, 1))
    rule = sgd(1.0)
    return fit(
        lambda theta, batch: -theta.sum(), torch.zeros(1), rule, data,
        size=1, epochs=epochs, generator=seeded(), callbacks=[*watch, *callbacks],
    )  # fmt: skip


def test_early_stopping_keeps_the_best_and_ends():
    values = [5.0, 3.0, 4.0, 2.0, 2.0, math.nan, 9.0, 1.0, 0.0, 0.0]
    run = falling_and_rising({"risk": values}, [early_stopping("risk", patience=3)])
    assert run.stop and run.epoch == 7 and run.kept.item() == 4 and run.theta.item() == 7
    assert run.history["risk"][:5] == values[:5] and len(run.history["objective"]) == 7
    longer = falling_and_rising({"risk": values}, [early_stopping("risk", patience=4)])
    assert not longer.stop and longer.epoch == 10 and longer.kept.item() == 9


def test_a_history_has_a_column_for_each_judge():
    run = falling_and_rising({"a": [1.0, 2.0], "b": [3.0, 4.0]}, [], epochs=2)
    assert run.history == {"objective": [0.0, -1.0], "a": [1.0, 2.0], "b": [3.0, 4.0]} and run.kept is None


def test_columns_that_cannot_be_right_are_refused():
    with pytest.raises(ValueError, match="written by `fit`"):
        judge("objective", lambda theta: 0.0)
    with pytest.raises(ValueError, match="its own name"):
        falling_and_rising({"a": [1.0]}, [judge("a", lambda theta: 0.0)])
    with pytest.raises(ValueError, match=r"'risk'.*'objective', 'a'.*before it"):
        falling_and_rising({"a": [1.0]}, [early_stopping("risk", 2)])
    with pytest.raises(ValueError, match="patience = 0"):
        early_stopping("a", 0)


@pytest.mark.parametrize("numbers", [{"size": 24}, {"size": 0}, {"epochs": 0}, {"every": 0}])
def test_fit_refuses_numbers_out_of_range(numbers):
    model, theta, data = scans()
    with pytest.raises(ValueError, match=r"of 24|of 0|epochs = 0|every = 0"):
        options = {"size": 5, "epochs": 1, "generator": seeded()} | numbers
        fit(MetaLoss(model, cross_entropy), theta, sgd(0.1), data, **options)


def test_steps_that_are_too_long_are_told_from_inputs_that_are_broken():
    """Same symptom, an objective that is no number; another cause, another message."""
    data = Data(torch.ones(4, 1), torch.zeros(4, 1))
    model = mlp((1, 1))
    learner = MetaLearner(
        MetaLoss(model, half_squared_error), TaskLoss(model, half_squared_error, take(data, torch.tensor([0]))), 2.0
    )
    given = {"size": 2, "epochs": 500, "generator": seeded()}
    with pytest.raises(FloatingPointError, match=r"too long.*smaller step size η") as caught:
        fit(learner, torch.ones(2), momentum(30.0, 0.5), data, **given)
    assert "momentum, η = 30.0, β = 0.5; objective with λ = 2.0" in str(caught.value)
    step, epoch = map(int, re.search(r"at step (\d+), in epoch (\d+) ", str(caught.value)).groups())
    assert epoch == (step + 1) // 2 and step > 5

    def spoil(batch, generator):
        return Data(batch.x / 0, batch.y)

    with pytest.raises(FloatingPointError, match=r"step 1, in epoch 1.*batch is at fault.*2 of 2 inputs") as caught:
        fit(learner, torch.ones(2), sgd(0.1), data, prepare=spoil, **given)
    assert "too long" not in str(caught.value)


def test_a_theta_that_has_left_the_numbers_names_the_step_before():
    """One step takes θ past the largest number of 32 bits."""
    data = Data(torch.ones(1, 1), torch.ones(1, 1))

    def plane(theta, batch):
        return 1e30 * theta.sum()

    with pytest.raises(
        FloatingPointError, match=r"step 2, .*no longer finite before it, so the step before was too long"
    ):
        fit(plane, torch.ones(1), sgd(1e30), data, size=1, epochs=3, generator=seeded())


def test_a_gradient_that_is_no_number_beside_an_objective_that_is_one():
    data = Data(torch.ones(1, 1), torch.ones(1, 1))
    with pytest.raises(FloatingPointError, match="The gradient is not finite at step 1,"):
        fit(lambda theta, batch: theta.sqrt().sum(), torch.zeros(1), sgd(0.1), data,
            size=1, epochs=1, generator=seeded())  # fmt: skip


def test_fit_shows_its_progress(capsys):
    data = Data(torch.ones(6, 1), torch.ones(6, 1))
    fit(lambda theta, batch: theta.sum(), torch.zeros(1), sgd(0.1), data,
        size=3, epochs=4, generator=seeded(), label="fitting")  # fmt: skip
    shown = capsys.readouterr().err
    assert "fitting" in shown and "8/8" in shown
