"""The single operations agree with torchvision's and kornia's, and do not depend on the batch.

Tolerances: what is made of whole numbers (posterize, solarize, autocontrast, equalize, and a
translation) is exact; the rest is within half a grey level, the rounding, of the peer's result in
floating point. The peer's own uint8 results cut off where ours round.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import kornia
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as peer

from convnets.data.operations import Operation, operated

ROUNDING = 0.501
BLACK = torch.zeros(3)


def pictures(size: int = 32, channels: int = 3) -> Tensor:
    """Noise, a smooth image, a flat one, one of few levels and one that is nearly flat."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(0, 256, (5, channels, size, size), generator=generator).float()
    coarse = torch.rand((1, channels, 5, 5), generator=generator) * 255
    noise[1] = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")[0]
    noise[2] = 77
    noise[3] = noise[3] // 64 * 60 + 20
    noise[4] = 90 + noise[4] // 100
    return noise.clamp(0, 255).to(torch.uint8)


def through(images: Tensor, operation: Operation, argument: float, fill: Tensor = BLACK) -> Tensor:
    """All images through one operation with one argument."""
    operations = torch.full((len(images),), int(operation))
    arguments = torch.full((len(images),), argument, dtype=torch.float64)
    return operated(images, operations, arguments, fill)


def affine(images: Tensor, **changes: object) -> Tensor:
    settings = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **changes}
    return peer.affine(images, interpolation=InterpolationMode.BILINEAR, **settings)


def sheared(images: Tensor, x: float = 0.0, y: float = 0.0) -> Tensor:
    """AutoAugment's shear, about the upper left corner, as torchvision's RandAugment does it."""
    degrees = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
    return affine(images, shear=degrees, center=[0, 0])


GEOMETRY: dict[Operation, tuple[Callable[[Tensor, float], Tensor], tuple[float, ...]]] = {
    Operation.SHEAR_X: (lambda images, by: sheared(images, x=by), (0.3, -0.2, 0.99)),
    Operation.SHEAR_Y: (lambda images, by: sheared(images, y=by), (0.3, -0.2, 0.99)),
    Operation.TRANSLATE_X: (
        lambda images, by: affine(images, translate=[int(by), 0]),
        (3.7, -9.2, 31.0),
    ),
    Operation.TRANSLATE_Y: (
        lambda images, by: affine(images, translate=[0, int(by)]),
        (3.7, -9.2, 31.0),
    ),
    Operation.ROTATE: (
        lambda images, by: peer.rotate(images, by, interpolation=InterpolationMode.BILINEAR),
        (9.0, -30.0, 135.0),
    ),
}


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("operation", GEOMETRY)
def test_geometry_equals_torchvision(operation: Operation, size: int) -> None:
    images = pictures(size)
    expected, arguments = GEOMETRY[operation]
    for argument in arguments:
        ours = through(images, operation, argument)
        theirs = expected(images.float(), argument)
        assert (ours - theirs).abs().max() <= ROUNDING
        assert (ours.int() - expected(images, argument).int()).abs().max() <= 1
        # Outside lies ``fill``: what is sampled of images less ``fill`` in a field of zeros.
        fill = torch.tensor([120.0, 99.0, 30.0])
        shifted = expected(images - fill.view(3, 1, 1), argument) + fill.view(3, 1, 1)
        assert (through(images, operation, argument, fill) - shifted).abs().max() <= ROUNDING


def test_each_image_has_its_own_angle_as_in_kornia() -> None:
    images = pictures()
    angles = torch.tensor([5.0, -12.0, 33.0, 90.0, -135.0])
    operations = torch.full((5,), int(Operation.ROTATE))
    ours = operated(images, operations, angles.double(), BLACK)
    theirs = kornia.geometry.transform.rotate(images.float(), angles, align_corners=True)
    assert (ours - theirs).abs().max() <= ROUNDING + 0.02  # its matrices are float32


COLOUR: dict[Operation, tuple[Callable[[Tensor, float], Tensor], tuple[float, ...], float]] = {
    # The last number: levels by which the peer's constants differ; its grey weighs 0.2989, 0.587
    # and 0.114, which leaves 0.03 of 255 out.
    Operation.BRIGHTNESS: (peer.adjust_brightness, (0.1, 1.0, 1.27, 1.9), 0),
    Operation.CONTRAST: (peer.adjust_contrast, (0.1, 1.0, 1.27, 1.9), 0.03),
    Operation.COLOUR: (peer.adjust_saturation, (0.1, 1.0, 1.27, 1.9), 0.03),
    Operation.SHARPNESS: (peer.adjust_sharpness, (0.1, 1.0, 1.27, 1.9), 0),
    Operation.HUE: (peer.adjust_hue, (0.1, -0.5, 0.37, 0.0), 0),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operation", COLOUR)
def test_colours_equal_torchvision_in_floating_point(operation: Operation, channels: int) -> None:
    images = pictures(channels=channels)
    expected, arguments, constants = COLOUR[operation]
    for argument in arguments:
        ours = through(images, operation, argument, BLACK[:channels])
        theirs = torch.stack([expected(image / 255, argument) * 255 for image in images])
        assert (ours - theirs).abs().max() <= ROUNDING + constants
        # It cuts off, twice where it passes through whole grey values.
        assert (ours.int() - expected(images, argument).int()).abs().max() <= 1 + (constants > 0)


EXACT: dict[Operation, tuple[Callable[[Tensor, float], Tensor], tuple[float, ...]]] = {
    Operation.IDENTITY: (lambda images, _: images, (0.0,)),
    Operation.POSTERIZE: (lambda images, bits: peer.posterize(images, int(bits)), (8.0, 4.0, 2.0)),
    Operation.SOLARIZE: (peer.solarize, (255.0, 178.5, 128.0)),
    Operation.AUTOCONTRAST: (lambda images, _: peer.autocontrast(images), (0.0,)),
    Operation.EQUALIZE: (lambda images, _: peer.equalize(images), (0.0,)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operation", EXACT)
def test_whole_numbers_equal_torchvision(operation: Operation, channels: int) -> None:
    for images in (pictures(channels=channels), pictures(9, channels)):
        expected, arguments = EXACT[operation]
        for argument in arguments:
            ours = through(images, operation, argument, BLACK[:channels])
            assert torch.equal(ours, expected(images, argument))


def test_solarize_from_0_inverts() -> None:
    assert torch.equal(through(pictures(), Operation.SOLARIZE, 0), peer.invert(pictures()))


def test_an_image_is_what_it_is_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    images = pictures().repeat(12, 1, 1, 1)
    operations = torch.randint(0, len(Operation), (60,), generator=generator)
    assert len(operations.unique()) == len(Operation)
    arguments = torch.rand(60, generator=generator, dtype=torch.float64)
    arguments[operations == Operation.ROTATE] *= 90
    together = operated(images, operations, arguments, BLACK + 7)
    for place in range(60):
        one = slice(place, place + 1)
        alone = operated(images[one], operations[one], arguments[one], BLACK + 7)
        assert torch.equal(alone, together[one])
    assert operated(images[:0], operations[:0], arguments[:0], BLACK).shape == (0, 3, 32, 32)
