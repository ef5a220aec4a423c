"""Tasks, joint training and training loops. What happens to a run that is stopped is in test_checkpoints.py."""

from __future__ import annotations

import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch.func import grad

from metautil.joint import MetaLearner, MetaLoss, TaskLoss
from metautil.models import mlp, small_cnn
from metautil.progress import progress
from metautil.risks import cross_entropy, half_squared_error
from metautil.tasks import Data, split_per_class, take
from metautil.training import accuracy, early_stopping, evaluate, fit, judge, minibatches, predict, train_epoch
from metautil.updates import adam, descend, momentum, sgd

ONE, NONE = (Data(torch.ones(count, 1), torch.ones(count, 1)) for count in (1, 0))
ABSENT = Data(torch.ones(3, 1), torch.tensor([[0.0], [1.0], [math.nan]]))
LINE = MetaLoss(mlp((1, 1)), half_squared_error)


def labelled(count=30, classes=3):
    return Data(torch.arange(count).float().unsqueeze(1), torch.arange(count) % classes)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(objective, theta, rule, data, **options):
    """`fit` with settings that do where a test does not say."""
    return fit(objective, theta, rule, data, **{"size": 1, "epochs": 1, "generator": seeded()} | options)


def test_split_per_class_draws_the_same_number_of_each_and_loses_none():
    task = split_per_class(labelled(), shots=4, generator=seeded())
    assert task.support.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert sorted(torch.cat([task.support.x, task.query.x]).flatten().tolist()) == list(range(30))
    assert (task.query.x.flatten().diff() > 0).all()  # the others keep their order
    assert (task.support.x.flatten().long() % 3 == task.support.y).all()  # labels stay with their inputs
    draws = [split_per_class(labelled(), 4, seeded(seed)).support.x.flatten() for seed in (0, 1, 2, 3, 4, 0)]
    assert len({tuple(draw.tolist()) for draw in draws}) == 5 and torch.equal(draws[0], draws[-1])


def test_minibatches_are_a_permutation_without_the_rest():
    batches = list(minibatches(labelled(30), 8, seeded()))
    assert [len(batch.y) for batch in batches] == [8, 8, 8]
    seen = torch.cat([batch.x for batch in batches]).flatten().long()
    assert len(seen.unique()) == 24
    assert torch.equal(torch.cat([batch.y for batch in batches]), seen % 3)
    other = torch.cat([batch.x for batch in minibatches(labelled(30), 8, seeded(1))]).flatten().long()
    assert seen.tolist() != sorted(seen.tolist()) and seen.tolist() != other.tolist()


def test_accuracy_counts():
    model = lambda theta, x: torch.stack([x[:, 0], theta.expand(len(x))], dim=1)  # noqa: E731
    data = Data(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([1, 1, 0, 1]))
    theta = torch.tensor(1.5)
    assert predict(model, theta, data.x).tolist() == [1, 1, 0, 0]
    assert accuracy(model, theta, data) == 0.75


def test_progress_is_shown(capsys):
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    assert "counting" in capsys.readouterr().err
    fitted(lambda theta, batch: theta.sum(), torch.zeros(1), sgd(0.1), labelled(6), size=3, epochs=4)
    shown = capsys.readouterr().err
    assert "training" in shown and "8/8" in shown


# Joint training and evaluation


def scans(count=23, classes=3, seed=0):
    """A small network and images for it, in 64 bits."""
    generator = seeded(seed)
    model = small_cnn(classes, (2, 3))
    x = torch.rand(count, 1, 8, 8, generator=generator, dtype=torch.float64)
    return model, model.init(generator).double(), Data(x, torch.arange(count) % classes)


def test_meta_loss_and_task_loss_are_means_over_their_own_examples():
    """A line through the origin: ½(θx − y)² by hand."""
    data = Data(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[0.0], [3.0], [4.0]]))
    theta = torch.tensor([2.0, 0.0])  # errors 2, 1, 4
    assert LINE(theta, data) == (2 + 0.5 + 8) / 3
    assert LINE(theta, Data(data.x[:2], data.y[:2])) == 2.5 / 2
    assert TaskLoss(mlp((1, 1)), half_squared_error, data)(theta) == (2 + 0.5 + 8) / 3


@pytest.mark.parametrize("lam", [0, 0.3, 1, 30])
def test_meta_learner_is_the_weighted_mean_of_both_risks(lam):
    """Value and gradient against torch's own cross-entropy; at λ = 0 the task has no say."""
    model, theta, data = scans()
    batch, support = take(data, torch.arange(14)), take(data, torch.arange(14, 23))
    learner = MetaLearner(MetaLoss(model, cross_entropy), TaskLoss(model, cross_entropy, support), lam)

    def weighted(of):
        risk_D, risk_T = (
            of(lambda theta, part=part: F.cross_entropy(model(theta, part.x), part.y)) for part in (batch, support)
        )
        return (risk_D + lam * risk_T) / (1 + lam)

    assert torch.allclose(learner(theta, batch), weighted(lambda risk: risk(theta)), rtol=1e-13)
    assert torch.allclose(grad(learner)(theta, batch), weighted(lambda risk: grad(risk)(theta)), atol=1e-14)
    if lam == 0:
        assert torch.equal(grad(learner)(theta, batch), grad(MetaLoss(model, cross_entropy))(theta, batch))


