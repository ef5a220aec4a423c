"""Few-shot learners on new alphabets, for more and fewer classes, images and inner steps; lesson 13.

All learners have one network: Conv4 of the widths that benchmarks/omniglot.py gives MAML. A seed draws its start, the
training tasks, and the tasks from the meta-test alphabets that all learners are judged on. Each learner is trained once on
the meta-training alphabets and serves all settings. Two start from one network that was pretrained to tell all training
classes apart, `EPOCHS` times over all images; the others are meta-trained on the same number of 20-way 1-shot tasks.

Learners that adapt parameters begin meta-training with a head of zeros, and serve five ways with five of their 20 outputs, as
in benchmarks/omniglot.py. While being tested they take more and smaller steps than in meta-training: `TESTING`. Their accuracy
is recorded after each number of steps up to `MOST`. What α, K, the step sizes of Adam and `TESTING` are was chosen on the
meta-validation alphabets, of few choices.

Every query image is predicted by itself: batch norm has the mean and variance of the support set for learners that adapt
parameters, of training images for those that compare features.

All training is short: `META_STEPS` steps of `META_TASKS` tasks, ten to forty seconds of one core, where Finn et al. (2017)
take 60,000 steps. Who is ahead here is ahead at that budget. Pretraining sees nearly three times as many images as the tasks
of a meta-training hold, in as many seconds as the dearer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

import metautil
from benchmarks.omniglot import CHANNELS as WIDTHS
from benchmarks.omniglot import GAIN, REFERENCE, given_features, hits, start, step_size, with_outputs
from metautil.datasets import font_alphabets
from metautil.fast import conv4
from metautil.learners import (
    Learner,
    Predictor,
    anil,
    fomaml,
    inner_loop,
    maml,
    meta_sgd,
    meta_step,
    nearest_centroid,
    prototypes,
    reptile,
)
from metautil.models import Model, embedding
from metautil.risks import Loss, cross_entropy, empirical_risk
from metautil.tasks import Alphabets, Data, Task, TaskFamily, few_shot_tasks
from metautil.training import minibatches, train_step
from metautil.updates import adam

SEEDS = 3
CHANNELS = WIDTHS["MAML"]
WAYS, SHOTS = (2, 5, 10, 20), (1, 2, 5, 10)
META_WAYS, META_QUERIES, META_TASKS, META_STEPS = 20, 1, 2, 300
EPOCHS, BATCH, ETA = 4, 80, 0.01  # of pretraining
WARM_UP = 20  # meta-steps in which the step size rises
TASKS, QUERIES = 200, 5
STEPPING_TASKS = {(5, 1): 100, (5, 5): 40}
"""By the ways and shots at which learners that adapt parameters are judged: fewer than `TASKS`, for the processor's time."""
AT_ONCE = 20
"""Test tasks taken at once: few, so that their images stay near the processor."""
MOST = 10
"""Inner steps up to which accuracy is recorded."""


class Setting(NamedTuple):
    """How a learner that adapts parameters is meta-trained: its α, its K, and the step size of the meta-step's Adam."""

    make: Callable[[Model, Loss, float, int], Learner]
    alpha: float
    steps: int
    eta: float


class Testing(NamedTuple):
    """How it is tested: what its inner step sizes are multiplied by, and its K."""

    shrink: float
    steps: int


PROTOTYPES, CENTROID, FINE_TUNED = "prototypes", "pretrained and nearest centroid", "pretrained and fine-tuned"
SETTINGS = {
    "MAML": Setting(maml, 2.0, 1, 0.008),
    "FOMAML": Setting(fomaml, 0.5, 4, 0.008),
    "ANIL": Setting(anil, 2.0, 1, 0.008),
    "Reptile": Setting(reptile, 0.5, 4, 0.004),
    "Meta-SGD": Setting(meta_sgd, 2.0, 1, 0.008),
}
TESTING = {
    "MAML": Testing(0.05, 5),
    "FOMAML": Testing(0.1, 10),
    "ANIL": Testing(0.05, 5),
    "Reptile": Testing(0.3, 10),
    "Meta-SGD": Testing(0.05, 5),
    FINE_TUNED: Testing(0.02, 10),  # of 1
}
PROTOTYPES_ETA = 0.008
CASES = {
    f"{name}, {ways}-way {shots}-shot": SEEDS
    for ways in WAYS
    for shots in SHOTS
    for name in (PROTOTYPES, CENTROID, *(TESTING if (ways, shots) in STEPPING_TASKS else ()))
}


# Training


@cache
def meta_trained(name: str, seed: int) -> Tensor:
    """φ of a learner after meta-training on the meta-training alphabets."""
    own = torch.Generator().manual_seed(seed)
    model = conv4(META_WAYS, CHANNELS)
    phi = start(model, own, GAIN.get(name, 1.0))
    if name == PROTOTYPES:
        body, eta = embedding(model), PROTOTYPES_ETA
        learner, phi = prototypes(body), phi[: body.size]
    else:
        make, alpha, steps, eta = SETTINGS[name]
        learner = make(model, cross_entropy, alpha, steps)
        if name == "Meta-SGD":
            phi = torch.cat([phi, torch.full_like(phi, alpha)])
    family = few_shot_tasks(font_alphabets().part("training"), META_WAYS, 1, META_QUERIES)
    return meta_descended(learner, eta, family, phi, META_STEPS, META_TASKS, own)


