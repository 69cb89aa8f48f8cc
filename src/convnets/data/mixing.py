"""Mixup and CutMix in pairs, and the Beta distribution that their shares come from.

The image at position p of an epoch's order mixes with the one at position p XOR 1: its partner is
given by the order alone, and lies in the same batch, since batches begin at even positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from convnets.data.augment import Augmentation
from convnets.data.boxes import Boxes
from convnets.data.draws import Draw, Draws

FINE = 1 << 16


@dataclass(frozen=True, eq=False)
class Mixed:
    """``images`` after mixing, ``partners`` (n,) int64, the classes of the images mixed in, and
    ``shares`` (n,) float32, what is left of the images themselves."""

    images: Tensor
    partners: Tensor
    shares: Tensor


def mix(
    images: Tensor, targets: Tensor, settings: Augmentation, draws: Draws, strength: float
) -> Mixed:
    """Mix each of n images with its neighbour; the first lies at an even position of the order.

    ``strength`` scales mixup's alpha. Every image draws for itself whether and how it is mixed,
    and its share. A last image without a partner stays as it is.
    """
    count, size = len(images), images.shape[-1]
    places = torch.arange(count, device=images.device)
    chosen = places < count - count % 2
    neighbours = (places ^ 1).where(chosen, places)
    if settings.mix_probability is not None:
        chosen = chosen & (draws.uniform(Draw.MIXED) < settings.mix_probability)
    shares = torch.ones(count, dtype=torch.float64, device=images.device)
    if settings.mixup is not None:
        shares = beta(settings.mixup * strength, draws).where(chosen, 1)
    own = shares.float()[:, None, None, None]
    if settings.cutmix is not None:
        if settings.mixup is not None:
            chosen = chosen & (draws.whole(Draw.MIXED_HOW, 2) > 0)
        boxes = cut_boxes(beta(settings.cutmix, draws), draws, size)
        outside = 1 - (boxes.height * boxes.width).double() / size**2
        shares = outside.where(chosen, shares)
        own = torch.where(chosen[:, None, None, None], (~boxes.mask(size)).float(), own)
    blended = images * own + images.index_select(0, neighbours) * (1 - own)
    return Mixed(blended, targets[neighbours], shares.float())


def cut_boxes(shares: Tensor, draws: Draws, size: int) -> Boxes:
    """CutMix's boxes of 1 - ``shares`` of the area about any pixel, cut at the border.

    Yun et al. 2019, Section 3.1 (Eq. 2) and Algorithm A1.
    """
    half = (size * (1 - shares).sqrt()).long() // 2
    ends = []
    for purpose in (Draw.CUT_TOP, Draw.CUT_LEFT):
        centre = draws.whole(purpose, size)
        first = (centre - half).clamp(min=0)
        ends.append((first, (centre + half).clamp(max=size) - first))
    (top, height), (left, width) = ends
    return Boxes(top, left, height, width)


def beta(alpha: float, draws: Draws) -> Tensor:
    """Shares from Beta(alpha, alpha), (n,) float64; 1 where ``alpha`` is 0.

    By the inverse of the distribution function, which is one number in and one number out.
    """
    if alpha == 0:
        return torch.ones(len(draws.samples), dtype=torch.float64, device=draws.samples.device)
    table = lower_half(alpha, draws.samples.device)
    place = draws.uniform(Draw.SHARE) * (2 * FINE)
    upper = place >= FINE
    place = torch.where(upper, 2 * FINE - place, place)
    below = place.long().clamp(max=FINE - 1)
    rest = place - below
    share = table[below] * (1 - rest) + table[below + 1] * rest
    return torch.where(upper, 1 - share, share)


@cache
def lower_half(alpha: float, device: torch.device) -> Tensor:
    """Beta(alpha, alpha)'s quantiles of 0 to 1/2 in 65,536 steps, float64.

    With x = t^p / 2 and p = max(1, 1/alpha), the density of t is t^(p alpha - 1) (1 - x)^(alpha -
    1) up to a factor: bounded where that of x is not, and summed by trapezoids.
    """
    power = max(1.0, 1 / alpha)
    t = np.linspace(0, 1, 4 * FINE + 1)
    x = t**power / 2
    density = t ** (power * alpha - 1) * (1 - x) ** (alpha - 1)
    share = np.concatenate(([0.0], np.cumsum(density[1:] + density[:-1])))
    steps = np.linspace(0, 1, FINE + 1)
    return torch.from_numpy(np.interp(steps, share / share[-1], t) ** power / 2).to(device)
