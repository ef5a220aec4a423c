"""Few-shot learners on new alphabets, for more and fewer classes, images and inner steps; lesson 10.

A seed draws the networks' starts, their training tasks, and the tasks from the meta-test alphabets that all its learners
are judged on. Each learner is trained once and serves all settings. Those that need no head serve every number of ways:
prototypes, meta-trained on 20-way 1-shot tasks, and two ways to use the network that `benchmarks.few_shot` pretrains on all
training classes at once. Those that adapt a head of five outputs are meta-trained on 5-way 1-shot tasks; their accuracy is
recorded after each number of inner steps up to `MOST`, more than they were trained with.

All meta-training is short: the same `META_STEPS` steps of `META_TASKS` tasks for every learner, where Finn et al. (2017) take
60,000 steps of 32 tasks. Who is ahead here is ahead at that budget; first-order MAML has not left chance by then, and
benchmarks/few_shot.py takes Meta-SGD further. Of α, K and the rule of the meta-step, a few choices were tried on the
meta-validation alphabets for first-order MAML and Reptile; none of first-order MAML's learnt in this time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad

import metautil
from benchmarks.few_shot import ADAPTING, CHANNELS, META_QUERIES, META_RULE, SIDE, pretrained
from metautil.datasets import font_alphabets
from metautil.learners import (
    Learner,
    Predictor,
    anil,
    descended,
    fomaml,
    maml,
    meta_fit,
    meta_sgd,
    nearest_centroid,
    prototypes,
    reptile,
)
from metautil.models import Model, embedding, small_cnn
from metautil.risks import Loss, cross_entropy, empirical_risk
from metautil.tasks import Alphabets, Data, Task, few_shot_tasks
from metautil.updates import UpdateRule, adam, descend

WAYS, SHOTS = (2, 5, 10, 20), (1, 2, 5, 10)
TASKS, QUERIES = 100, 10
AT_ONCE = 20
"""Test tasks taken at once: few, so that their images stay near the processor."""
MOST = 10
"""Inner steps up to which accuracy is recorded."""
META_STEPS, META_TASKS = 500, 3


class Setting(NamedTuple):
    """How a learner that adapts parameters is made and meta-trained: its α, its K, and the rule of the meta-step."""

    make: Callable[[Model, Loss, float, int], Learner]
    alpha: float
    steps: int
    rule: UpdateRule


SETTINGS = {
    "MAML": Setting(maml, 0.1, 3, adam(0.002)),
    "FOMAML": Setting(fomaml, 0.1, 3, adam(0.002)),
    "ANIL": Setting(anil, 0.1, 3, adam(0.002)),
    "Reptile": Setting(reptile, 0.1, 3, adam(0.002)),
    "Meta-SGD": Setting(meta_sgd, 0.1, 3, adam(0.002)),
}
PROTOTYPES, CENTROID, FINE_TUNED = "prototypes", "pretrained and nearest centroid", "pretrained and fine-tuned"
SEED_COUNTS = (
    dict.fromkeys((PROTOTYPES, CENTROID, FINE_TUNED), 3) | dict.fromkeys(SETTINGS, 2) | {"FOMAML": 1, "Reptile": 1}
)
SERVED = dict.fromkeys((PROTOTYPES, CENTROID), WAYS) | dict.fromkeys((FINE_TUNED, *SETTINGS), (5,))
CASES = {
    f"{name}, {ways}-way {shots}-shot": SEED_COUNTS[name]
    for name, served in SERVED.items()
    for ways in served
    for shots in (SHOTS if len(served) > 1 else (1, 5))
}


# Training


def network(ways: int) -> Model:
    """The network of all learners; its embedding is the same for every number of ways."""
    return small_cnn(ways, CHANNELS, SIDE)


@cache
def meta_trained(name: str, ways: int, seed: int) -> Tensor:
    """φ of a learner after meta-training on 1-shot tasks of the meta-training alphabets."""
    own = torch.Generator().manual_seed(seed)
    if name == PROTOTYPES:
        learner, rule = prototypes(embedding(network(ways))), META_RULE
    else:
        make, alpha, steps, rule = SETTINGS[name]
        learner = make(network(ways), cross_entropy, alpha, steps)
    family = few_shot_tasks(font_alphabets().part("training"), ways, 1, META_QUERIES)
    return meta_fit(learner, rule, family, learner.init(own), META_STEPS, META_TASKS, own)[0]


# Adapting


def steps_of(name: str, phi: Tensor) -> tuple[Tensor, float | Tensor]:
    """θ_0 and the inner step sizes of a meta-trained learner of `SETTINGS`."""
    model, alpha = network(5), SETTINGS[name].alpha
    if name == "Meta-SGD":
        return tuple(phi.split(model.size))
    if name == "ANIL":
        head = torch.cat([torch.full(shape, each.startswith("head")).flatten() for each, shape in model.shapes.items()])
        return phi, alpha * head.to(phi)
    return phi, alpha


def inner_path(start: Tensor, alpha: float | Tensor, steps: int) -> Callable[[Data], list[Predictor]]:
    """Support sets → the predictors after 0, 1, ..., ``steps`` gradient steps from ``start``."""
    model = network(5)

    def path(support: Data) -> list[Predictor]:
        thetas = [start.expand(len(support.y), -1)]
        for _ in range(steps):
            thetas.append(descended(model, cross_entropy, thetas[-1], support, alpha, 1))
        return [partial(model, theta) for theta in thetas]

    return path


def fine_tuned_path(theta: Tensor, ways: int) -> Callable[[Data], list[Predictor]]:
    """Support sets → the predictors after 0, 1, ..., `MOST` steps with momentum from a pretrained network's features."""
    model = network(ways)
    body = theta[: embedding(model).size]
    start = torch.cat([body, body.new_zeros(model.size - len(body))])

    def path(support: Data) -> list[Predictor]:
        # The tasks do not meet: the gradient of the sum of their risks holds each task's own.
        slope = grad(lambda thetas: len(support.y) * empirical_risk(model, thetas, support, cross_entropy))
        return [
            partial(model, each) for each in descend(ADAPTING, slope, start.expand(len(support.y), -1), MOST).unbind()
        ]

    return path


