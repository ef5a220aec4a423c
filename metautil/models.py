"""Models M: (θ, x) → y, with θ one flat vector and the two halves the course tells apart: meta-features and head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5  # of batch norm, beside the variance
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Model:
    """A model M_θ = head ∘ features, formula (1.1).

    Attributes
    ----------
    shapes : dict of str to tuple of int
        Name and shape of each weight, in the order in which θ holds them. Names that begin with ``head`` belong to
        the head. The last axis of a weight matrix counts outputs, all others count inputs; a convolution's kernel is
        (outputs, inputs, height, width).
    features : callable
        (weights, x) → meta-features, shape (N, F).
    head : callable
        (weights, meta-features) → y, shape (N, C).
    inputs : tuple of int, optional
        Shape of one input. The model takes any shape if it is not given.
    """

    shapes: dict[str, tuple[int, ...]]
    features: Callable[[Weights, Tensor], Tensor]
    head: Callable[[Weights, Tensor], Tensor]
    inputs: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Number of parameters p."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def __call__(self, theta: Tensor, x: Tensor) -> Tensor:
        """y = M_θ(x).

        Parameters
        ----------
        theta : Tensor
            Parameters, shape (p,); or Θ (T, p), one row for each of T tasks.
        x : Tensor
            Inputs, shape (N, ...); or (T, N, ...).

        Returns
        -------
        Tensor
            Outputs, shape (N, C); or (T, N, C).

        Raises
        ------
        ValueError
            If ``theta`` does not have p entries, or ``x`` is no batch of inputs of the model's shape.
        """
        if self.inputs is not None:
            self._check(x.shape)
        weights = self.unpack(theta)
        return self.head(weights, self.features(weights, x))

    def _check(self, shape: torch.Size) -> None:
        expected = len(self.inputs)
        if len(shape) <= expected or shape[-expected:] != self.inputs:
            wanted = ", ".join(map(str, ("N", *self.inputs)))
            missing = shape[1:] == self.inputs[1:]  # a batch of images (N, h, w)
            hint = " Add the axis of the channels, x.unsqueeze(1)." if expected > 1 and missing else ""
            raise ValueError(f"x has shape {tuple(shape)}; this model takes ({wanted}).{hint}")

    def unpack(self, theta: Tensor) -> Weights:
        """Cut θ (..., p) into named weights; leading axes stay in front. They are views: a gradient through them arrives in θ.

        Raises ValueError if θ does not have p entries.
        """
        if theta.shape[-1:] != (self.size,):
            raise ValueError(f"θ has shape {tuple(theta.shape)}; this model has p = {self.size} parameters.")
        pieces = theta.split([math.prod(shape) for shape in self.shapes.values()], dim=-1)
        leading = theta.shape[:-1]
        return {
            # A bias is its piece: a view would be one more operation for autograd to record.
            name: piece if len(shape) == 1 else piece.view(*leading, *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw θ_0: weights from N(0, 2 / inputs) (He et al., 2015), biases zero, gains one. Shape (p,)."""
        pieces = [torch.zeros(0)]  # a model without parameters has a θ too, shape (0,)
        for name, shape in self.shapes.items():
            if len(shape) == 1:
                pieces.append(torch.ones(shape) if name.endswith("gain") else torch.zeros(shape))
            else:
                inputs = shape[0] if len(shape) == 2 else math.prod(shape[1:])
                pieces.append(torch.randn(shape, generator=generator) * math.sqrt(2 / inputs))
        return torch.cat([piece.reshape(-1) for piece in pieces])


