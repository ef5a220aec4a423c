"""The papers' tables on Omniglot: 5 and 20 ways, 1 and 5 shots, each with and without the help of the other queries.

Data: the split of Vinyals et al. (2016), every turn by 90 degrees a class of its own: 4,112 classes to train on, 688 to
choose settings on, 1,692 to test on. A seed draws the network's start, the training tasks and the 1,000 test tasks.

Each network is judged twice on the same tasks:

- *query-independent*: batch norm has the mean and variance of images that are no queries: of training images for
  prototypes (in place of the running averages of Snell et al., 2017), of the support set for MAML.
- *transductive*: batch norm sees the queries together, for prototypes with the support set, for MAML among
  themselves (as the code of Finn et al., 2017, does).

A training is a number of steps, so that a seed gives the same network however busy the machine is. What it cost is
stored as core-seconds, the processor's time: "60 s" on 2 cores are 120 of them. The tasks of a step are shared out to
the cores. A training that was interrupted goes on from a file in `cache_root()`.

Prototypes are trained with 60 ways, as by Snell et al. MAML is trained with 20 ways and serves 5 with five of its 20
outputs: which class gets which number is drawn anew for each task, so the outputs are alike, and a task
of 20 classes teaches more than four of 5. Its head starts at zero (the "zeroing trick" of Kao et al., 2022): the first
scores then come from the support set alone. The last block's gain starts low for prototypes, whose first scores are
otherwise far apart. Widths, rules, ways, step sizes and bends were chosen on the validation classes.

*Fonts to handwriting* trains on letters of fonts alone, drawn by a pen along their middle lines, and tests on Omniglot
and on the held-out font alphabets.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

import metautil
from metautil import checkpoints
from metautil.datasets import font_alphabets, omniglot
from metautil.datasets.cache import cache_root
from metautil.fast import conv4
from metautil.learners import Learner, maml, meta_step, prototypes
from metautil.models import Model, embedding
from metautil.risks import cross_entropy
from metautil.tasks import Alphabets, Data, Task, TaskFamily, few_shot_tasks, rotations
from metautil.updates import adam

SEEDS = 3
TEST_TASKS, AT_ONCE = 1000, 20  # tasks that a learner is tested on, and how many of them at a time
QUERIES = {5: 15, 20: 5}  # of each class of a test task, by the number of ways
SETTINGS = {f"{ways}-way {shots}-shot": (ways, shots) for ways in (5, 20) for shots in (1, 5)}
REFERENCE = 1000  # training images from which prototypes' batch norm takes its statistics
EVERY = 250  # steps between two checkpoints


class Training(NamedTuple):
    """How φ is made: ``steps`` steps on ``tasks`` tasks each; the step size falls from ``eta`` to 0 like a cosine."""

    learner: str
    ways: int
    queries: int
    tasks: int
    steps: int
    eta: float
    data: str = "Omniglot"
    bend: float = 0.0  # how far training images are bent at random, see `bent`


TRAININGS = {
    "prototypes, 60 s": Training("prototypes", 60, 2, 2, 900, 0.008),
    "prototypes, 5 min": Training("prototypes", 60, 2, 2, 3300, 0.008, bend=0.5),
    "MAML, 5 min": Training("MAML", 20, 2, 2, 5000, 0.008),
    "fonts to handwriting, 60 s": Training("prototypes", 60, 2, 2, 900, 0.008, data="fonts"),
}
CHANNELS = {"prototypes": (16, 32, 64, 128), "MAML": (16, 32, 64, 64)}
GAIN = {"prototypes": 0.2, "MAML": 1.0}  # of the last block, at the start
WARM_UP = 50  # steps in which the step size rises to ``eta``
ADAPTING = (2.0, 1)  # MAML's α and K while training
TESTING = {5: (0.1, 5), 20: (0.25, 3)}  # and while being tested, by the number of ways


def case_of(training: str, setting: str) -> str:
    """Name of a case: "prototypes, 5-way 1-shot, 60 s"."""
    learner, _, budget = training.rpartition(", ")
    return f"{learner}, {setting}, {budget}"


CASES = {case_of(training, setting): SEEDS for training in TRAININGS for setting in SETTINGS}


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: accuracies over its test tasks, and what the training cost."""
    name, setting = next(
        (training, setting) for training in TRAININGS for setting in SETTINGS if case_of(training, setting) == case
    )
    ways, shots = SETTINGS[setting]
    metautil.begin(seed)
    torch.set_default_dtype(torch.float32)  # in float64 grouped convolutions are many times slower
    phi, cost = trained(name, seed)
    if TRAININGS[name].learner == "prototypes":
        alone, together = alone_by_prototypes(name, seed, ways, shots), together_by_prototypes(phi, ways, shots, seed)
    else:
        alone, together = judged(TRAININGS[name].learner, phi, ways, shots, seed)
    fonts = {}
    if TRAININGS[name].data == "fonts":
        fonts["held-out fonts"] = (alone_by_prototypes(name, seed, ways, shots, "fonts").mean().item(), "fraction")
    return fonts | {
        "query-independent": (alone.mean().item(), "fraction"),
        "transductive": (together.mean().item(), "fraction"),
        "transduction": ((together - alone).mean().item(), "fraction"),
        "half-width over tasks": (1.96 * alone.std().item() / math.sqrt(len(alone)), "fraction"),
        "core-seconds": (cost, "s"),
    }


