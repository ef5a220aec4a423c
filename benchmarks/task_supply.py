"""How many classes meta-training needs, from how many alphabets, and whether turned letters count as new ones; lesson 10.

Prototypes are meta-trained on 5-way 1-shot tasks of a part of the meta-training classes, always for the same number of
steps from the same start. They are judged on tasks of these classes, drawn from the images of training, and on tasks of the
meta-test alphabets. The part is drawn from all classes; for the number of alphabets it is `EQUAL` classes in equal shares
from alphabets drawn among those that have enough. Of a seed, a smaller number of classes is part of a larger one, and the
held-out tasks are the same for all.

"Augmented": each class of the part also turned by 90, 180 and 270 degrees, as three more classes (Santoro et al., 2016). The
tasks of either judgement hold upright letters only.
"""

from __future__ import annotations

import torch

import metautil
from benchmarks.few_shot import CHANNELS, META_QUERIES, META_RULE, SIDE
from benchmarks.ways_shots import PROTOTYPES, drawn, mean_accuracies
from metautil.datasets import font_alphabets
from metautil.learners import meta_fit, prototypes
from metautil.models import embedding, small_cnn
from metautil.tasks import Alphabets, few_shot_tasks, rotations

COUNTS = (10, 30, 100, 300, 868)  # the last: all
ALPHABETS = (1, 2, 4, 7)
EQUAL = 84
"""Classes for every number of alphabets: what 1, 2, 4 and 7 divide."""
META_STEPS, META_TASKS = 300, 4
TASKS, QUERIES = 100, 10
CLASSES = [f"{count} classes" for count in COUNTS]
PARTS = [
    *CLASSES,
    *(f"{part}, augmented" for part in CLASSES),
    *(f"{count} alphabet{'s' * (count > 1)}" for count in ALPHABETS),
]
CASES = dict.fromkeys([f"{PROTOTYPES}, {part}" for part in PARTS], 3)


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


def part_of(data: Alphabets, part: str, generator: torch.Generator) -> Alphabets:
    """The classes that one of `PARTS` names, upright."""
    count, kind = part.split(",")[0].split()
    if kind == "classes":
        return some_classes(data, int(count), generator)
    return some_alphabets(data, int(count), EQUAL, generator)


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: accuracy on tasks of the training classes and on tasks of the meta-test alphabets."""
    generator = metautil.begin(seed)
    torch.set_default_dtype(torch.float32)
    part = case.removeprefix(f"{PROTOTYPES}, ")
    data = part_of(font_alphabets().part("training"), part, torch.Generator().manual_seed(seed))
    learner = prototypes(embedding(small_cnn(5, CHANNELS, SIDE)))
    family = few_shot_tasks(rotations(data) if part.endswith("augmented") else data, 5, 1, META_QUERIES)
    own = torch.Generator().manual_seed(seed)
    phi, _ = meta_fit(learner, META_RULE, family, learner.init(own), META_STEPS, META_TASKS, own)

    def judged(on: Alphabets) -> tuple[float, str]:
        batches = drawn(on, 5, 1, generator, TASKS, QUERIES)
        return mean_accuracies(lambda support: [learner.adapt(phi, support)], batches)[0], "fraction"

    return {"held out": judged(font_alphabets().part("test")), "training": judged(data)}
