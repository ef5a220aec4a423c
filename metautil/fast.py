"""The network `metautil.models.conv4` again, value for value and gradient for gradient, two to four times as fast.

Few images a task (a support set) go through one convolution with the tasks as groups of channels; many (a query set) go
task by task, as long as their numbers are in the processor's cache. Batch norm is written in elementary operations wherever
its gradient may be differentiated again, because the second derivative of PyTorch's fused one is wrong in some compositions
of transforms (tests/test_conv4.py shows one). Where a gain is 0 the maximum before it has a kink, and the two networks may
take different slopes of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metautil import models
from metautil.models import EPSILON, Model, Weights, channels_last, groups, groups_to_tasks

AT_ONCE = 30  # images of a task up to which tasks are worth stacking
BLOCK = 15  # images whose widest layer fits the processor's cache


def conv4(
    classes: int = 5,
    channels: int | Sequence[int] = 32,
    inputs: tuple[int, int, int] = (1, 28, 28),
    reference: Tensor | None = None,
) -> Model:
    """The network of few-shot papers, formula (13.5) in each block; arguments and errors as for `metautil.models.conv4`."""

    def features(weights: Weights, x: Tensor) -> Tensor:
        if reference is None:
            return normalised(weights, x, x.shape[-4])
        given = reference.to(x).expand(*x.shape[:-4], *reference.shape[-4:])
        count = given.shape[-4]
        return normalised(weights, torch.cat([given, x], -4), count)[..., count:, :]

    def normalised(weights: Weights, x: Tensor, count: int) -> Tensor:
        """Features of all images x, with the statistics of the first ``count``."""
        tasks = weights["1.weight"].shape[:-4]
        if math.prod(tasks) > 1 and x.shape[-4] > AT_ONCE:
            each = [{name: weight.select(0, t) for name, weight in weights.items()} for t in range(tasks[0])]
            return torch.stack([normalised(own, images, count) for own, images in zip(each, x, strict=True)])
        kernel, gain, bias = (weights[f"1.{name}"] for name in ("weight", "gain", "bias"))
        x, mean, variance = _first_convolution(_signed(kernel, gain), x, tasks, count)
        inverse = (variance + EPSILON).rsqrt()
        x = _scaled(x, inverse, -mean * inverse, gain, bias)
        for block in range(2, 5):
            kernel, gain, bias = (weights[f"{block}.{name}"] for name in ("weight", "gain", "bias"))
            kernel = channels_last(groups(_signed(kernel, gain)))
            x = F.conv2d(x, kernel, padding=1, groups=math.prod(tasks))
            if len(x) == count > AT_ONCE:
                x, inverse, shift = _Standardised.apply(x)[0], 1.0, 0.0
            else:
                mean, variance = _moments(x[:count])
                inverse = (variance + EPSILON).rsqrt()
                shift = -mean * inverse
            x = _scaled(F.max_pool2d(x, 2), inverse, shift, gain, bias)
        return groups_to_tasks(x, tasks)

    return replace(models.conv4(classes, channels, inputs, reference), features=features)


def _first_convolution(kernel: Tensor, x: Tensor, tasks: tuple[int, ...], given: int) -> tuple[Tensor, Tensor, Tensor]:
    """2×2 maximum of the first convolution, and its mean and variance on the first ``given`` images; tasks as groups.

    Its input is data: the patches under the kernel do not depend on θ. With their mean m and covariance Σ, the output has
    mean mᵀk and variance kᵀΣk in each channel. The widest layer is therefore never read again for its statistics, and
    is made a few images at a time.
    """
    outputs, (count, _, height, width) = kernel.shape[-4], x.shape[-4:]
    kernel = kernel.flatten(-3).reshape(math.prod(tasks), outputs, -1).mT
    patches = F.unfold(x.reshape(-1, *x.shape[-3:]), 3, padding=1).reshape(len(kernel), count, kernel.shape[1], -1)
    middle = patches[:, :given].mean((1, 3)).unsqueeze(1)
    centred = patches[:, :given] - middle.unsqueeze(-1)
    covariance = (centred @ centred.mT).mean(1) / (height * width)
    mean = middle @ kernel
    variance = (kernel * (covariance @ kernel)).sum(1)
    pooled = []
    for part in patches.split(BLOCK, 1):
        out = (part.mT @ kernel.unsqueeze(1)).reshape(-1, height, width, outputs).permute(0, 3, 1, 2)
        out = F.max_pool2d(out, 2).permute(0, 2, 3, 1)
        pooled.append(out.reshape(len(kernel), -1, *out.shape[1:]))
    # (T, N, h, w, C), as the maximum left it in memory, to (N, T·C, h, w) with the channels last: a view for T = 1
    x = torch.cat(pooled, 1).permute(1, 2, 3, 0, 4).flatten(-2).permute(0, 3, 1, 2)
    return x, mean.reshape(1, -1, 1, 1), variance.reshape(1, -1, 1, 1)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of x (N, C, h, w), each (1, C, 1, 1).

    The variance is E(x − c)² − (E x − c)² for any constant c: exact in all its derivatives, and in its value too if c is
    near the mean. It takes fewer passes over x and its gradients than E(x − E x)².
    """
    share = x.shape[1] / x.numel()
    mean = x.sum((0, 2, 3), keepdim=True) * share
    c = mean.detach()
    squares = F.mse_loss(x, c.expand_as(x), reduction="none").sum((0, 2, 3), keepdim=True)
    return mean, squares * share - (mean - c).square()


def _signed(kernel: Tensor, gain: Tensor) -> Tensor:
    """The kernel with the sign of its channel's gain: |γ| is left for the gain, and the maximum can be taken before it."""
    return kernel * _sign(gain)[..., None, None, None]


def _sign(gain: Tensor) -> Tensor:
    """−1 or 1, also of 0: a channel whose gain is 0 keeps the slope with which it can come back."""
    return 1 - 2 * (gain < 0).to(gain.dtype)


def _scaled(x: Tensor, factor: Tensor | float, shift: Tensor | float, gain: Tensor, bias: Tensor) -> Tensor:
    """ReLU of (factor · x + shift) |γ| + β, channel by channel."""
    gain = (gain * _sign(gain)).reshape(1, -1, 1, 1)
    return torch.addcmul(shift * gain + bias.reshape(1, -1, 1, 1), x, factor * gain).relu()


class _Standardised(torch.autograd.Function):
    """(x − mean) / √(variance + ε) of each channel of x (N, C, h, w), by PyTorch's fused batch norm.

    So is its gradient, unless that will be differentiated: then it is made of elementary operations. Worth its lines
    for many images, where the time goes into passes over x.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.native_batch_norm(x, None, None, None, None, True, 0.0, EPSILON)  # and mean and 1/√(variance + ε)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> Tensor:
        x, mean, inverse = ctx.saved_tensors
        if not torch.is_grad_enabled():
            wanted = [True, False, False]
            return torch.ops.aten.native_batch_norm_backward(
                gradient, x, None, None, None, mean, inverse, True, EPSILON, wanted
            )[0]
        mean, variance = _moments(x)
        inverse = (variance + EPSILON).rsqrt()
        y, axes = (x - mean) * inverse, (0, 2, 3)
        return inverse * (gradient - gradient.mean(axes, keepdim=True) - y * (gradient * y).mean(axes, keepdim=True))
