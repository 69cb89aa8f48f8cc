"""Resized crops agree with torchvision's on equal boxes.

On the device they are rounded twice, once along each axis, as Pillow does it: within one grey level
of torchvision in floating point, and of Pillow. (torchvision's own uint8 differs from Pillow by 2.)
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped]
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as peer

from convnets.data.augment import Augmentation, ResizedCrop, ScaleJitter
from convnets.data.crops import (
    cropped_files,
    jittered_boxes,
    resampled,
    resized_boxes,
    shrunk,
    windows,
)
from convnets.data.draws import Draws

INCEPTION = Augmentation(resized_crop=ResizedCrop())
VGG = Augmentation(scale_jitter=ScaleJitter())
ROUNDED_TWICE = 1.01


def draws(count: int, epoch: int = 0) -> Draws:
    return Draws(seed=7, epoch=epoch, samples=torch.arange(count))


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def difference(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).abs().max())


@pytest.mark.parametrize("size", [12, 32])
def test_inception_s_crops_on_the_device_equal_torchvision_s(size: int) -> None:
    images = noise(64, 3, 32, 32)
    ours = resampled(images, *windows(INCEPTION, draws(64), size, 32), size)
    boxes = resized_boxes(ResizedCrop(), draws(64), 32, 32)
    columns = (boxes.top, boxes.left, boxes.height, boxes.width)
    for place, box in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        theirs = peer.resized_crop(images[place].float(), *box, [size, size], antialias=True)
        assert difference(ours[place], theirs) <= ROUNDED_TWICE
        alone = draws(64)[place : place + 1]
        one = resampled(images[place : place + 1], *windows(INCEPTION, alone, size, 32), size)
        assert torch.equal(one[0], ours[place])


@pytest.mark.parametrize("size", [12, 32])
def test_vgg_s_crops_on_the_device_equal_torchvision_s(size: int) -> None:
    images = noise(64, 3, 32, 32)
    ours = resampled(images, *windows(VGG, draws(64), size, 32), size)
    boxes, tall, wide = jittered_boxes(ScaleJitter(), draws(64), size, 32, 32)
    assert torch.equal(tall, wide)
    for place, side in enumerate(tall.tolist()):
        whole = peer.resize(images[place].float(), [side, side], antialias=True)
        top, left = int(boxes.top[place]), int(boxes.left[place])
        theirs = peer.crop(whole, top, left, size, size)
        assert difference(ours[place], theirs) <= ROUNDED_TWICE


def test_smaller_training_images_equal_pillow_s() -> None:
    images = noise(4, 3, 48, 48)
    for size in (5, 31, 47, 48):
        ours = shrunk(images, size)
        for image, small in zip(images, ours, strict=True):
            picture = Image.fromarray(image.permute(1, 2, 0).numpy())
            expected = picture.resize((size, size), Image.Resampling.BILINEAR)
            assert difference(small.permute(1, 2, 0), torch.from_numpy(np.array(expected))) <= 1
    assert torch.equal(shrunk(images, 48), images)
    white = torch.full((1, 1, 37, 37), 255, dtype=torch.uint8)
    assert bool((shrunk(white, 20) == 255).all())


def test_files_are_cropped_before_they_are_resized() -> None:
    image = noise(3, 90, 61)
    pixels = image.permute(1, 2, 0).numpy()
    for epoch in range(8):
        alone = draws(1, epoch)
        box = resized_boxes(ResizedCrop(), alone, 90, 61)
        place = [int(side) for side in (box.top, box.left, box.height, box.width)]
        theirs = peer.resized_crop(image, *place, [24, 24], antialias=True)
        (ours,) = cropped_files([pixels], INCEPTION, alone, 24)
        assert difference(torch.from_numpy(ours).permute(2, 0, 1), theirs) == 0
        corner, tall, wide = jittered_boxes(ScaleJitter(), alone, 24, 90, 61)
        short = int(wide)
        assert int(tall) == int(short * 90 / 61)
        whole = peer.resize(image, short, antialias=True)
        theirs = peer.crop(whole, int(corner.top), int(corner.left), 24, 24)
        (ours,) = cropped_files([pixels], VGG, alone, 24)
        assert difference(torch.from_numpy(ours).permute(2, 0, 1), theirs) == 0


@pytest.mark.parametrize("settings", [INCEPTION, VGG])
def test_files_of_any_sizes_are_cropped_together(settings: Augmentation) -> None:
    sides = [(90, 61), (30, 30), (61, 90), (500, 40), (24, 25)]
    images = [noise(*each, 3).numpy() for each in sides]
    together = cropped_files(images, settings, draws(5), 24)
    for place, (image, crop) in enumerate(zip(images, together, strict=True)):
        (alone,) = cropped_files([image], settings, draws(5)[place : place + 1], 24)
        assert np.array_equal(alone, crop)
        assert crop.shape == (24, 24, 3)
    assert cropped_files([], settings, draws(0), 24) == []


@pytest.mark.parametrize(("height", "width"), [(224, 224), (375, 500)])
def test_boxes_are_distributed_as_torchvision_s(height: int, width: int) -> None:
    ours = resized_boxes(ResizedCrop(), draws(3000), height, width)
    image = torch.empty(3, height, width)
    boxes = [
        v2.RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)
    ]
    columns = (ours.top, ours.left, ours.height, ours.width)
    for column, theirs in zip(columns, zip(*boxes, strict=True), strict=True):
        assert scipy.stats.ks_2samp(column.numpy(), theirs).pvalue > 1e-4
    assert int(ours.top.min()) >= 0
    assert bool((ours.top + ours.height <= height).all())
    assert bool((ours.left + ours.width <= width).all())


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(30, 300, (0, 130, 30, 40)), (300, 30, (130, 0, 40, 30)), (30, 30, (0, 0, 30, 30))],
)
def test_where_nothing_fits_the_centre_is_taken(
    height: int, width: int, box: tuple[int, int, int, int]
) -> None:
    # Worked by hand: the whole area in a strip of 1:10 is never within 3/4 to 4/3.
    found = resized_boxes(ResizedCrop(scale=(1, 1)), draws(3), height, width)
    if height == width:  # a ratio of exactly 1 may be drawn, and gives the same box
        assert set(found.top.tolist()) == {0}
        return
    for place in range(3):
        sides = (found.top, found.left, found.height, found.width)
        assert tuple(int(side[place]) for side in sides) == box


def test_a_line_of_pixels_leaves_one() -> None:
    narrow = ResizedCrop(scale=(1, 1), ratio=(0.1, 0.2))
    found = resized_boxes(narrow, draws(1), 1, 50)
    assert (int(found.left), int(found.height), int(found.width)) == (24, 1, 1)


def test_vgg_s_scales_are_even_from_256_to_512() -> None:
    boxes, tall, wide = jittered_boxes(ScaleJitter(), draws(20_000), 224, 375, 500)
    assert (int(tall.min()), int(tall.max())) == (256, 512)
    counts = torch.bincount(tall)[257:512]  # the ends are rounded from half as far
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 1e-4
    assert bool((boxes.top <= tall - 224).all())
    assert bool((boxes.left <= wide - 224).all())
    places = (boxes.top / (tall - 224 + 1)).double()
    assert float(places.mean()) == pytest.approx(0.5, abs=0.02)
