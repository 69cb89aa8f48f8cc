"""Random erasing and Cutout, on normalised images."""

from __future__ import annotations

import torch
from torch import Tensor

from convnets.data.augment import Augmentation, Erasing
from convnets.data.boxes import BoxDraws, Boxes, drawn_boxes
from convnets.data.draws import Draw, Draws, hashed, normals

ERASED = BoxDraws(Draw.ERASED_AREA, Draw.ERASED_SHAPE, Draw.ERASED_TOP, Draw.ERASED_LEFT)


def erase(images: Tensor, settings: Augmentation, draws: Draws, full_size: int) -> None:
    """Replace parts of normalised images (n, channels, size, size) float32, in place.

    Cutout's square is given for images of ``full_size`` pixels and shrinks with them.
    """
    if settings.cutout is not None:
        size = images.shape[-1]
        side = max(1, round(settings.cutout * size / full_size))
        images.masked_fill_(_squares(side, draws, size).mask(size), 0)
    if settings.erasing is not None:
        _erase_rectangles(images, settings.erasing, draws)


def _squares(side: int, draws: Draws, size: int) -> Boxes:
    """Squares about any pixel, cut at the border (DeVries and Taylor 2017, Section 3.1)."""
    top = draws.whole(Draw.CUTOUT_TOP, size) - side // 2
    left = draws.whole(Draw.CUTOUT_LEFT, size) - side // 2
    sides = torch.full_like(top, side)
    return Boxes(top, left, sides, sides)


def _erase_rectangles(images: Tensor, erasing: Erasing, draws: Draws) -> None:
    count, channels, size, _ = images.shape
    # ``drawn_boxes`` has the ratio the other way round: width to height.
    ratios = (1 / erasing.ratio[1], 1 / erasing.ratio[0])
    boxes, found = drawn_boxes(draws, ERASED, erasing.area, ratios, size, size)
    chosen = (draws.uniform(Draw.ERASED) < erasing.probability) & found
    mask = boxes.mask(size) & chosen[:, None, None, None]
    if erasing.fill == "mean":
        images.masked_fill_(mask, 0)
        return
    # 64 random bits for each erased pixel, of its sample's number and its place.
    row, pixel = mask.flatten(1).nonzero(as_tuple=True)
    bits = hashed(draws.seed, draws.epoch, Draw.ERASED_PIXEL, draws.samples[row] * size**2 + pixel)
    images.view(count, channels, size**2).transpose(1, 2)[row, pixel] = normals(bits, channels)
