"""Augmentation: a mapping from an image and a random draw to an image that should keep its label."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""An augmentation a: (images (N, c, h, w), generator) → images, each image with a draw of its own."""


def seeded(transform: Callable[[Tensor], Tensor]) -> Augmentation:
    """Make a transform of ``torchvision.transforms.v2`` a pure mapping: same images and same generator, same result.

    These transforms draw from torch's global generator, and one call draws once for all images that it is given. Here
    every image is transformed by itself, after a seed that ``generator`` draws; then the global generator is put back
    as it was.

    Parameters
    ----------
    transform : callable
        Image (c, h, w) → image, such as ``v2.RandomAffine(degrees=15)``; several of them with ``v2.Compose``.

    Returns
    -------
    Augmentation
        Keeps the type of the images: uint8 in 0..255 or real numbers in [0, 1].

    Raises
    ------
    ValueError
        If the images are not of shape (N, c, h, w).
    """

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        if images.ndim != 4 or not len(images):
            raise ValueError(
                f"Images of shape {tuple(images.shape)}; expected (N, channels, height, width) with N ≥ 1. "
                f"Put a single image into a batch of one with image[None]."
            )
        seeds = torch.randint(2**62, (len(images),), generator=generator).tolist()
        transformed = []
        with torch.random.fork_rng(devices=[]):  # the state of the processor's generator alone; no device is touched
            for image, seed in zip(images, seeds, strict=True):
                torch.default_generator.manual_seed(seed)
                transformed.append(transform(image))
        return torch.stack(transformed)

    return augment
