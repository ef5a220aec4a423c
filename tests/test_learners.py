"""Meta-learners: their meta-gradients against differences and against each learner's own formula, one task at a time."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
import torch
from torch import Tensor

from metautil import learners
from metautil.datasets import sinusoids
from metautil.gradients import central_differences
from metautil.learners import Learner, adapted_risks
from metautil.models import Model, conv4, embedding, mlp
from metautil.risks import Loss, cross_entropy, half_squared_error
from metautil.tasks import Data, Task, TaskFamily, few_shot_tasks


@pytest.fixture
def generator():
    torch.set_default_dtype(torch.float64)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch.Generator().manual_seed(0)
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


def images(generator: torch.Generator, shape: tuple[int, ...], shots: int = 2, queries: int = 3) -> TaskFamily:
    """Three ways, each class a pattern of its own under noise."""
    y = torch.arange(5).repeat_interleave(shots + queries)
    patterns = torch.randn(5, *shape, generator=generator)
    return few_shot_tasks(Data(patterns[y] + torch.randn(len(y), *shape, generator=generator), y), 3, shots, queries)


def start(learner: Learner, generator: torch.Generator) -> Tensor:
    """Near where the learner starts, but no entry is exactly 0 or 1, nor are two step sizes the same."""
    phi = learner.init(generator)
    return phi + 0.02 * torch.rand(len(phi), generator=generator)


# K = 1..5 inner steps for those that descend; iMAML descends to the minimum, which its gradient is about.
DESCENDING = {
    "fine-tuning": learners.fine_tuning,
    "MAML": learners.maml,
    "FOMAML": learners.fomaml,
    "ANIL": learners.anil,
    "Reptile": learners.reptile,
    "Meta-SGD": learners.meta_sgd,
    "Proto-MAML": learners.proto_maml,
}
OTHERS = {
    "joint": learners.joint,
    "iMAML": lambda model, loss: learners.imaml(model, loss, 0.1, 200, lam=4.0, iterations=40),
    "prototypes": lambda model, loss: learners.prototypes(embedding(model)),
    "nearest centroid": lambda model, loss: learners.nearest_centroid(embedding(model)),
    "linear probe": lambda model, loss: learners.linear_probe(embedding(model), loss, 0.3),
}
EVERY = {
    name: lambda model, loss, make=make: make(model, loss, 0.1, 2) for name, make in DESCENDING.items()
} | OTHERS
CLASSES_ONLY = ("prototypes", "nearest centroid", "Proto-MAML")
SECOND_ORDER = ("MAML", "ANIL", "Meta-SGD", "Proto-MAML")
"""Those whose meta-gradient is that of the mean query risk, through K steps."""


def after_adapting(learner: Learner, tasks: Task, loss: Loss):
    """φ → mean query risk after adapting."""
    return lambda phi: adapted_risks(learner, phi, tasks, loss).mean()


def pooled(model: Model, tasks: Task, loss: Loss):
    """θ → mean risk over all examples of all tasks."""
    x, y = (torch.cat([part.flatten(0, 1) for part in parts]) for parts in zip(*tasks, strict=True))
    return lambda theta: loss(model(theta, x), y).mean()


def relative(value: Tensor, truth: Tensor) -> float:
    return ((value - truth).norm() / truth.norm()).item()


def directions(model: Model, phi: Tensor, generator: torch.Generator) -> Tensor:
    """One random direction for each weight of φ, and for its step sizes if φ holds them, shape (directions, m)."""
    sizes = [math.prod(shape) for shape in model.shapes.values()]
    ends = [end for end in accumulate(2 * sizes) if end <= len(phi)]
    block = torch.bucketize(torch.arange(len(phi)), torch.tensor(ends), right=True)
    own = block == torch.arange(len(ends)).unsqueeze(1)
    return own * torch.randn(len(ends), len(phi), generator=generator)


def error_of_slopes(gradient: Tensor, objective, phi: Tensor, along: Tensor, width: float) -> float:
    """Largest relative error of the slopes that ``gradient`` implies, by differences ``width`` wide along each direction."""
    slopes = central_differences(lambda steps: objective(phi + steps @ along), torch.zeros(len(along)), width)
    return ((along @ gradient - slopes) / slopes).abs().max().item()


def settings_of(kind: str, generator: torch.Generator) -> tuple[Model, Loss, TaskFamily]:
    if kind == "regression":
        return mlp((1, 6, 1)), half_squared_error, sinusoids(shots=4, queries=5, x=(-1, 1))
    if kind == "conv4":
        return conv4(3, channels=3, inputs=(1, 16, 16)), cross_entropy, images(generator, (1, 16, 16))
    return mlp((2, 5, 3)), cross_entropy, images(generator, (2,))


def build(name: str, steps: int | None, model: Model, loss: Loss) -> Learner:
    return OTHERS[name](model, loss) if steps is None else DESCENDING[name](model, loss, 0.1, steps)


MANY = [(name, steps) for name in SECOND_ORDER for steps in (1, 2, 5)]
CASES = [*MANY, *((name, None) for name in OTHERS), ("fine-tuning", 3)]


@pytest.mark.parametrize(("name", "steps"), CASES)
@pytest.mark.parametrize(("kind", "width"), [("classes", 1e-5), ("regression", 1e-5), ("conv4", 1e-6)])
def test_meta_gradient_equals_central_differences(name, steps, kind, width, generator):
    """The narrower difference on conv4 crosses no kink of its ReLUs and maxima."""
    if kind == "regression" and name in CLASSES_ONLY:
        pytest.skip("defined for classes only")
    model, loss, family = settings_of(kind, generator)
    tasks = family(2, generator)
    learner = build(name, steps, model, loss)
    phi = start(learner, generator)
    gradient, _ = learner.meta_gradient(phi, tasks)
    plain = name in ("joint", "fine-tuning")
    objective = pooled(model, tasks, loss) if plain else after_adapting(learner, tasks, loss)
    e = error_of_slopes(gradient, objective, phi, directions(model, phi, generator), width)
    print("ERR", name, steps, kind, e)
    assert e < 1e-6