# Data


@cache
def classes(data: str, part: str = "training") -> Alphabets:
    """The classes of Omniglot, or the pen-drawn letters of fonts, every turn a class of its own."""
    return rotations((omniglot() if data == "Omniglot" else font_alphabets(pen=True)).part(part))


def bent(images: Tensor, bend: float, generator: torch.Generator) -> Tensor:
    """Each image (..., 1, h, w) turned, slanted, stretched and moved at random: up to ``bend`` times 0.2 of each."""
    if not bend:
        return images
    flat = images.reshape(-1, *images.shape[-3:])
    turn, slant, *stretch_and_move = bend * 0.2 * (2 * torch.rand(6, len(flat), generator=generator) - 1)
    across, down, right, below = stretch_and_move
    linear = torch.stack(
        [
            torch.stack([turn.cos() * (1 + across), slant - turn.sin(), right], -1),
            torch.stack([turn.sin(), turn.cos() * (1 + down), below], -1),
        ],
        -2,
    )
    grid = F.affine_grid(linear, list(flat.shape), align_corners=False)
    return F.grid_sample(flat, grid, align_corners=False).reshape(images.shape)


# Training


def learner_of(name: str, ways: int, alpha: float = ADAPTING[0], steps: int = ADAPTING[1]) -> Learner:
    """The learner on Conv4. Prototypes have no inner steps."""
    model = conv4(ways, CHANNELS[name])
    return prototypes(embedding(model)) if name == "prototypes" else maml(model, cross_entropy, alpha, steps)


def start(model: Model, generator: torch.Generator, gain: float = 1.0) -> Tensor:
    """θ of a Conv4 before training: as drawn, but for the gain of the last block, and a head of zeros."""
    theta = model.init(generator)
    weights = model.unpack(theta)  # views
    weights["4.gain"].fill_(gain)
    weights["head.weight"].zero_()
    return theta


def shared_out(learner: Learner, pool: ThreadPoolExecutor) -> Learner:
    """The same learner; its meta-gradient takes every task of a batch in a thread of its own."""

    def meta_gradient(phi: Tensor, tasks: Task) -> tuple[Tensor, Tensor]:
        each = [Task(*(Data(*(part[t : t + 1] for part in data)) for data in tasks)) for t in range(len(tasks.query.y))]
        gradients, risks = zip(*pool.map(partial(learner.meta_gradient, phi), each), strict=True)
        return torch.stack(gradients).mean(0), torch.cat(risks)

    return learner._replace(meta_gradient=meta_gradient)


@cache
def trained(name: str, seed: int) -> tuple[Tensor, float]:
    """φ after the training called ``name``, and its core-seconds; begun, or gone on with where it was interrupted."""
    training = TRAININGS[name]
    generator = torch.Generator().manual_seed(seed)
    path = cache_root() / "omniglot runs" / f"{name}, seed {seed}.pt"
    experiment = {"training": repr(training), "seed": seed}
    model = conv4(training.ways, CHANNELS[training.learner])
    phi = start(model, generator, GAIN[training.learner])
    if training.learner == "prototypes":
        phi = phi[: embedding(model).size]
    run = {"step": 0, "phi": phi, "state": adam(1.0).init(phi), "cost": 0.0}
    if path.exists():
        run = checkpoints.load(path, experiment)
        generator.set_state(run["generator"])
    phi, state = run["phi"], run["state"]
    family = few_shot_tasks(classes(training.data), training.ways, 1, training.queries)
    before = time.process_time() - run["cost"]
    with ThreadPoolExecutor(os.cpu_count(), initializer=partial(torch.set_num_threads, 1)) as pool:
        learner = shared_out(learner_of(training.learner, training.ways), pool)
        for step in tqdm(range(run["step"], training.steps), name, leave=False, disable=None):
            support, query = family(training.tasks, generator)
            tasks = Task(*(Data(bent(x, training.bend, generator), y) for x, y in (support, query)))
            phi, state, _ = meta_step(
                learner, adam(step_size(training.eta, step, training.steps, WARM_UP)), phi, state, tasks
            )
            if (step + 1) % EVERY == 0 or step + 1 == training.steps:
                cost = time.process_time() - before
                now = {"step": step + 1, "phi": phi, "state": state, "cost": cost, "generator": generator.get_state()}
                path.parent.mkdir(parents=True, exist_ok=True)
                checkpoints.save(path, now, experiment)
    return phi, time.process_time() - before


