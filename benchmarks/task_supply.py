"""How many classes meta-training needs, from how many alphabets, and whether turned letters count as new ones; lesson 13.

Prototypes on a narrow Conv4 are meta-trained on 5-way 1-shot tasks of a part of the meta-training classes, always on the
same number of tasks from the same start, by the rule of benchmarks/ways_shots.py. They are judged on tasks of these
classes, drawn from the images of training, and on tasks of the meta-test alphabets, every query by itself: batch norm has
the mean and variance of images that they were trained on. The part is drawn from all classes; for the number of alphabets
it is `EQUAL` classes in equal shares from alphabets drawn among those that have enough. Of a seed, a smaller number of
classes is part of a larger one, and the held-out tasks are the same for all.

"Augmented": each class of the part also turned by 90, 180 and 270 degrees, as three more classes (Santoro et al., 2016). The
tasks of either judgement hold upright letters only.

"Twice the tasks" is there to tell what the number of classes limits from what the length of training does.

Widths, step size and number of queries were chosen with all classes on the meta-validation alphabets, of few choices; a run
takes half a minute of one core.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

import metautil
from benchmarks.omniglot import GAIN, REFERENCE, given_features, start
from benchmarks.ways_shots import PROTOTYPES, drawn, mean_accuracies, meta_descended
from metautil.datasets import font_alphabets
from metautil.fast import conv4
from metautil.learners import prototypes
from metautil.models import embedding
from metautil.tasks import Alphabets, Data, few_shot_tasks, rotations

COUNTS = (10, 30, 100, 300, 868)  # the last: all
ALPHABETS = (1, 2, 4, 7)
EQUAL = 84
"""Classes for every number of alphabets: what 1, 2, 4 and 7 divide."""
CHANNELS = (16, 16, 32, 32)
META_QUERIES, META_TASKS, META_STEPS, ETA = 2, 8, 800, 0.02
TASKS, QUERIES = 1000, 10
ON_FEATURES = prototypes(given_features(CHANNELS[-1]))
AUGMENTED, TWICE = "augmented", "twice the tasks"
CLASSES = [f"{count} classes" for count in COUNTS]
PARTS = [
    *CLASSES,
    *(f"{part}, {AUGMENTED}" for part in CLASSES),
    *(f"{count} alphabet{'s' * (count > 1)}" for count in ALPHABETS),
    *(f"{count} classes, {TWICE}" for count in (100, 868)),
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
    count, unit = part.split(",")[0].split()
    if unit == "classes":
        return some_classes(data, int(count), generator)
    return some_alphabets(data, int(count), EQUAL, generator)


def trained(data: Alphabets, steps: int, seed: int) -> Tensor:
    """The embedding's parameters after meta-training on tasks of these classes."""
    own = torch.Generator().manual_seed(seed)
    model = conv4(5, CHANNELS)
    body = embedding(model)
    phi = start(model, own, GAIN[PROTOTYPES])[: body.size]
    family = few_shot_tasks(data, 5, 1, META_QUERIES)
    return meta_descended(prototypes(body), ETA, family, phi, steps, META_TASKS, own)


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: accuracy on tasks of the training classes and on tasks of the meta-test alphabets."""
    generator = metautil.begin(seed)
    torch.set_default_dtype(torch.float32)
    part, _, kind = case.removeprefix(f"{PROTOTYPES}, ").partition(", ")
    upright = part_of(font_alphabets().part("training"), part, torch.Generator().manual_seed(seed))
    seen = rotations(upright) if kind == AUGMENTED else upright
    phi = trained(seen, META_STEPS * (2 if kind == TWICE else 1), seed)
    some = torch.randperm(len(seen.y), generator=torch.Generator().manual_seed(seed))[:REFERENCE]
    features = partial(embedding(conv4(5, CHANNELS, reference=seen.x[some] / 255)), phi)

    def judged(on: Alphabets) -> tuple[float, str]:
        data = Data(torch.cat([features(images / 255) for images in on.x.split(4000)]), on.y)
        batches = drawn(data, 5, 1, generator, TASKS, QUERIES)
        return mean_accuracies(lambda support: [ON_FEATURES.adapt(torch.zeros(0), support)], batches)[0], "fraction"

    return {"held out": judged(font_alphabets().part("test")), "training": judged(upright)}