# Judging


def drawn(data: Alphabets, ways: int, shots: int, generator: torch.Generator, tasks: int) -> list[Task]:
    """Tasks to judge by, `AT_ONCE` in each batch."""
    family = few_shot_tasks(data, ways, shots, QUERIES)
    return [family(AT_ONCE, generator) for _ in range(tasks // AT_ONCE)]


def share_right(predictor: Predictor, query: Data) -> float:
    """Share of the query images whose largest score is at their class, over all tasks."""
    return (predictor(query.x).argmax(-1) == query.y).double().mean().item()


def mean_accuracies(path: Callable[[Data], Sequence[Predictor]], batches: list[Task]) -> list[float]:
    """Accuracy of each predictor that ``path`` makes of the support sets, a mean over batches of tasks."""
    rows = [[share_right(predictor, query) for predictor in path(support)] for support, query in batches]
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def path_of(name: str, ways: int, seed: int, beyond: bool = True) -> tuple[Callable[[Data], Sequence[Predictor]], int]:
    """The predictors of a learner after 0, 1, ... inner steps, and the number of steps that it is judged by.

    They go on to `MOST` steps, or, if not ``beyond``, end where the learner is judged.

    Learners without inner steps have one predictor.
    """
    if name in (CENTROID, FINE_TUNED):
        theta = pretrained(seed).float()  # trained in 64 bits, as in few_shot.py
        torch.set_default_dtype(torch.float32)
        if name == FINE_TUNED:
            return fine_tuned_path(theta, ways), MOST
        body = embedding(network(ways))
        learner = nearest_centroid(body)
        return lambda support: [learner.adapt(theta[: body.size], support)], 0
    torch.set_default_dtype(torch.float32)
    if name == PROTOTYPES:
        phi, learner = meta_trained(PROTOTYPES, 20, seed), prototypes(embedding(network(ways)))
        return lambda support: [learner.adapt(phi, support)], 0
    judged_by = SETTINGS[name].steps
    return inner_path(*steps_of(name, meta_trained(name, 5, seed)), MOST if beyond else judged_by), judged_by


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: accuracy over its tasks, and after each number of inner steps where there are any."""
    generator = metautil.begin(seed)
    name, _, setting = case.rpartition(", ")
    ways, shots = (int(part.split("-")[0]) for part in setting.split())
    path, judged_by = path_of(name, ways, seed)
    found = mean_accuracies(path, drawn(font_alphabets().part("test"), ways, shots, generator, TASKS))
    after = {f"accuracy after {k} steps": (found[k], "fraction") for k in range(len(found))}
    return {"accuracy": (found[judged_by], "fraction")} | (after if judged_by else {})
