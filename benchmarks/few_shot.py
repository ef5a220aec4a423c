"""Five new characters, one or five images of each: why training from scratch is not enough.

The experiment of lesson 01, repeated over seeds. A seed draws a hundred 5-way tasks from the meta-test alphabets, which no
learner has seen, and the networks' starts; all learners of a seed meet the same tasks. The network from scratch and the
pretrained one take the same steps of the same rule, so that the start is all that differs. The meta-learned ones have the
same network and are trained on 5-way tasks of the meta-training alphabets, with as many shots as they are judged with: a
start with a step size for each parameter (Meta-SGD), and features for prototypes. Rules and numbers of steps were chosen on
the meta-validation alphabets.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.func import grad

import metautil
from metautil.datasets import font_alphabets
from metautil.learners import Learner, meta_fit, meta_sgd, prototypes
from metautil.models import embedding, small_cnn
from metautil.risks import cross_entropy, empirical_risk
from metautil.tasks import Data, Task, few_shot_tasks
from metautil.training import accuracy, minibatches, train_epoch
from metautil.updates import adam, descend, momentum

WAYS, QUERIES = 5, 15
SHOTS = (1, 5)
TASKS = 100
SEEDS = 5  # 3 of the learners that take minutes of meta-training
PIXELS, SCRATCH, PRETRAINED = "nearest neighbour on pixels", "from scratch", "pretrained and fine-tuned"
META_SGD, PROTOTYPES = "Meta-SGD", "prototypes"
LEARNERS = (PIXELS, SCRATCH, PRETRAINED, META_SGD, PROTOTYPES)
SEED_COUNTS = dict.fromkeys((PIXELS, SCRATCH, PRETRAINED), SEEDS) | dict.fromkeys((META_SGD, PROTOTYPES), 3)
CASES = {f"{learner}, {shots} shot": SEED_COUNTS[learner] for shots in SHOTS for learner in LEARNERS}
CHANNELS, SIDE = (8, 16, 32), 28
EPOCHS, BATCH, ETA = 4, 50, 0.05  # of pretraining
STEPS, ADAPTING = 30, momentum(eta=0.01, beta=0.9)
META_STEPS, META_TASKS, META_QUERIES, META_RULE = 1000, 8, 5, adam(0.002)
ALPHA, INNER_STEPS = 0.1, 3


@cache
def pretrained(seed: int, epochs: int = EPOCHS) -> Tensor:
    """Parameters after training on all classes of the meta-training alphabets, the head last."""
    own = torch.Generator().manual_seed(seed)
    alphabets = font_alphabets().part("training")
    data = alphabets.data()
    model, rule = small_cnn(len(alphabets.characters), CHANNELS, SIDE), momentum(ETA, beta=0.9)
    theta = model.init(own)
    state = rule.init(theta)

    def objective(theta: Tensor, batch: Data) -> Tensor:
        return empirical_risk(model, theta, batch, cross_entropy)

    for _ in range(epochs):
        theta, state, _ = train_epoch(objective, theta, rule, state, minibatches(data, BATCH, own))
    return theta


def nearest_neighbour(support: Data, query: Data) -> float:
    """Share of query images whose nearest support image is of their class."""
    nearest = torch.cdist(query.x.flatten(1), support.x.flatten(1)).argmin(1)
    return (support.y[nearest] == query.y).double().mean().item()


def descending(start: Callable[[], Tensor]) -> Callable[[Data, Data], float]:
    """The learner that takes STEPS steps on the support set from ``start()``, judged on the query set."""
    model = small_cnn(WAYS, CHANNELS, SIDE)

    def judged(support: Data, query: Data) -> float:
        slope = grad(lambda theta: empirical_risk(model, theta, support, cross_entropy))
        return accuracy(model, descend(ADAPTING, slope, start(), STEPS)[-1], query)

    return judged


def meta_learned(name: str, shots: int, seed: int) -> Callable[[Data, Data], float]:
    """A learner that meta-training has made on the meta-training alphabets, judged on the query set."""
    own = torch.Generator().manual_seed(seed)
    model = small_cnn(WAYS, CHANNELS, SIDE)
    if name == META_SGD:
        learner: Learner = meta_sgd(model, cross_entropy, ALPHA, INNER_STEPS)
    else:
        learner = prototypes(embedding(model))
    family = few_shot_tasks(font_alphabets().part("training"), WAYS, shots, META_QUERIES)
    phi, _ = meta_fit(learner, META_RULE, family, learner.init(own), META_STEPS, META_TASKS, own)

    def judged(support: Data, query: Data) -> float:
        return (learner.adapt(phi, support)(query.x).argmax(1) == query.y).double().mean().item()

    return judged


def learner_of(name: str, shots: int, seed: int) -> Callable[[Data, Data], float]:
    """(support, query) → accuracy, for one of the learners."""
    if name == PIXELS:
        return nearest_neighbour
    if name in (META_SGD, PROTOTYPES):
        return meta_learned(name, shots, seed)
    model = small_cnn(WAYS, CHANNELS, SIDE)
    own = torch.Generator().manual_seed(seed)
    if name == SCRATCH:
        return descending(lambda: model.init(own))
    head = sum(torch.Size(shape).numel() for name, shape in model.shapes.items() if name.startswith("head"))
    features = pretrained(seed)[: model.size - head]
    return descending(lambda: torch.cat([features, torch.zeros(head)]))


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: the mean accuracy over its tasks."""
    generator = metautil.begin(seed)
    name, _, shots = case.removesuffix(" shot").rpartition(", ")
    family = few_shot_tasks(font_alphabets().part("test"), WAYS, int(shots), QUERIES)
    if name in (META_SGD, PROTOTYPES):
        torch.set_default_dtype(
            torch.float32
        )  # convolutions of many tasks at once are many times quicker; `begin` undoes it
    tasks = family(TASKS, generator)
    learner = learner_of(name, int(shots), seed)
    return {"accuracy": (sum(learner(*each) for each in one_by_one(tasks)) / TASKS, "fraction")}


def one_by_one(tasks: Task) -> list[tuple[Data, Data]]:
    """Support and query set of each task of a batch."""
    (x, y), (query_x, query_y) = tasks
    return [(Data(x[i], y[i]), Data(query_x[i], query_y[i])) for i in range(len(y))]