def step_size(eta: float, step: int, steps: int, rise: int) -> float:
    """η of a step: up to ``eta`` in ``rise`` steps, then half a cosine down to 0."""
    return eta * min(1.0, (step + 1) / rise) * (1 + math.cos(math.pi * step / steps)) / 2


# Judging: each returns the accuracies on the test tasks, shape (TEST_TASKS,)


def judging(data: Data | Alphabets, ways: int, shots: int, seed: int) -> tuple[TaskFamily, torch.Generator]:
    """The family of test tasks, and a generator that draws the same ones for everything that is judged with this seed."""
    return few_shot_tasks(data, ways, shots, QUERIES[ways]), torch.Generator().manual_seed(1000 + seed)


def hits(scores: Tensor, y: Tensor) -> Tensor:
    """Share of right answers in each task: scores (T, N, C) and labels (T, N) → (T,)."""
    return (scores.argmax(-1) == y).float().mean(-1)


def given_features(width: int) -> Model:
    """The embedding of features that are there already: f(x) = x, without parameters."""
    return Model({}, lambda weights, x: x, lambda weights, features: features, (width,))


ON_FEATURES = prototypes(given_features(CHANNELS["prototypes"][-1]))


@cache
def features(name: str, seed: int, data: str) -> Data:
    """Every test image's features, each by itself: batch norm has the statistics of training images."""
    phi, _ = trained(name, seed)
    seen, test = classes(TRAININGS[name].data).x, classes(data, "test")
    some = torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))[:REFERENCE]
    model = embedding(conv4(5, CHANNELS["prototypes"], reference=seen[some] / 255))
    return Data(torch.cat([model(phi, images / 255) for images in test.x.split(4000)]), test.y)


def alone_by_prototypes(name: str, seed: int, ways: int, shots: int, data: str = "Omniglot") -> Tensor:
    """Query-independent: the tasks are drawn from features."""
    family, generator = judging(features(name, seed, data), ways, shots, seed)
    support, query = family(TEST_TASKS, generator)
    return hits(ON_FEATURES.adapt(torch.zeros(0), support)(query.x), query.y)


def together_by_prototypes(phi: Tensor, ways: int, shots: int, seed: int) -> Tensor:
    """Transductive: the images of a task, support and query, are one batch to batch norm."""
    family, generator = judging(classes("Omniglot", "test"), ways, shots, seed)
    model, found = embedding(conv4(ways, CHANNELS["prototypes"])), []
    for _ in tqdm(range(0, TEST_TASKS, AT_ONCE), "testing", leave=False, disable=None):
        support, query = family(AT_ONCE, generator)
        seen = model(phi.expand(AT_ONCE, -1), torch.cat([support.x, query.x], 1))
        given, asked = seen.split([support.x.shape[1], query.x.shape[1]], 1)
        found.append(hits(ON_FEATURES.adapt(torch.zeros(0), Data(given, support.y))(asked), query.y))
    return torch.cat(found)


def judged(name: str, phi: Tensor, ways: int, shots: int, seed: int) -> tuple[Tensor, Tensor]:
    """MAML, query-independent and transductive, both at the same adapted parameters."""
    family, generator = judging(classes("Omniglot", "test"), ways, shots, seed)
    learner, start, found = learner_of(name, ways, *TESTING[ways]), with_outputs(phi, CHANNELS[name], ways), []
    for _ in tqdm(range(0, TEST_TASKS, AT_ONCE), "testing", leave=False, disable=None):
        support, query = family(AT_ONCE, generator)
        adapted = learner.adapt(start, support)
        alone = partial(conv4(ways, CHANNELS[name], reference=support.x), *adapted.args)
        found.append(torch.stack([hits(predictor(query.x), query.y) for predictor in (alone, adapted)]))
    return tuple(torch.cat(found, 1))


def with_outputs(theta: Tensor, channels: Sequence[int], ways: int) -> Tensor:
    """θ of a Conv4, or a step size for each of its entries, with the first ``ways`` outputs of its head alone."""
    one = conv4(1, channels)
    body = embedding(one).size
    weights = conv4((len(theta) - body) // (one.size - body), channels).unpack(theta)
    return torch.cat(
        [(weight[..., :ways] if key.startswith("head") else weight).reshape(-1) for key, weight in weights.items()]
    )