def mlp(sizes: Sequence[int], activation: Callable[[Tensor], Tensor] = torch.tanh) -> Model:
    """Fully connected network; every layer but the last is followed by ``activation``: h = tanh(xW + b), formula (3.5).

    Parameters
    ----------
    sizes : sequence of int
        Width of each layer from input to output, at least two, else a ValueError. (1, 1) is the straight line y = wx + b.
    activation : callable
        Applied entry by entry.
    """
    if len(sizes) < 2:
        raise ValueError(
            f"sizes = {tuple(sizes)}; at least an input and an output width are needed, such as (1, 40, 1)."
        )
    names = [str(layer) for layer in range(1, len(sizes) - 1)]
    shapes: dict[str, tuple[int, ...]] = {}
    for name, inputs, outputs in zip([*names, "head"], sizes[:-1], sizes[1:], strict=True):
        shapes[f"{name}.weight"] = (inputs, outputs)
        shapes[f"{name}.bias"] = (outputs,)

    def layer(weights: Weights, name: str, x: Tensor) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"].unsqueeze(-2)
        if weight.ndim == x.ndim == 3:  # a batch of tasks: the same in one operation, for autograd too
            return torch.baddbmm(bias, x, weight)
        return x @ weight + bias

    def features(weights: Weights, x: Tensor) -> Tensor:
        for name in names:
            x = activation(layer(weights, name, x))
        return x

    return Model(shapes, features, lambda weights, features: layer(weights, "head", features), (sizes[0],))


def small_cnn(classes: int = 10, channels: Sequence[int] = (8, 16), side: int = 8) -> Model:
    """Convolutional network for small grey images: blocks of 3×3 convolution (7.1), ReLU, 2×2 maximum; then a linear head.

    Parameters
    ----------
    classes : int
        Number of outputs C.
    channels : sequence of int
        Output channels of each block.
    side : int
        Height and width of the input images, shape (N, 1, side, side); each block halves it.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for block, (inputs, outputs) in enumerate(zip((1, *channels[:-1]), channels, strict=True), start=1):
        shapes[f"{block}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"{block}.bias"] = (outputs,)
    width = channels[-1] * (side // 2 ** len(channels)) ** 2
    shapes["head.weight"] = (width, classes)
    shapes["head.bias"] = (classes,)

    def features(weights: Weights, x: Tensor) -> Tensor:
        tasks = weights["1.weight"].shape[:-4]
        x = _tasks_to_groups(x, tasks)
        for block in range(1, len(channels) + 1):
            kernel, bias = weights[f"{block}.weight"], weights[f"{block}.bias"]
            x = F.conv2d(x, groups(kernel), bias.reshape(-1), padding=1, groups=math.prod(tasks))
            x = F.max_pool2d(x, 2).relu()  # maximum first: ReLU commutes with it and then has a quarter of the work
        return groups_to_tasks(x, tasks)

    return Model(shapes, features, _linear_head, (1, side, side))


def conv4(
    classes: int = 5,
    channels: int | Sequence[int] = 32,
    inputs: tuple[int, int, int] = (1, 28, 28),
    reference: Tensor | None = None,
) -> Model:
    """The network of few-shot papers: four blocks of 3×3 convolution, batch norm, 2×2 maximum, ReLU; then a linear head.

    Batch norm (13.5) (Ioffe and Szegedy, 2015) uses the mean and variance of the examples it is given and no others: of a
    task's support set while adapting, of its query set while being judged. The prediction for one query image then depends
    on the other query images (the "transductive" setting of Finn et al., 2017). With a ``reference`` it uses the mean and
    variance of those images instead, and every image is predicted by itself. `metautil.fast.conv4` is the same mapping,
    computed two to four times as fast.

    Parameters
    ----------
    classes : int
        Number of outputs C.
    channels : int or sequence of int
        Output channels of each block, one number for all four or one for each: 64 in most papers, 32 in MAML's code for
        small images.
    inputs : (int, int, int)
        Channels, height and width of the images; each block halves height and width, rounding down.
    reference : Tensor, optional
        Images, shape (N, ...), or (T, N, ...) for each of T tasks, such as the support set that θ was adapted to.

    Raises
    ------
    ValueError
        If ``channels`` are not one number or four.
    """
    widths = (channels,) * 4 if isinstance(channels, int) else tuple(channels)
    if len(widths) != 4:
        raise ValueError(f"channels = {widths}; give one number for all four blocks, or four numbers.")
    shapes: dict[str, tuple[int, ...]] = {}
    for block, (before, after) in enumerate(zip((inputs[0], *widths), widths, strict=False), start=1):
        shapes[f"{block}.weight"] = (after, before, 3, 3)
        shapes[f"{block}.gain"] = (after,)
        shapes[f"{block}.bias"] = (after,)
    shapes["head.weight"] = (widths[-1] * (inputs[1] // 16) * (inputs[2] // 16), classes)
    shapes["head.bias"] = (classes,)

    def features(weights: Weights, x: Tensor) -> Tensor:
        given = x if reference is None else reference.to(x).expand(*x.shape[:-4], *reference.shape[-4:])
        if weights["1.bias"].ndim == 1:
            return blocks(weights, given, x)
        tasks = [{name: weight[t] for name, weight in weights.items()} for t in range(len(x))]
        return torch.stack([blocks(*task) for task in zip(tasks, given, x, strict=True)])

    def blocks(weights: Weights, given: Tensor, x: Tensor) -> Tensor:
        """Features of the images x of one task, normalised with mean and variance of the images ``given``."""
        for block in range(1, 5):
            kernel, gain, bias = (weights[f"{block}.{name}"] for name in ("weight", "gain", "bias"))
            gain, bias = gain.reshape(-1, 1, 1), bias.reshape(-1, 1, 1)
            given, x = (F.conv2d(images, kernel, padding=1) for images in (given, x))
            mean = given.mean((0, 2, 3), keepdim=True)
            deviation = ((given - mean).square().mean((0, 2, 3), keepdim=True) + EPSILON).sqrt()
            given, x = (F.max_pool2d(gain * (u - mean) / deviation + bias, 2).relu() for u in (given, x))
        return x.flatten(1)

    return Model(shapes, features, _linear_head, inputs)


def _tasks_to_groups(x: Tensor, tasks: tuple[int, ...]) -> Tensor:
    """Images (T, N, c, h, w) of T tasks → (N, T·c, h, w), the channels last in memory. Without tasks x stays as it is."""
    if not tasks:
        return x
    return channels_last(x.transpose(0, 1).flatten(1, 2))


def channels_last(x: Tensor) -> Tensor:
    """The same x (N, C, h, w), laid out in memory as (N, h, w, C), by operations that torch.func.vmap has rules for."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def groups_to_tasks(x: Tensor, tasks: tuple[int, ...]) -> Tensor:
    """(N, T·c, h, w) → the features (T, N, c·h·w) of T tasks; without tasks (N, c·h·w)."""
    if not tasks:
        return x.flatten(1)
    return x.reshape(len(x), *tasks, -1).transpose(0, 1)


