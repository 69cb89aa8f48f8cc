"""Which operations an image goes through, and how far: RandAugment, TrivialAugment, jitter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from convnets.data.augment import Augmentation, ColourJitter, RandAugment
from convnets.data.draws import Draw, Draws
from convnets.data.operations import Operation, operated

CHOICES = 14
"""The operations that RandAugment and TrivialAugment draw from: all but the hue."""

WIDE_LEVELS = 31
"""Magnitudes from 0 to 30 (Müller and Hutter 2021, Section 3)."""


@dataclass(frozen=True)
class Range:
    """An operation's argument at magnitude 0 and at the strongest one.

    Where it is ``signed`` it goes as far to the other side of ``least`` half of the time.
    """

    least: float
    strongest: float
    signed: bool = False


Space = dict[Operation, Range]


def rand_space(size: int, *, increasing: bool) -> Space:
    """RandAugment's ranges for images of ``size`` pixels; see ``RandAugment.increasing``.

    Of AutoAugment's Table 6 (Cubuk et al. 2018), translations as shares of its 331 pixels.
    """
    translation = Range(0, 150 / 331 * size, signed=True)
    factor = Range(1, 1.9, signed=True) if increasing else Range(0.1, 1.9)
    return {
        Operation.SHEAR_X: Range(0, 0.3, signed=True),
        Operation.SHEAR_Y: Range(0, 0.3, signed=True),
        Operation.TRANSLATE_X: translation,
        Operation.TRANSLATE_Y: translation,
        Operation.ROTATE: Range(0, 30, signed=True),
        Operation.BRIGHTNESS: factor,
        Operation.CONTRAST: factor,
        Operation.COLOUR: factor,
        Operation.SHARPNESS: factor,
        Operation.POSTERIZE: Range(8, 4) if increasing else Range(4, 8),
        Operation.SOLARIZE: Range(255, 0) if increasing else Range(0, 255),
    }


def wide_space() -> Space:
    """TrivialAugment's wide ranges (Müller and Hutter 2021, Table 1 of its appendix)."""
    shear, translation = Range(0, 0.99, signed=True), Range(0, 32, signed=True)
    factor = Range(1, 1.99, signed=True)
    return {
        Operation.SHEAR_X: shear,
        Operation.SHEAR_Y: shear,
        Operation.TRANSLATE_X: translation,
        Operation.TRANSLATE_Y: translation,
        Operation.ROTATE: Range(0, 135, signed=True),
        Operation.BRIGHTNESS: factor,
        Operation.CONTRAST: factor,
        Operation.COLOUR: factor,
        Operation.SHARPNESS: factor,
        Operation.POSTERIZE: Range(8, 2),
        Operation.SOLARIZE: Range(255, 0),
    }


@dataclass(frozen=True, eq=False)
class Rounds:
    """What is done to each of n images, round after round: (rounds, n) int64 and float64."""

    operations: Tensor
    arguments: Tensor


def rand_augment(policy: RandAugment, draws: Draws, size: int) -> Rounds:
    """Draw RandAugment's rounds for images of ``size`` pixels."""
    count = policy.operations
    operations = draws.whole(Draw.OPERATION, CHOICES, count)
    if policy.probability < 1:
        used = draws.uniform(Draw.OPERATION_USED, count) < policy.probability
        operations = operations.where(used, Operation.IDENTITY)
    if policy.deviation is None:
        magnitudes = torch.full_like(operations, 1, dtype=torch.float64) * policy.magnitude
    else:
        spread = draws.normal(Draw.MAGNITUDE, count).double() * policy.deviation
        magnitudes = (spread + policy.magnitude).clamp(0, policy.maximum)
    space = rand_space(size, increasing=policy.increasing)
    signs = draws.whole(Draw.SIGN, 2, count) * 2 - 1
    return _settled(space, operations, magnitudes / policy.maximum, signs)


def trivial_augment(draws: Draws) -> Rounds:
    """Draw TrivialAugment's one round: an operation and its magnitude, both evenly."""
    operations = draws.whole(Draw.OPERATION, CHOICES, 1)
    levels = draws.whole(Draw.MAGNITUDE, WIDE_LEVELS, 1).double() / (WIDE_LEVELS - 1)
    signs = draws.whole(Draw.SIGN, 2, 1) * 2 - 1
    return _settled(wide_space(), operations, levels, signs)


def _settled(space: Space, operations: Tensor, levels: Tensor, signs: Tensor) -> Rounds:
    """The arguments of ``operations`` at ``levels``, shares of the strongest magnitude."""
    rows = [space.get(operation, Range(0, 0)) for operation in Operation]
    table = torch.tensor(
        [(row.least, row.strongest - row.least, row.signed) for row in rows],
        dtype=torch.float64,
        device=operations.device,
    )
    least, reach, signed = table[operations].unbind(-1)
    arguments = least + reach * levels * torch.where(signed > 0, signs, 1)
    whole = operations == Operation.POSTERIZE
    return Rounds(operations, torch.where(whole, arguments.round(), arguments))


def colour_jitter(jitter: ColourJitter, draws: Draws) -> Rounds:
    """Draw the order and the factors of the settings that are not 0."""
    reaches = {
        Operation.BRIGHTNESS: jitter.brightness,
        Operation.CONTRAST: jitter.contrast,
        Operation.COLOUR: jitter.saturation,
        Operation.HUE: jitter.hue,
    }
    chosen = {operation: reach for operation, reach in reaches.items() if reach}
    device, count = draws.samples.device, len(chosen)
    codes = torch.tensor(list(chosen), dtype=torch.int64, device=device)
    order = draws.bits(Draw.JITTER_ORDER, count).argsort(dim=0, stable=True)
    operations = codes[order]
    reach = torch.tensor(list(chosen.values()), dtype=torch.float64, device=device)[order]
    turned = operations == Operation.HUE
    low = torch.where(turned, -reach, (1 - reach).clamp(min=0))
    high = torch.where(turned, reach, 1 + reach)
    return Rounds(operations, low + draws.uniform(Draw.JITTER, count) * (high - low))


def recoloured(images: Tensor, settings: Augmentation, draws: Draws, fill: Tensor) -> Tensor:
    """Put images (n, channels, size, size) uint8 through the operations that are drawn for them.

    ``fill`` (channels,) are the values of pixels from outside an image.
    """
    rounds = []
    if settings.rand_augment is not None:
        rounds.append(rand_augment(settings.rand_augment, draws, images.shape[-1]))
    if settings.trivial_augment:
        rounds.append(trivial_augment(draws))
    if settings.colour_jitter is not None:
        rounds.append(colour_jitter(settings.colour_jitter, draws))
    for each in rounds:
        # One copy for all rounds: groups are formed on the CPU.
        for operations, arguments in zip(each.operations.cpu(), each.arguments, strict=True):
            images = operated(images, operations, arguments, fill)
    return images
