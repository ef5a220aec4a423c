"""What few-shot learners make of a support set with wrong labels or by an unusual writer; lesson 13.

5-way 5-shot tasks of the meta-test alphabets, the same for all learners and all disturbances of a seed; the query sets are
never disturbed. All learned learners are those of `benchmarks.ways_shots`, which are trained on clean tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import affine

import metautil
from benchmarks.few_shot import PIXELS
from benchmarks.ways_shots import (
    FINE_TUNED,
    PROTOTYPES,
    SEEDS,
    TESTING,
    compared,
    drawn,
    features,
    inner_path,
    mean_accuracies,
    start_and_sizes,
)
from metautil.datasets import font_alphabets
from metautil.learners import Predictor
from metautil.tasks import Data, Task

WAYS, SHOTS, TASKS, QUERIES = 5, 5, 40, 10
LEARNERS = (PROTOTYPES, "MAML", FINE_TUNED, PIXELS)
WRONG, STRENGTHS = (0, 1, 2), (1, 2, 3)
TURN, SLANT = 10.0, 10.0
"""Degrees, for each unit of strength, by which a shifted writer turns and slants letters."""
DISTURBANCES = [f"{count} of {SHOTS} labels wrong" for count in WRONG]
DISTURBANCES += [f"writer shifted by {strength}" for strength in STRENGTHS]
CASES = dict.fromkeys([f"{name}, {how}" for name in LEARNERS for how in DISTURBANCES], SEEDS)


def mislabelled(task: Task, ways: int, count: int, generator: torch.Generator) -> Task:
    """Wrong labels for the first ``count`` support images of each class, as many of one class as of another.

    The j-th image of class c gets the label c + d_j modulo N, with d_j drawn from 1..N−1 for each task: every class loses
    ``count`` images, and finds as many of other classes under its label. The number of images a label stays K.

    Parameters
    ----------
    task : Task
        T tasks, the support sets' classes one after another, K images each, as `few_shot_tasks` draws them.
    ways : int
        N.
    count : int
        From 0 to K.
    generator : torch.Generator
        Draws the d_j.
    """
    labels = task.support.y.unflatten(-1, (ways, -1)).clone()
    offsets = torch.randint(1, ways, (len(labels), 1, count), generator=generator)
    labels[..., :count] = (labels[..., :count] + offsets) % ways
    return task._replace(support=task.support._replace(y=labels.flatten(-2)))


def shifted(task: Task, strength: float) -> Task:
    """Support images as one unusual writer would draw them: turned, slanted and with a thicker stroke; the query as it was.

    Parameters
    ----------
    task : Task
        T tasks with images (T, N, 1, h, w) in [0, 1].
    strength : float
        From 0, nothing, to 3: the angles are `TURN` and `SLANT` times it; a share of a third of it is taken from the
        image whose every pixel is the darkest of its 3×3 neighbourhood.
    """
    x = task.support.x.flatten(0, 1)
    x = affine(x, TURN * strength, [0.0, 0.0], 1.0, [SLANT * strength, 0.0], interpolation=2)
    x = torch.lerp(x, F.max_pool2d(x, 3, stride=1, padding=1), strength / 3)
    return task._replace(support=task.support._replace(x=x.unflatten(0, task.support.x.shape[:2])))


def nearest(support: Data) -> Sequence[Predictor]:
    """The predictor that gives each image the class of its nearest support image."""
    return [lambda x: F.one_hot(support.y.gather(1, torch.cdist(x.flatten(2), support.x.flatten(2)).argmin(-1)), WAYS)]


def path_of(name: str, seed: int) -> Callable[[Data], Sequence[Predictor]]:
    """Support sets → the predictor of a learner, as the one entry of a list."""
    if name == PIXELS:
        return nearest
    if name == PROTOTYPES:
        return partial(seeing, features(PROTOTYPES, seed))
    return partial(inner_path, *start_and_sizes(name, WAYS, seed), WAYS, (TESTING[name].steps,))


def seeing(look: Callable[[Tensor], Tensor], support: Data) -> Sequence[Predictor]:
    """Prototypes of the features that ``look`` gives images (N, 1, h, w), of support sets of images (T, N, 1, h, w)."""

    def seen(x: Tensor) -> Tensor:
        return look(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    (predictor,) = compared(PROTOTYPES, support._replace(x=seen(support.x)))
    return [lambda x: predictor(seen(x))]


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: the mean accuracy over its tasks."""
    generator = metautil.begin(seed)
    torch.set_default_dtype(torch.float32)
    name, _, disturbance = case.rpartition(", ")
    batches = drawn(font_alphabets().part("test"), WAYS, SHOTS, generator, TASKS, QUERIES)
    if disturbance.startswith("writer"):
        batches = [shifted(task, float(disturbance.rpartition(" ")[2])) for task in batches]
    else:
        batches = [mislabelled(task, WAYS, int(disturbance.split()[0]), generator) for task in batches]
    return {"accuracy": (mean_accuracies(path_of(name, seed), batches)[0], "fraction")}
