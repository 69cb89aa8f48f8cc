"""Boxes within an image: drawn by area and shape, and as masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from convnets.data.draws import Draw, Draws

Side = int | Tensor
"""Pixels of every image's side, or of each one's, (n,) int64."""
ATTEMPTS = 10
"""How often a box that does not fit is drawn again, as in torchvision and timm."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """One box in each of n images, (n,) int64 each, in pixels; it may reach over the border."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    def columns(self) -> tuple[list[int], ...]:
        """Tops, lefts, heights and widths."""
        return tuple(side.tolist() for side in (self.top, self.left, self.height, self.width))

    def mask(self, size: int) -> Tensor:
        """(n, 1, size, size) bool: True within the box."""
        pixels = torch.arange(size, device=self.top.device)
        rows = (pixels >= self.top[:, None]) & (pixels < (self.top + self.height)[:, None])
        columns = (pixels >= self.left[:, None]) & (pixels < (self.left + self.width)[:, None])
        return (rows[:, :, None] & columns[:, None, :])[:, None]


@dataclass(frozen=True)
class BoxDraws:
    """What the four numbers of a box are drawn for."""

    area: Draw
    shape: Draw
    top: Draw
    left: Draw


def drawn_boxes(
    draws: Draws,
    purposes: BoxDraws,
    areas: tuple[float, float],
    ratios: tuple[float, float],
    height: Side,
    width: Side,
) -> tuple[Boxes, Tensor]:
    """A box for each of n images of height x width pixels, and whether one was found, (n,) bool.

    Its share of the image's area is drawn evenly, its ratio of width to height evenly in the
    logarithm, its place evenly among those where it fits. Where none of 10 fits it is 1x1.
    """
    area = draws.between(purposes.area, areas, ATTEMPTS) * (height * width)
    logarithms = (math.log(ratios[0]), math.log(ratios[1]))
    ratio = draws.between(purposes.shape, logarithms, ATTEMPTS).exp()
    across = (area * ratio).sqrt().round().long()
    down = (area / ratio).sqrt().round().long()
    fits = (across > 0) & (across <= width) & (down > 0) & (down <= height)
    found = fits.any(0)
    first = fits.long().argmax(0, keepdim=True)  # the first of equals
    tall = down.gather(0, first)[0].where(found, 1)
    wide = across.gather(0, first)[0].where(found, 1)
    top = draws.whole(purposes.top, height - tall + 1)
    left = draws.whole(purposes.left, width - wide + 1)
    return Boxes(top, left, tall, wide), found
