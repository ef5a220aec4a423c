"""Models M: (θ, x) → y, with θ one flat vector and the two halves the course tells apart: meta-features and head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

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
            Parameters, shape (p,).
        x : Tensor
            Inputs, shape (N, ...).

        Returns
        -------
        Tensor
            Outputs, shape (N, C).

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

        Raises
        ------
        ValueError
            If ``theta`` does not have p entries.
        """
        if theta.shape[-1:] != (self.size,):
            raise ValueError(f"θ has shape {tuple(theta.shape)}; this model has p = {self.size} parameters.")
        pieces = theta.split([math.prod(shape) for shape in self.shapes.values()], dim=-1)
        leading = theta.shape[:-1]
        return {
            name: piece.reshape(*leading, *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw θ_0: weights from N(0, 2 / inputs) (He et al., 2015), biases zero. Shape (p,)."""
        pieces = []
        for shape in self.shapes.values():
            if len(shape) == 1:
                pieces.append(torch.zeros(shape))
            else:
                inputs = shape[0] if len(shape) == 2 else math.prod(shape[1:])
                pieces.append(torch.randn(shape, generator=generator) * math.sqrt(2 / inputs))
        return torch.cat([piece.reshape(-1) for piece in pieces])


def mlp(sizes: Sequence[int], activation: Callable[[Tensor], Tensor] = torch.tanh) -> Model:
    """Fully connected network; every layer but the last is followed by ``activation``: h = tanh(xW + b), formula (3.5).

    Parameters
    ----------
    sizes : sequence of int
        Width of each layer from input to output, at least two. (1, 1) is the straight line y = wx + b.
    activation : callable
        Applied entry by entry.

    Raises
    ------
    ValueError
        If fewer than two sizes are given.
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
        return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"].unsqueeze(-2)

    def features(weights: Weights, x: Tensor) -> Tensor:
        for name in names:
            x = activation(layer(weights, name, x))
        return x

    return Model(shapes, features, lambda weights, features: layer(weights, "head", features), (sizes[0],))


def small_cnn(classes: int = 10, channels: Sequence[int] = (8, 16), side: int = 8) -> Model:
    """Convolutional network for small grey images: blocks of 3×3 convolution (6.1), ReLU, 2×2 maximum; then a linear head.

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
        for block in range(1, len(channels) + 1):
            x = F.conv2d(x, weights[f"{block}.weight"], weights[f"{block}.bias"], padding=1)
            x = F.max_pool2d(x, 2).relu()  # maximum first: ReLU commutes with it and then has a quarter of the work
        return x.flatten(1)

    def head(weights: Weights, features: Tensor) -> Tensor:
        return features @ weights["head.weight"] + weights["head.bias"]

    return Model(shapes, features, head, (1, side, side))
