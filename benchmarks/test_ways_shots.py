"""The benchmarks of lesson 13, ways_shots, task_supply and support_noise: what they draw, disturb and adapt is what they say."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
import torch.nn.functional as F

from benchmarks import support_noise, task_supply, ways_shots
from benchmarks.store import UNITS
from metautil.datasets import font_alphabets
from metautil.fast import conv4
from metautil.learners import nearest_centroid, prototypes
from metautil.models import embedding
from metautil.risks import cross_entropy
from metautil.tasks import few_shot_tasks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def task():
    """Three 5-way 5-shot tasks."""
    return few_shot_tasks(font_alphabets().part("test"), 5, 5, 2)(3, generator())


@pytest.fixture
def quick(monkeypatch):
    """One meta-step, few tasks, a pretrained network without training; the default dtype is put back."""
    for module, name, value in (
        (ways_shots, "META_STEPS", 1),
        (ways_shots, "META_TASKS", 1),
        (ways_shots, "TASKS", 2),
        (ways_shots, "STEPPING_TASKS", dict.fromkeys(ways_shots.STEPPING_TASKS, 1)),
        (ways_shots, "AT_ONCE", 1),
        (ways_shots, "REFERENCE", 2),
        (ways_shots, "pretrained", lambda seed: embedding(conv4(20, ways_shots.CHANNELS)).init(generator(seed))),
        (task_supply, "META_STEPS", 1),
        (task_supply, "TASKS", 2),
        (support_noise, "TASKS", 2),
    ):
        monkeypatch.setattr(module, name, value)
    before = torch.get_default_dtype()
    ways_shots.meta_trained.cache_clear()
    yield
    ways_shots.meta_trained.cache_clear()
    torch.set_default_dtype(before)


@pytest.mark.slow
@pytest.mark.parametrize("module", [ways_shots, task_supply, support_noise], ids=lambda m: m.__name__)
def test_every_learner_is_measured(module, quick):
    """The first case of each form: names that differ in their numbers alone are of one."""
    cases = {re.sub(r"\d+", "", case): case for case in reversed(module.CASES)}.values()
    assert len(cases) >= 4
    for case in cases:
        found = module.measure(case, 0)
        assert all(unit in UNITS and 0 <= value <= 1 for value, unit in found.values()), case
        assert set(found) >= ({"training", "held out"} if module is task_supply else {"accuracy"}), case


def test_steps_are_recorded_and_the_judged_one_is_among_them(quick):
    found = ways_shots.measure("MAML, 5-way 1-shot", 0)
    assert [f"accuracy after {k} steps" in found for k in (0, 10, 11)] == [True, True, False]
    assert found["accuracy"] == found[f"accuracy after {ways_shots.TESTING['MAML'].steps} steps"]
    assert list(ways_shots.measure("prototypes, 20-way 10-shot", 0)) == ["accuracy"]


# ------------------------------------------------------------------------------ inner steps


@pytest.mark.parametrize("name", ways_shots.SETTINGS)
def test_the_path_passes_where_the_learner_adapts_to(name, task, quick):
    """Of a 20-way φ, by the learner itself on five of its outputs, with step sizes that are smaller by ``shrink``."""
    make, alpha, _, _ = ways_shots.SETTINGS[name]
    shrink, steps = ways_shots.TESTING[name]
    phi = ways_shots.meta_trained(name, 0)
    theta = ways_shots.with_outputs(phi[: conv4(20, ways_shots.CHANNELS).size], ways_shots.CHANNELS, 5)
    if name == "Meta-SGD":
        theta = torch.cat([theta, shrink * ways_shots.with_outputs(phi[len(phi) // 2 :], ways_shots.CHANNELS, 5)])
    adapted = make(conv4(5, ways_shots.CHANNELS), cross_entropy, alpha * shrink, steps).adapt(theta, task.support)
    path = ways_shots.inner_path(*ways_shots.start_and_sizes(name, 5, 0), 5, (0, 1, steps), task.support)
    torch.testing.assert_close(path[-1].args[0], adapted.args[0])
    scores = [predictor(task.query.x) for predictor in path]
    assert not any(torch.allclose(one, other) for one, other in itertools.pairwise(scores))


def test_fewer_outputs_give_the_same_scores(task):
    """The first five of 20 scores, whatever θ."""
    many, few = conv4(20, ways_shots.CHANNELS), conv4(5, ways_shots.CHANNELS)
    theta = many.init(generator())
    scores = few(ways_shots.with_outputs(theta, ways_shots.CHANNELS, 5), task.query.x[0])
    torch.testing.assert_close(scores, many(theta, task.query.x[0])[:, :5])


def test_fine_tuning_many_tasks_is_fine_tuning_each(task, quick):
    """Against torch.optim on the second task alone; the head starts at zero."""
    theta, alphas = ways_shots.start_and_sizes(ways_shots.FINE_TUNED, 5, 0)
    path = ways_shots.inner_path(theta, alphas, 5, range(4), task.support)
    model, alone = conv4(5, ways_shots.CHANNELS), conv4(5, ways_shots.CHANNELS, reference=task.support.x[1])
    assert torch.equal(theta[:-325], ways_shots.pretrained(0)) and not theta[-325:].any()
    theta = theta.clone().requires_grad_()
    optimiser = torch.optim.SGD([theta], lr=alphas[0].item())
    for predictor in path:
        torch.testing.assert_close(predictor(task.query.x)[1], alone(theta, task.query.x[1]).detach())
        optimiser.zero_grad()
        F.cross_entropy(model(theta, task.support.x[1]), task.support.y[1]).backward()
        optimiser.step()


@pytest.mark.parametrize("learner", [prototypes, nearest_centroid], ids=lambda f: f.__name__)
def test_comparing_features_is_the_learner_on_its_images(learner, task, quick):
    """Support and query through the network of the learner, with the same reference."""
    name = {prototypes: ways_shots.PROTOTYPES, nearest_centroid: ways_shots.CENTROID}[learner]
    look = ways_shots.features(name, 0)
    expected = learner(look.func).adapt(*look.args, task.support)(task.query.x)
    seen = [data._replace(x=torch.stack([look(images) for images in data.x])) for data in task]
    (predictor,) = ways_shots.compared(name, seen[0])
    torch.testing.assert_close(predictor(seen[1].x), expected)
    if learner is prototypes:
        (predictor,) = support_noise.path_of(name, 0)(task.support)
        torch.testing.assert_close(predictor(task.query.x), expected)


def test_step_sizes_rise_and_fall_to_zero():
    sizes = [
        ways_shots.step_size(0.5, step, ways_shots.META_STEPS, ways_shots.WARM_UP)
        for step in range(ways_shots.META_STEPS)
    ]
    top = sizes.index(max(sizes))
    assert 0 < top <= ways_shots.WARM_UP and 0.45 < max(sizes) <= 0.5 and 0 < sizes[-1] < 1e-4
    assert sizes[:top] == sorted(sizes[:top]) and sizes[top:] == sorted(sizes[top:], reverse=True)


# ------------------------------------------------------------------------------ parts of the training classes


def test_a_smaller_draw_of_classes_is_part_of_a_larger_one():
    data = font_alphabets().part("training")
    few, many, all_ = (task_supply.some_classes(data, count, generator(3)) for count in (10, 30, 868))
    assert len(few.characters) == 10 and set(few.characters) < set(many.characters) < set(all_.characters)
    assert set(all_.characters) == set(data.characters) and task_supply.COUNTS[-1] == len(data.characters)
    assert torch.equal(few.x, data.x[torch.isin(data.y, where(data, few))])


def where(data, part):
    return torch.tensor([data.characters.index(character) for character in part.characters])


@pytest.mark.parametrize("count", task_supply.ALPHABETS)
@pytest.mark.parametrize("seed", range(3))
def test_alphabets_give_equal_shares_of_as_many_classes(count, seed):
    data = task_supply.some_alphabets(font_alphabets().part("training"), count, task_supply.EQUAL, generator(seed))
    assert data.alphabet.bincount().tolist() == [task_supply.EQUAL // count] * count


def test_the_parts_of_a_case():
    data = font_alphabets().part("training")
    parts = {part: task_supply.part_of(data, part, generator()) for part in task_supply.PARTS}
    assert parts["30 classes, augmented"].characters == parts["30 classes"].characters
    assert len(parts["2 alphabets"].names) == 2 and len(parts["1 alphabet"].names) == 1


def test_cases_of_the_supply_differ_in_nothing_else(quick, monkeypatch):
    """One start, one number of tasks but where it is doubled, the same held-out tasks."""
    trainings, held_out, drawn = [], [], task_supply.drawn

    def untrained(learner, eta, family, phi, steps, tasks, generator):
        trainings.append((phi, eta, steps, tasks))
        return phi

    def noted(data, ways, shots, generator, tasks, queries):
        held_out.append(generator.get_state())
        return drawn(data, ways, shots, generator, tasks, queries)

    monkeypatch.setattr(task_supply, "meta_descended", untrained)
    monkeypatch.setattr(task_supply, "drawn", noted)
    for part in ("10 classes", "30 classes, augmented", "2 alphabets", "100 classes, twice the tasks"):
        task_supply.measure(f"prototypes, {part}", 1)
    starts, *rest = zip(*trainings, strict=True)
    assert all(torch.equal(start, starts[0]) for start in starts)
    assert rest == [(task_supply.ETA,) * 4, (1, 1, 1, 2), (task_supply.META_TASKS,) * 4]
    assert all(torch.equal(state, held_out[0]) for state in held_out[::2])


# ------------------------------------------------------------------------------ disturbed support sets


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_as_many_labels_of_each_class_are_wrong(task, count):
    before = task.support.y.clone()
    wrong = support_noise.mislabelled(task, 5, count, generator())
    assert torch.equal(task.support.y, before) and wrong.query is task.query and wrong.support.x is task.support.x
    changed = (wrong.support.y != before).unflatten(1, (5, 5))
    assert (changed.sum(2) == count).all()
    assert (F.one_hot(wrong.support.y, 5).sum(1) == 5).all()  # as many images a label as before
    assert torch.equal(support_noise.mislabelled(task, 5, count, generator()).support.y, wrong.support.y)


def test_wrong_labels_are_drawn_from_all_other_classes():
    many = few_shot_tasks(font_alphabets().part("test"), 5, 2, 1)(400, generator())
    labels = support_noise.mislabelled(many, 5, 1, generator()).support.y
    counts = labels[:, 0].bincount(minlength=5)  # of the first image of class 0
    assert counts[0] == 0 and ((counts[1:] - 100).abs() < 40).all()


def test_a_shifted_writer_is_one_writer(task):
    none, strong = support_noise.shifted(task, 0), support_noise.shifted(task, 3)
    torch.testing.assert_close(none.support.x, task.support.x)
    assert strong.query is task.query and torch.equal(strong.support.y, task.support.y)
    mirrored = task._replace(support=task.support._replace(x=task.support.x.flip(1)))
    torch.testing.assert_close(support_noise.shifted(mirrored, 3).support.x.flip(1), strong.support.x)


def test_a_shifted_writer_slants_and_thickens_more_with_strength():
    """A vertical stroke: its top and bottom move apart sideways, by the angle; it gets wider."""
    stroke = torch.zeros(1, 1, 1, 28, 28)
    stroke[..., 4:24, 13:15] = 1
    data = support_noise.Data(stroke, torch.zeros(1, 1, dtype=torch.int64))
    ink, lean = [], []
    for strength in (0, *support_noise.STRENGTHS):
        x = support_noise.shifted(support_noise.Task(data, data), strength).support.x[0, 0, 0]
        assert x.min() >= 0 and x.max() <= 1
        ink.append(x.sum().item())
        columns = (x * torch.arange(28.0)).sum(1) / x.sum(1).clamp_min(1e-9)
        lean.append(abs((columns[9] - columns[18]).item()))
    assert ink == sorted(ink) and lean == sorted(lean) and lean[0] < 1e-6 and lean[-1] > 4


def test_the_nearest_image_gives_its_label(task):
    (predictor,) = support_noise.nearest(task.support)
    assert torch.equal(predictor(task.support.x).argmax(-1), task.support.y)
    distances = (task.query.x[1, 3] - task.support.x[1]).square().flatten(1).sum(1)
    assert predictor(task.query.x)[1, 3].argmax() == task.support.y[1, distances.argmin()]