@pytest.mark.parametrize("size", [1, 5, 22, 23, 500])
def test_evaluation_counts_each_example_once_and_builds_no_graph(size):
    """23 examples: batches of 5 leave 3, batches of 22 leave 1, which must not weigh as much as the 22."""
    model, theta, data = scans()
    kept = []

    def loss(y, y_star):
        kept.append(y)
        return cross_entropy(y, y_star)

    found = evaluate(model, theta.requires_grad_(), data, loss, size)
    assert len(kept) == math.ceil(23 / size) and not any(y.requires_grad for y in kept)
    outputs = model(theta, data.x)
    assert abs(found.risk - F.cross_entropy(outputs, data.y).item()) < 1e-14
    assert found.predicted.tolist() == outputs.argmax(1).tolist()
    assert found.accuracy == sum(map(int.__eq__, outputs.argmax(1).tolist(), data.y.tolist())) / 23


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
        fitted(MetaLoss(model, cross_entropy), theta, sgd(0.1), change(data), size=22, epochs=9)


def test_a_start_that_is_not_finite_is_refused():
    model, theta, data = scans()
    theta[5] = math.nan
    with pytest.raises(ValueError, match=f"1 of {model.size} entries .* index 5"):
        evaluate(model, theta, data, cross_entropy)
    with pytest.raises(ValueError, match="index 5"):
        fitted(MetaLoss(model, cross_entropy), theta, sgd(0.1), data)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("at least 1", lambda: split_per_class(labelled(), 0, seeded())),
        *(("10 examples", lambda shots=shots: split_per_class(labelled(), shots, seeded())) for shots in (10, 11)),
        *(("30 examples", lambda size=size: next(minibatches(labelled(), size, seeded()))) for size in (0, 31)),
        ("No batches", lambda: train_epoch(LINE, torch.zeros(2), sgd(0.1), (), [])),
        ("empty", lambda: accuracy(mlp((1, 1)), torch.zeros(2), NONE)),
        *(("λ", lambda lam=lam: MetaLearner(LINE, sum, lam)) for lam in (-0.1, math.nan, math.inf)),
        ("empty", lambda: TaskLoss(mlp((1, 1)), half_squared_error, NONE)),
        ("3 inputs and 1 labels", lambda: TaskLoss(mlp((1, 1)), half_squared_error, Data(ABSENT.x, ONE.y))),
        ("1 of 3 inputs .* index 2", lambda: TaskLoss(mlp((1, 1)), half_squared_error, Data(ABSENT.y, ABSENT.x))),
        ("1 of 3 labels .* index 2", lambda: fitted(LINE, torch.zeros(2), sgd(0.1), ABSENT)),
        (r"\(1, 1\).*empirical_risk", lambda: evaluate(mlp((1, 1)), torch.zeros(2), ONE, half_squared_error)),
        ("size = 0", lambda: evaluate(mlp((1, 3)), torch.zeros(6), labelled(), cross_entropy, 0)),
        *((f"of {size}", lambda size=size: fitted(LINE, torch.zeros(2), sgd(0.1), ONE, size=size)) for size in (0, 2)),
        ("epochs = 0", lambda: fitted(LINE, torch.zeros(2), sgd(0.1), ONE, epochs=0)),
        ("every = 0", lambda: fitted(LINE, torch.zeros(2), sgd(0.1), ONE, every=0)),
        ("written by `fit`", lambda: judge("objective", sum)),
        ("its own name", lambda: falling_and_rising({"a": [1.0]}, [judge("a", lambda theta: 0.0)])),
        (r"'risk'.*'objective', 'a'.*before it", lambda: falling_and_rising({"a": [1.0]}, [early_stopping("risk", 2)])),
        ("patience = 0", lambda: early_stopping("a", 0)),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused(words, call):
    with pytest.raises(ValueError, match=words):
        call()


# fit


