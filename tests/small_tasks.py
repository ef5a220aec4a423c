"""Small tasks and networks, and what meta-gradients are held to: one task at a time, and differences."""

from __future__ import annotations

import math
from itertools import accumulate

import torch
from torch import Tensor

from metautil.datasets import sinusoids
from metautil.fast import conv4
from metautil.gradients import central_differences
from metautil.learners import Learner
from metautil.models import Model, mlp
from metautil.risks import Loss, cross_entropy, half_squared_error
from metautil.tasks import Data, Task, TaskFamily, few_shot_tasks


def images(generator: torch.Generator, shape: tuple[int, ...], shots: int = 2, queries: int = 3) -> TaskFamily:
    """Three ways, each class a pattern of its own under noise."""
    y = torch.arange(5).repeat_interleave(shots + queries)
    patterns = torch.randn(5, *shape, generator=generator)
    return few_shot_tasks(Data(patterns[y] + torch.randn(len(y), *shape, generator=generator), y), 3, shots, queries)


def settings_of(kind: str, generator: torch.Generator) -> tuple[Model, Loss, TaskFamily]:
    if kind == "regression":
        return mlp((1, 6, 1)), half_squared_error, sinusoids(shots=4, queries=5, x=(-1, 1))
    if kind == "conv4":
        return conv4(3, channels=3, inputs=(1, 16, 16)), cross_entropy, images(generator, (1, 16, 16))
    return mlp((2, 5, 3)), cross_entropy, images(generator, (2,))


def start(learner: Learner | Model, generator: torch.Generator) -> Tensor:
    """Near where the learner starts, but no entry is exactly 0 or 1, nor are two step sizes the same."""
    phi = learner.init(generator)
    return phi + 0.02 * torch.rand(len(phi), generator=generator)


def single(tasks: Task, t: int) -> Task:
    """Task t of a batch, without leading axis."""
    return Task(*(Data(*(part[t] for part in data)) for data in tasks))


def examples(task: Task) -> Data:
    """S and Q of one task as one data set."""
    return Data(*(torch.cat(parts) for parts in zip(*task, strict=True)))


def slope(model, loss: Loss, theta: Tensor, data: Data) -> Tensor:
    """∇L_D(θ)."""
    return torch.func.grad(lambda theta: loss(model(theta, data.x), data.y).mean())(theta)


def walk(model, loss: Loss, theta: Tensor, data: Data, alpha: float | Tensor, steps: int) -> Tensor:
    """θ_K by gradient descent on one task."""
    for _ in range(steps):
        theta = theta - alpha * slope(model, loss, theta, data)
    return theta


def relative(value: Tensor, truth: Tensor) -> float:
    return ((value - truth).norm() / truth.norm()).item()


def directions(model: Model, phi: Tensor, generator: torch.Generator) -> Tensor:
    """One random direction for each weight of φ, for its step sizes if φ holds them, and for the rest, (directions, m)."""
    sizes = [math.prod(shape) for shape in model.shapes.values()]
    ends = [end for end in accumulate(2 * sizes) if end < len(phi)] + [len(phi)]
    block = torch.bucketize(torch.arange(len(phi)), torch.tensor(ends), right=True)
    own = block == torch.arange(len(ends)).unsqueeze(1)
    return own * torch.randn(len(ends), len(phi), generator=generator)


def error_of_slopes(gradient: Tensor, objective, phi: Tensor, along: Tensor, width: float) -> float:
    """Largest error of the slopes that ``gradient`` implies, by differences ``width`` wide along each direction.

    Relative to √(Σ_j u_j² g_j²), the size of a slope u·g whose terms do not happen to cancel.
    """
    slopes = central_differences(lambda steps: objective(phi + steps @ along), torch.zeros(len(along)), width)
    return ((along @ gradient - slopes) / (along * gradient).norm(dim=1)).abs().max().item()
