"""How many classes meta-training needs, from how many alphabets, and whether turned letters count as new ones; lesson 10.

Two learners, prototypes and first-order MAML, are meta-trained for as many steps on 5-way 1-shot tasks of a part of the
meta-training classes, and judged on tasks of these classes and on tasks of the meta-test alphabets. Each class has the
same images whatever the part. The part is drawn from all classes, or, for the number of alphabets, `EQUAL` classes in
equal shares from alphabets drawn among those that have enough. A seed draws larger parts as supersets of smaller ones, and
judges all learners on the same held-out tasks.

"Augmented": each class of the part also turned by 90, 180 and 270 degrees, as three more classes (Santoro et al., 2016). The
tasks of either judgement hold upright letters only.
"""

from __future__ import annotations

import torch

import metautil
from benchmarks.few_shot import META_QUERIES
from benchmarks.ways_shots import SETTINGS, drawn, mean_accuracies, network
from metautil.datasets import font_alphabets
from metautil.learners import Learner, meta_fit, prototypes
from metautil.models import embedding
from metautil.risks import cross_entropy
from metautil.tasks import Alphabets, few_shot_tasks, rotations
from metautil.updates import adam

COUNTS = (10, 20, 50, 100, 200, 868)  # the last: all
ALPHABETS = (1, 2, 4, 7)
EQUAL = 84
"""Classes for every number of alphabets: what 1, 2, 4 and 7 divide."""
META_STEPS, META_TASKS = 400, 4
TASKS = 300
PROTOTYPES, FOMAML = "prototypes", "FOMAML"
PARTS = [f"{count} classes{turned}" for count in COUNTS for turned in ("", ", augmented")]
PARTS += [f"{count} alphabet{'s' * (count > 1)}" for count in ALPHABETS]
CASES = dict.fromkeys([f"{name}, {part}" for name in (PROTOTYPES, FOMAML) for part in PARTS], 3)


def some_classes(data: Alphabets, count: int, generator: torch.Generator) -> Alphabets:
    """``count`` classes drawn from all: of two counts and equal generators, the smaller draw is part of the larger."""
    return chosen(data, torch.randperm(len(data.characters), generator=generator)[:count])


def some_alphabets(data: Alphabets, count: int, classes: int, generator: torch.Generator) -> Alphabets:
    """``classes`` classes in equal shares from ``count`` alphabets, drawn among those that have enough of them."""
    share = classes // count
    order = torch.randperm(len(data.characters), generator=generator)
    large = (data.alphabet.bincount() >= share).nonzero().squeeze(1)
    alphabets = large[torch.randperm(len(large), generator=generator)[:count]]
    return chosen(data, torch.cat([order[data.alphabet[order] == alphabet][:share] for alphabet in alphabets]))


def chosen(data: Alphabets, classes: torch.Tensor) -> Alphabets:
    """These classes alone."""
    return data._replace(parts={"chosen": classes}).part("chosen")


def learner_of(name: str) -> tuple[Learner, float]:
    """The learner, and the step size η of its meta-training."""
    if name == PROTOTYPES:
        return prototypes(embedding(network(5))), 0.002
    make, alpha, steps, eta = SETTINGS[name]
    return make(network(5), cross_entropy, alpha, steps), eta


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: accuracy on tasks of the training classes and on tasks of the meta-test alphabets."""
    generator = metautil.begin(seed)
    torch.set_default_dtype(torch.float32)
    name, _, part = case.partition(", ")
    count, *words = part.replace(",", "").split()
    data, own = font_alphabets().part("training"), torch.Generator().manual_seed(seed)
    if words[0] == "classes":
        data = some_classes(data, int(count), own)
    else:
        data = some_alphabets(data, int(count), EQUAL, own)
    learner, eta = learner_of(name)
    family = few_shot_tasks(rotations(data) if "augmented" in words else data, 5, 1, META_QUERIES)
    phi, _ = meta_fit(learner, adam(eta), family, learner.init(own), META_STEPS, META_TASKS, own)
    return {
        metric: (
            mean_accuracies(lambda support: [learner.adapt(phi, support)], drawn(of, 5, 1, generator, TASKS))[0],
            "fraction",
        )
        for metric, of in (("held out", font_alphabets().part("test")), ("training", data))
    }
