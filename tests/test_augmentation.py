"""Augmentation as a pure mapping: same draw, same images; nothing outside is touched; every image has its own draw."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import InterpolationMode, v2

from metautil.augmentation import seeded

BILINEAR = InterpolationMode.BILINEAR
TRANSFORMS = {
    "rotate": v2.RandomAffine(degrees=40, interpolation=BILINEAR),
    "scale": v2.RandomAffine(degrees=0, scale=(0.5, 1.5), interpolation=BILINEAR),
    "shear": v2.RandomAffine(degrees=0, shear=30, interpolation=BILINEAR),
    "crop": v2.RandomResizedCrop(12, scale=(0.3, 0.8)),
    "flip": v2.RandomHorizontalFlip(p=0.5),
    "elastic": v2.ElasticTransform(alpha=60.0, sigma=1.4),
    "two": v2.Compose([v2.RandomHorizontalFlip(p=0.5), v2.RandomAffine(degrees=40, interpolation=BILINEAR)]),
}
each_transform = pytest.mark.parametrize("name", TRANSFORMS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(channels: int, dtype: torch.dtype) -> torch.Tensor:
    x = torch.rand(6, channels, 12, 12, generator=generator(7), dtype=torch.float64)
    return (255 * x).to(dtype) if dtype == torch.uint8 else x.to(dtype)


@each_transform
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_type_shape_and_range_are_kept(name, dtype, channels):
    x = pictures(channels, dtype)
    y = seeded(TRANSFORMS[name])(x, generator())
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert y.min() >= 0 and y.max() <= (255 if dtype == torch.uint8 else 1)
    assert torch.equal(x, pictures(channels, dtype)), "the images that came in were changed"
    assert not torch.equal(x, y)


@each_transform
def test_same_draw_same_images_whatever_the_global_generator(name):
    x, augment = pictures(1, torch.float64), seeded(TRANSFORMS[name])
    torch.manual_seed(1)
    first = augment(x, generator(3))
    torch.manual_seed(2)
    assert torch.equal(first, augment(x, generator(3)))
    assert not torch.equal(first, augment(x, generator(4)))


@each_transform
def test_the_global_generator_is_left_as_it_was(name):
    before = torch.random.get_rng_state()
    seeded(TRANSFORMS[name])(pictures(1, torch.float64), generator())
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_global_generator_is_left_as_it_was_by_a_transform_that_fails():
    def fails(image):
        torch.rand(3)
        raise RuntimeError("broken")

    before = torch.random.get_rng_state()
    with pytest.raises(RuntimeError, match="broken"):
        seeded(fails)(pictures(1, torch.float64), generator())
    assert torch.equal(before, torch.random.get_rng_state())


def test_every_image_has_its_own_draw_and_the_generator_moves_on():
    same = pictures(1, torch.float64)[:1].expand(6, -1, -1, -1)
    augment, source = seeded(TRANSFORMS["rotate"]), generator()
    first, second = augment(same, source), augment(same, source)
    assert len(torch.cat([first, second]).unique(dim=0)) == 12


def test_flips_come_with_their_probability():
    x = pictures(1, torch.float64)[:1].expand(400, -1, -1, -1)
    flipped = (seeded(v2.RandomHorizontalFlip(p=0.25))(x, generator()) == x.flip(3)).flatten(1).all(1)
    assert abs(flipped.double().mean().item() - 0.25) < 3.5 * (0.25 * 0.75 / 400) ** 0.5


@pytest.mark.parametrize("shape", [(12, 12), (1, 12, 12), (0, 1, 12, 12)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="expected \\(N, channels, height, width\\)"):
        seeded(TRANSFORMS["flip"])(torch.zeros(shape), generator())