def meta_descended(
    learner: Learner,
    eta: float,
    family: TaskFamily,
    phi: Tensor,
    steps: int,
    tasks: int,
    generator: torch.Generator,
) -> Tensor:
    """φ after ``steps`` steps of Adam on ``tasks`` tasks each; the step size rises to ``eta`` and falls to 0."""
    state = adam(eta).init(phi)
    for step in range(steps):
        rule = adam(step_size(eta, step, steps, WARM_UP))
        phi, state, _ = meta_step(learner, rule, phi, state, family(tasks, generator))
    return phi


@cache
def pretrained(seed: int) -> Tensor:
    """The features' parameters after training to tell all classes of the meta-training alphabets apart."""
    own = torch.Generator().manual_seed(seed)
    alphabets = font_alphabets().part("training")
    data = alphabets.data()
    model = conv4(len(alphabets.characters), CHANNELS)
    theta = start(model, own)
    state, steps = adam(ETA).init(theta), EPOCHS * (len(data.y) // BATCH)

    def objective(theta: Tensor, batch: Data) -> Tensor:
        return empirical_risk(model, theta, batch, cross_entropy)

    batches = chain.from_iterable(minibatches(data, BATCH, own) for _ in range(EPOCHS))
    for step, batch in enumerate(batches):
        falling = adam(ETA * (1 - step / steps))
        theta, state, _ = train_step(objective, theta, falling, state, batch, f"at step {step} of pretraining")
    return theta[: embedding(model).size]


# Learners that compare features

IDENTITY = given_features(CHANNELS[-1])
COMPARING = {PROTOTYPES: prototypes(IDENTITY), CENTROID: nearest_centroid(IDENTITY)}


def features(name: str, seed: int) -> Callable[[Tensor], Tensor]:
    """Images (N, 1, h, w) → their features (N, F), each by itself: batch norm has the statistics of training images."""
    theta = meta_trained(PROTOTYPES, seed) if name == PROTOTYPES else pretrained(seed)
    seen = font_alphabets().part("training").x
    some = torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))[:REFERENCE]
    return partial(embedding(conv4(META_WAYS, CHANNELS, reference=seen[some] / 255)), theta)


def compared(name: str, support: Data) -> list[Predictor]:
    """The one predictor of a learner that compares features; the support set holds features."""
    return [COMPARING[name].adapt(torch.zeros(0), support)]


# Learners that adapt parameters


def start_and_sizes(name: str, ways: int, seed: int) -> tuple[Tensor, Tensor]:
    """θ_0 and the inner step sizes, one for each parameter, with which a learner of `TESTING` is tested; each (p,)."""
    model = conv4(ways, CHANNELS)
    if name == FINE_TUNED:
        body = pretrained(seed)
        return torch.cat([body, body.new_zeros(model.size - len(body))]), torch.full(
            (model.size,), TESTING[name].shrink
        )
    parts = meta_trained(name, seed).split(conv4(META_WAYS, CHANNELS).size)
    theta = with_outputs(parts[0], CHANNELS, ways)
    alphas = (
        with_outputs(parts[1], CHANNELS, ways) if name == "Meta-SGD" else torch.full_like(theta, SETTINGS[name].alpha)
    )
    if name == "ANIL":
        alphas[: embedding(model).size] = 0.0
    return theta, TESTING[name].shrink * alphas


def inner_path(theta: Tensor, alphas: Tensor, ways: int, ks: Sequence[int], support: Data) -> list[Predictor]:
    """The predictors after each number of gradient steps in ``ks``, ascending; batch norm has the support set's statistics."""
    model, judge = conv4(ways, CHANNELS), conv4(ways, CHANNELS, reference=support.x)
    thetas = theta.expand(len(support.y), -1)
    found, done = [], 0
    for k in ks:
        thetas, done = inner_loop(model, cross_entropy, thetas, support, alphas, k - done), k
        found.append(partial(judge, thetas))
    return found


# Judging


def drawn(
    data: Data | Alphabets, ways: int, shots: int, generator: torch.Generator, tasks: int, queries: int = QUERIES
) -> list[Task]:
    """Tasks to judge by, `AT_ONCE` in each batch."""
    family: TaskFamily = few_shot_tasks(data, ways, shots, queries)
    return [family(AT_ONCE, generator) for _ in range(tasks // AT_ONCE)]


def mean_accuracies(path: Callable[[Data], Sequence[Predictor]], batches: list[Task]) -> list[float]:
    """Accuracy of each predictor that ``path`` makes of the support sets, a mean over batches of tasks."""
    rows = [
        [hits(predictor(query.x), query.y).mean().item() for predictor in path(support)] for support, query in batches
    ]
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: accuracy over its tasks, and after each number of inner steps where there are any."""
    generator = metautil.begin(seed)
    torch.set_default_dtype(torch.float32)  # in float64 convolutions of many tasks are many times slower
    name, _, setting = case.rpartition(", ")
    ways, shots = (int(part.split("-")[0]) for part in setting.split())
    test = font_alphabets().part("test")
    if name in COMPARING:
        data = Data(features(name, seed)(test.x / 255), test.y)
        (accuracy,) = mean_accuracies(partial(compared, name), drawn(data, ways, shots, generator, TASKS))
        return {"accuracy": (accuracy, "fraction")}
    path = partial(inner_path, *start_and_sizes(name, ways, seed), ways, range(MOST + 1))
    found = mean_accuracies(path, drawn(test, ways, shots, generator, STEPPING_TASKS[ways, shots]))
    after = {f"accuracy after {k} steps": (accuracy, "fraction") for k, accuracy in enumerate(found)}
    return {"accuracy": (found[TESTING[name].steps], "fraction")} | after
