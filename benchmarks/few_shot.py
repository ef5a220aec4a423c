"""Five new characters, one or five images of each: why training from scratch is not enough.

The experiment of lesson 01, repeated over seeds. A seed draws a hundred 5-way tasks from the meta-test alphabets, which no
learner has seen, and the networks' starts; all learners of a seed meet the same tasks. The network from scratch and the
pretrained one take the same steps of the same rule, so that the start is all that differs. Rule and number of steps were
chosen on the meta-validation alphabets.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.func import grad

import metautil
from metautil.datasets import font_alphabets
from metautil.models import small_cnn
from metautil.risks import cross_entropy, empirical_risk
from metautil.tasks import Data, Task, few_shot_tasks
from metautil.training import accuracy, minibatches, train_epoch
from metautil.updates import descend, momentum

WAYS, QUERIES = 5, 15
SHOTS = (1, 5)
TASKS = 100
SEEDS = 5
PIXELS, SCRATCH, PRETRAINED = "nearest neighbour on pixels", "from scratch", "pretrained and fine-tuned"
CASES = {f"{learner}, {shots} shot": SEEDS for shots in SHOTS for learner in (PIXELS, SCRATCH, PRETRAINED)}
CHANNELS, SIDE = (8, 16, 32), 28
EPOCHS, BATCH, ETA = 4, 50, 0.05  # of pretraining
STEPS, ADAPTING = 30, momentum(eta=0.01, beta=0.9)


@cache
def pretrained(seed: int) -> Tensor:
    """Parameters after training on all classes of the meta-training alphabets, the head last."""
    own = torch.Generator().manual_seed(seed)
    alphabets = font_alphabets().part("training")
    data = alphabets.data()
    model, rule = small_cnn(len(alphabets.characters), CHANNELS, SIDE), momentum(ETA, beta=0.9)
    theta = model.init(own)
    state = rule.init(theta)

    def objective(theta: Tensor, batch: Data) -> Tensor:
        return empirical_risk(model, theta, batch, cross_entropy)

    for _ in range(EPOCHS):
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


def learner_of(name: str, seed: int) -> Callable[[Data, Data], float]:
    """(support, query) → accuracy, for one of the three learners."""
    if name == PIXELS:
        return nearest_neighbour
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
    tasks = family(TASKS, generator)
    learner = learner_of(name, seed)
    return {"accuracy": (sum(learner(*each) for each in one_by_one(tasks)) / TASKS, "fraction")}


def one_by_one(tasks: Task) -> list[tuple[Data, Data]]:
    """Support and query set of each task of a batch."""
    (x, y), (query_x, query_y) = tasks
    return [(Data(x[i], y[i]), Data(query_x[i], query_y[i])) for i in range(len(y))]