def groups(kernel: Tensor) -> Tensor:
    """A kernel (T, outputs, inputs, h, w) for each of T tasks → one kernel, task after task along its first axis."""
    return kernel.reshape(-1, *kernel.shape[-3:])


def _linear_head(weights: Weights, features: Tensor) -> Tensor:
    return features @ weights["head.weight"] + weights["head.bias"].unsqueeze(-2)


def embedding(model: Model) -> Model:
    """The model without its head: its outputs are the meta-features, its parameters all but the head's."""
    shapes = {name: shape for name, shape in model.shapes.items() if not name.startswith("head")}
    return Model(shapes, model.features, lambda weights, features: features, model.inputs)


def halved(model: Model) -> Model:
    """The same model for images of twice the side: each square of 2×2 pixels is averaged before the model reads it.

    Raises ValueError if the model does not take images.
    """
    if model.inputs is None or len(model.inputs) != 3:
        raise ValueError(f"inputs = {model.inputs}; only a model of images, (channels, height, width), can be halved.")
    channels, height, width = model.inputs

    def features(weights: Weights, x: Tensor) -> Tensor:
        return model.features(weights, x.unflatten(-1, (width, 2)).unflatten(-3, (height, 2)).mean((-3, -1)))

    return Model(model.shapes, features, model.head, (channels, 2 * height, 2 * width))
