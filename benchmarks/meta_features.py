"""Features and heads on new alphabets, what adapting changes in each layer, and a black box beside prototypes; lesson 14.

One network, `small_cnn`, gets its features in four ways: none (the random start), cross-entropy on all training classes at
once (every epoch shows each image once; the number of images shown is that of the meta-trained ones), prototypes, and
MAML. Each set of features, and the pixels, meets three heads. All meta-training is 5-way 1-shot; a seed draws the start, the
training tasks, and the tasks from the meta-test alphabets, which are the same for everything that the seed trains. The
ridge's λ is chosen on tasks of the meta-validation alphabets, anew for each set of features.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

import metautil
from benchmarks.few_shot import pretrained
from benchmarks.ways_shots import drawn
from metautil.datasets import font_alphabets, sinusoids
from metautil.learners import (
    Learner,
    adapted_risks,
    anil,
    linear_probe,
    maml,
    meta_fit,
    nearest_centroid,
    prototypes,
    set_learner,
)
from metautil.models import Model, embedding, mlp, small_cnn
from metautil.risks import cross_entropy, half_squared_error
from metautil.similarity import linear_cka
from metautil.tasks import Data, Task, few_shot_tasks
from metautil.updates import adam

WAYS, QUERIES, TASKS = 5, 10, 400
CHANNELS, SIDE = (8, 16, 32), 28
META_STEPS, META_TASKS, META_QUERIES, META_RULE = 800, 8, 5, adam(0.002)
ALPHA, INNER_STEPS, MOST = 0.1, 3, 10
EPOCHS = 11  # of pretraining: 11 · 17,360 images; meta-training shows 800 · 8 · 30
WIDTH = 64
LAMS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
FEATURES = ("pixels", "random", "pretrained", "prototypes", "MAML")
HEADS = ("nearest centroid", "squared distance", "linear probe")
READ_SHOTS = (1, 2, 5, 10)
WAVES = "set learner on waves"
WAVE_POINTS, WAVE_TASKS = 10, 25
WAVE_STAGES = ((0.003, 2000), (0.001, 1000))  # step size of Adam and number of meta-steps
CASES = dict.fromkeys(
    [f"{name}, {shots} shot" for name in FEATURES for shots in (1, 5)]
    + [f"{name}, adapting" for name in ("MAML", "ANIL")]
    + [f"{name}, trained with 1 shot" for name in ("prototypes", "set learner")]
    + [WAVES],
    3,
)
MODEL = small_cnn(WAYS, CHANNELS, SIDE)
BODY = embedding(MODEL)
PIXELS = Model({}, lambda weights, x: x.flatten(-3), lambda weights, features: features, (1, SIDE, SIDE))


def learner_of(name: str) -> Learner:
    """What is meta-trained, by its name."""
    return {
        "prototypes": lambda: prototypes(BODY),
        "MAML": lambda: maml(MODEL, cross_entropy, ALPHA, INNER_STEPS),
        "ANIL": lambda: anil(MODEL, cross_entropy, ALPHA, INNER_STEPS),
        "set learner": lambda: set_learner(MODEL, cross_entropy, WIDTH),
    }[name]()


@cache
def meta_trained(name: str, seed: int) -> Tensor:
    """φ after meta-training on 5-way 1-shot tasks of the training alphabets."""
    own = torch.Generator().manual_seed(seed)
    learner = learner_of(name)
    family = few_shot_tasks(font_alphabets().part("training"), WAYS, 1, META_QUERIES)
    return meta_fit(learner, META_RULE, family, learner.init(own), META_STEPS, META_TASKS, own)[0]


def features_of(name: str, seed: int) -> tuple[Model, Tensor]:
    """An embedding and its parameters."""
    if name == "pixels":
        return PIXELS, torch.zeros(0)
    if name == "random":
        return BODY, BODY.init(torch.Generator().manual_seed(seed))
    return BODY, (
        pretrained(seed, EPOCHS)[: BODY.size] if name == "pretrained" else meta_trained(name, seed)[: BODY.size]
    )


def tasks_of(part: str, shots: int, seed: int, count: int) -> list[Task]:
    """Tasks of one part of the alphabets, a few at a time."""
    own = torch.Generator().manual_seed(1000 + seed)
    return drawn(font_alphabets().part(part), WAYS, shots, own, count, QUERIES)


def accuracy(learner: Learner, phi: Tensor, batches: list[Task]) -> float:
    """Share of all query images that are named right."""
    right = [learner.adapt(phi, tasks.support)(tasks.query.x).argmax(-1) == tasks.query.y for tasks in batches]
    return torch.cat(right).double().mean().item()


def heads(name: str, shots: int, seed: int) -> dict[str, tuple[float, str]]:
    """Accuracy of the three heads on one set of features."""
    body, theta = features_of(name, seed)
    chosen_on, judged_on = tasks_of("validation", shots, seed, 100), tasks_of("test", shots, seed, TASKS)
    probes = [linear_probe(body, cross_entropy, lam) for lam in LAMS]
    probe = max(probes, key=lambda probe: accuracy(probe, theta, chosen_on))
    learners = dict(zip(HEADS, (nearest_centroid(body), prototypes(body), probe), strict=True))
    return {head: (accuracy(learner, theta, judged_on), "fraction") for head, learner in learners.items()}


def adapting(name: str, seed: int) -> dict[str, tuple[float, str]]:
    """What the inner steps of MAML or ANIL do to the accuracy, to each layer, and to what each layer represents."""
    phi = meta_trained(name, seed)
    batches = tasks_of("test", 1, seed, TASKS)
    found = {}
    for steps in (INNER_STEPS, MOST):
        found[f"{steps} steps, all layers"] = accuracy(maml(MODEL, cross_entropy, ALPHA, steps), phi, batches)
        found[f"{steps} steps, head only"] = accuracy(anil(MODEL, cross_entropy, ALPHA, steps), phi, batches)
    found["no step"] = accuracy(maml(MODEL, cross_entropy, ALPHA, 0), phi, batches)
    values = {metric: (value, "fraction") for metric, value in found.items()}
    tasks = batches[0]
    after = maml(MODEL, cross_entropy, ALPHA, INNER_STEPS).adapt(phi, tasks.support).args[0]
    other = MODEL.init(torch.Generator().manual_seed(500 + seed))
    for layer, change in changes(MODEL, phi, after).items():
        values[f"change, {layer}"] = (change, "number")
    for depth in range(1, len(CHANNELS) + 2):
        here = cut(depth)
        start = here(phi[: here.size].expand(len(after), -1), tasks.query.x)
        end = here(after[:, : here.size], tasks.query.x)
        random = here(other[: here.size].expand(len(after), -1), tasks.query.x)
        layer = "head" if depth > len(CHANNELS) else str(depth)
        values[f"CKA, {layer}"] = (linear_cka(start, end).mean().item(), "number")
        values[f"CKA with a random network, {layer}"] = (linear_cka(start, random).mean().item(), "number")
    return values


def cut(depth: int) -> Model:
    """The network up to one of its blocks, or the whole where there are no more; its parameters are the first of θ."""
    return MODEL if depth > len(CHANNELS) else embedding(small_cnn(WAYS, CHANNELS[:depth], SIDE))


def changes(model: Model, before: Tensor, after: Tensor) -> dict[str, float]:
    """‖θ_K − θ_0‖ / ‖θ_0‖ of each layer, weights and biases together, as the mean over tasks."""
    moved, start = model.unpack(after - before), model.unpack(before)
    layers = list(dict.fromkeys(name.split(".")[0] for name in model.shapes))
    sizes = {}
    for layer in layers:
        names = [name for name in model.shapes if name.startswith(f"{layer}.")]
        step = torch.cat([moved[name].flatten(1) for name in names], 1)
        sizes[layer] = (step.norm(dim=1).mean() / torch.cat([start[name].flatten() for name in names]).norm()).item()
    return sizes


def reading(name: str, seed: int) -> dict[str, tuple[float, str]]:
    """Accuracy with more shots than in training, and on characters of the training alphabets."""
    learner, phi = learner_of(name), meta_trained(name, seed)
    found = {
        f"{shots} shot{'s' * (shots > 1)}": accuracy(learner, phi, tasks_of("test", shots, seed, TASKS))
        for shots in READ_SHOTS
    }
    found["training characters"] = accuracy(learner, phi, tasks_of("training", 1, seed, TASKS))
    return {metric: (value, "fraction") for metric, value in found.items()}


def waves(seed: int) -> dict[str, tuple[float, str]]:
    """MSE of the set learner on new waves of lesson 11, with the points of its training, with more and with fewer."""
    own = torch.Generator().manual_seed(seed)
    learner = set_learner(mlp((1, 40, 40, 1), torch.relu), half_squared_error, WIDTH)
    phi = learner.init(own)
    for eta, steps in WAVE_STAGES:
        phi, _ = meta_fit(learner, adam(eta), sinusoids(WAVE_POINTS, WAVE_POINTS), phi, steps, WAVE_TASKS, own)
    found = {}
    for points in (5, 10, 20, 50):
        tasks = sinusoids(points, 50)(1000, torch.Generator().manual_seed(1000 + seed))
        found[f"{points} points"] = 2 * adapted_risks(learner, phi, tasks, half_squared_error).mean().item()
    tasks = sinusoids(WAVE_POINTS, 50)(1000, torch.Generator().manual_seed(1000 + seed))
    others = Task(Data(*(part.roll(1, 0) for part in tasks.support)), tasks.query)
    found["another task's points"] = 2 * adapted_risks(learner, phi, others, half_squared_error).mean().item()
    return {metric: (value, "number") for metric, value in found.items()}


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case."""
    metautil.begin(seed)
    torch.set_default_dtype(torch.float32)  # convolutions of many tasks at once are many times quicker
    if case == WAVES:
        return waves(seed)
    name, what = case.split(", ")
    if what == "adapting":
        return adapting(name, seed)
    if what == "trained with 1 shot":
        return reading(name, seed)
    return heads(name, int(what.split()[0]), seed)
