"""How training images are varied: crop and flip, drawn for each image of each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from convnets.data.draws import Draw, drawn
from convnets.records import Record


class Augmentation(Record):
    """Settings. ``padding`` pixels are added on each side before a random crop of the image's
    size (0: no crop), by reflection or with zeros; ``flip`` mirrors left-right half of the time.
    """

    padding: int = Field(default=0, ge=0, le=64)
    padding_mode: Literal["zero", "reflect"] = "reflect"
    flip: bool = False


NONE = Augmentation()


@dataclass(frozen=True, eq=False)
class Placement:
    """Where each of some images is cropped, and whether it is mirrored: (n,) tensors."""

    top: Tensor
    left: Tensor
    flip: Tensor | None

    def __getitem__(self, part: slice) -> Placement:
        flip = None if self.flip is None else self.flip[part]
        return Placement(self.top[part], self.left[part], flip)


def placement(settings: Augmentation, seed: int, epoch: int, samples: Tensor) -> Placement:
    """Draw the placement of each of ``samples`` (numbers in the split, int64) in one epoch."""
    positions = 2 * settings.padding + 1
    return Placement(
        top=drawn(seed, epoch, Draw.TOP, samples, positions),
        left=drawn(seed, epoch, Draw.LEFT, samples, positions),
        flip=drawn(seed, epoch, Draw.FLIP, samples, 2).bool() if settings.flip else None,
    )


def padded(images: np.ndarray, settings: Augmentation) -> np.ndarray:
    """Pad images (n, height, width, channels) on all four sides."""
    if not settings.padding:
        return images
    side = (settings.padding, settings.padding)
    widths = ((0, 0), side, side, (0, 0))
    if settings.padding_mode == "zero":
        return np.pad(images, widths)
    return np.pad(images, widths, mode="reflect")


def cropped(images: Tensor, rows: Tensor, size: int, where: Placement) -> Tensor:
    """Crop and flip ``images[rows]``, each at its own place.

    ``images`` are padded, (n, channels, height, width) uint8; the result is
    (len(rows), channels, size, size) uint8.
    """
    # A view of every possible crop, (n, top, left, channels, size, size): nothing is copied but
    # the one crop of each row.
    crops = images.unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5)
    chosen = crops[rows, where.top, where.left]
    if where.flip is None:
        return chosen
    return torch.where(where.flip[:, None, None, None], chosen.flip(3), chosen)