@pytest.mark.parametrize("rule", [sgd(0.1), momentum(0.1, 0.9), adam(0.01)], ids=lambda rule: rule.text)
def test_fit_is_the_loop_over_epochs_in_every_bit_and_changes_nothing_it_is_given(rule):
    model, theta, data = scans()
    objective = MetaLoss(model, cross_entropy)
    start, images = theta.clone(), data.x.clone()
    run = fit(objective, theta, rule, data, size=5, epochs=4, generator=seeded(1))
    assert torch.equal(theta, start) and torch.equal(data.x, images)
    own, state, means = seeded(1), rule.init(theta), []
    for _ in range(4):
        theta, state, mean = train_epoch(objective, theta, rule, state, minibatches(data, 5, own))
        means.append(mean)
    assert torch.equal(run.theta, theta) and not torch.equal(theta, start)
    assert run.history == {"objective": means} and (run.step, run.epoch, run.stop) == (16, 4, False)
    assert torch.equal(run.generator, own.get_state())


def test_fit_on_whole_batches_is_descend():
    """One batch an epoch is a step of the rule along the risk's gradient, state carried over."""
    model, theta, data = scans()
    objective = MetaLoss(model, cross_entropy)
    run = fit(objective, theta, momentum(0.1, 0.9), data, size=23, epochs=6, generator=seeded())
    path = descend(momentum(0.1, 0.9), grad(lambda theta: objective(theta, data)), theta, 6)
    assert torch.allclose(run.theta, path[-1], atol=1e-13)
    assert run.history["objective"] == pytest.approx([objective(theta, data).item() for theta in path[:-1]], rel=1e-12)


def test_prepare_meets_each_batch_once_before_its_step():
    """The batches are those of `minibatches`, and what trains is what ``prepare`` returns: here inputs of 0."""
    data, seen, own = Data(torch.arange(7.0).unsqueeze(1), torch.arange(7)), [], seeded()

    def prepare(batch, generator):
        seen.append(batch.y.tolist())
        return Data(batch.x * 0, batch.y)

    def objective(theta, batch):
        return (theta * batch.x).sum()

    run = fitted(objective, torch.ones(1), sgd(0.1), data, size=3, epochs=2, prepare=prepare)
    assert seen == [batch.y.tolist() for _ in range(2) for batch in minibatches(data, 3, own)]
    assert run.theta.item() == 1


def falling_and_rising(columns, callbacks, epochs=10):
    """A run whose θ counts its epochs from 1; ``columns`` gives what is judged then."""
    watch = [
        judge(name, lambda theta, values=values: values[round(theta.item()) - 1]) for name, values in columns.items()
    ]
    options = {"epochs": epochs, "callbacks": [*watch, *callbacks]}
    return fitted(lambda theta, batch: -theta.sum(), torch.zeros(1), sgd(1.0), ONE, **options)


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


def test_steps_that_are_too_long_are_told_from_inputs_that_are_broken():
    """Same symptom, an objective that is no number; another cause, another message."""
    data, model = Data(torch.ones(4, 1), torch.zeros(4, 1)), mlp((1, 1))
    task = TaskLoss(model, half_squared_error, take(data, torch.tensor([0])))
    learner = MetaLearner(MetaLoss(model, half_squared_error), task, 2.0)
    given = {"size": 2, "epochs": 500}
    with pytest.raises(FloatingPointError, match=r"too long.*smaller step size η") as caught:
        fitted(learner, torch.ones(2), momentum(30.0, 0.5), data, **given)
    assert "momentum, η = 30.0, β = 0.5; objective with λ = 2.0" in str(caught.value)
    step, epoch = map(int, re.search(r"at step (\d+), in epoch (\d+) ", str(caught.value)).groups())
    assert epoch == (step + 1) // 2 and step > 5
    with pytest.raises(FloatingPointError, match=r"step 1, in epoch 1.*batch is at fault.*2 of 2 inputs") as caught:
        fitted(learner, torch.ones(2), sgd(0.1), data, prepare=lambda batch, _: Data(batch.x / 0, batch.y), **given)
    assert "too long" not in str(caught.value)


@pytest.mark.parametrize(
    ("objective", "theta", "eta", "words"),
    [  # one step takes θ past the largest number of 32 bits; √θ has no slope at 0
        (lambda theta, batch: 1e30 * theta.sum(), 1.0, 1e30,
         r"step 2, .*no longer finite before it, so the step before was too long"),
        (lambda theta, batch: theta.sqrt().sum(), 0.0, 0.1, "The gradient is not finite at step 1,"),
    ],
)  # fmt: skip
def test_a_theta_or_gradient_that_is_no_number_is_named(objective, theta, eta, words):
    with pytest.raises(FloatingPointError, match=words):
        fitted(objective, torch.full((1,), theta), sgd(eta), ONE, epochs=3)


def test_an_epoch_names_the_step_at_which_its_objective_is_no_number():
    with pytest.raises(FloatingPointError, match=r"step \d+ of this epoch.*smaller step size η"):
        train_epoch(lambda theta, batch: (theta**2).sum() ** 8, torch.full((1,), 10.0), sgd(10.0), (), [ONE] * 50)
