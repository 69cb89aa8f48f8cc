"""Crops that are resized: Inception's, VGG's scale jitter, and smaller training images.

Resizing is bilinear with antialias, as Pillow does it: a triangle as wide as two source pixels,
or as two pixels of the result where those are larger. On the device it is two matrix products,
one for each axis; in the decoding threads, where sources may be large, it is torch's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convnets.data.augment import Augmentation, ResizedCrop, ScaleJitter
from convnets.data.boxes import BoxDraws, Boxes, Side, drawn_boxes
from convnets.data.draws import Draw, Draws
from convnets.data.sets import Split

CROP = BoxDraws(Draw.CROP_AREA, Draw.CROP_SHAPE, Draw.TOP, Draw.LEFT)
PRECISION = 1 << 16
"""Weights are multiples of 1/65,536: with values below 256 every sum is exact in float32, in any
order, and the result does not depend on the batch or on the device."""


@dataclass(frozen=True, eq=False)
class Window:
    """Along one axis, what each of n results shows of its source: (n,) float64, source pixels.

    It begins at ``start``; a pixel of the result is ``step`` long; pixels from ``low`` up to
    ``high`` may be looked at.
    """

    start: Tensor
    step: Tensor
    low: Tensor
    high: Tensor


def resizes(settings: Augmentation) -> bool:
    """Whether training images are crops that are resized."""
    return settings.resized_crop is not None or settings.scale_jitter is not None


def crops_sources(split: Split, settings: Augmentation, size: int) -> bool:
    """Whether resized crops must be taken of the sources themselves, in the decoding threads.

    Elsewhere they may be taken of the images fitted to ``size`` pixels, which lose nothing by it.
    """
    side = split.image_size
    return resizes(settings) and (side is None or side[0] != side[1] or side[0] > size)


def resized_boxes(crop: ResizedCrop, draws: Draws, height: Side, width: Side) -> Boxes:
    """Inception's crop in each of n images of height x width pixels.

    Where none of 10 draws fits: the central box that is largest within the ratios.
    """
    boxes, found = drawn_boxes(draws, CROP, crop.scale, crop.ratio, height, width)
    height, width = (torch.as_tensor(side, device=found.device) for side in (height, width))
    wide = torch.minimum(width, (height.double() * crop.ratio[1]).round().long()).clamp(min=1)
    tall = torch.minimum(height, (width.double() / crop.ratio[0]).round().long()).clamp(min=1)
    return Boxes(
        boxes.top.where(found, (height - tall) // 2),
        boxes.left.where(found, (width - wide) // 2),
        boxes.height.where(found, tall),
        boxes.width.where(found, wide),
    )


def jittered_boxes(
    jitter: ScaleJitter, draws: Draws, size: int, height: Side, width: Side
) -> tuple[Boxes, Tensor, Tensor]:
    """VGG's crop of ``size`` pixels in resized images, and their heights and widths, (n,) int64."""
    short = (draws.between(Draw.SCALE, (jitter.low, jitter.high)) * size).round().long()
    height, width = (torch.as_tensor(side, device=short.device) for side in (height, width))
    least = torch.minimum(height, width)
    tall, wide = short * height // least, short * width // least
    top = draws.whole(Draw.TOP, tall - size + 1)
    left = draws.whole(Draw.LEFT, wide - size + 1)
    sides = torch.full_like(top, size)
    return Boxes(top, left, sides, sides), tall, wide


def windows(settings: Augmentation, draws: Draws, size: int, source: int) -> tuple[Window, Window]:
    """What crops of ``size`` pixels show of images of ``source`` pixels a side: rows, columns."""
    if settings.resized_crop is not None:
        boxes = resized_boxes(settings.resized_crop, draws, source, source)
        return _of_box(boxes.top, boxes.height, size), _of_box(boxes.left, boxes.width, size)
    assert settings.scale_jitter is not None
    boxes, tall, wide = jittered_boxes(settings.scale_jitter, draws, size, source, source)
    return _of_resized(boxes.top, tall, source), _of_resized(boxes.left, wide, source)


def shrunk(images: Tensor, size: int) -> Tensor:
    """Resize whole square images (n, channels, source, source) uint8 to ``size`` pixels."""
    source = images.shape[-1]
    start = torch.zeros(1, dtype=torch.int64, device=images.device)
    window = _of_box(start, start + source, size)
    return resampled(images, window, window, size)


def _of_box(start: Tensor, length: Tensor, size: int) -> Window:
    first = start.double()
    return Window(first, length / size, first, first + length)


def _of_resized(start: Tensor, length: Tensor, source: int) -> Window:
    step = source / length.double()
    return Window(start * step, step, torch.zeros_like(step), torch.full_like(step, source))


def resampled(images: Tensor, rows: Window, columns: Window, size: int) -> Tensor:
    """Resize what ``rows`` and ``columns`` show of images (n, channels, height, width) uint8.

    One window serves all images, or each has its own; the result is (n, channels, size, size).
    """
    height, width = images.shape[2:]
    across = _weights(columns, size, width).transpose(1, 2)
    lines = torch.matmul(images.float(), across[:, None]).add_(0.5).floor_()
    down = _weights(rows, size, height)
    return torch.matmul(down[:, None], lines).add_(0.5).floor_().to(torch.uint8)


def _weights(window: Window, size: int, pixels: int) -> Tensor:
    """How much each source pixel counts for each pixel of the result: (n, size, pixels)."""
    device = window.start.device
    steps = torch.arange(size, dtype=torch.float64, device=device) + 0.5
    centres = window.start[:, None] + steps * window.step[:, None]
    places = torch.arange(pixels, dtype=torch.float64, device=device) + 0.5
    reach = window.step.clamp(min=1)[:, None, None]
    weights = (1 - (places - centres[..., None]).abs() / reach).clamp(min=0)
    inside = (places > window.low[:, None]) & (places < window.high[:, None])
    weights = weights * inside[:, None]
    weights = weights / weights.sum(2, keepdim=True)
    return (weights * PRECISION).round().div_(PRECISION).float()


def cropped_files(
    images: Sequence[np.ndarray], settings: Augmentation, draws: Draws, size: int
) -> list[np.ndarray]:
    """Images (height, width, channels) uint8 of any sizes to crops of ``size`` pixels."""
    sides = torch.tensor([image.shape[:2] for image in images], dtype=torch.int64).view(-1, 2)
    heights, widths = sides.unbind(1)
    if settings.resized_crop is not None:
        boxes = resized_boxes(settings.resized_crop, draws, heights, widths)
        parts = map(_part, images, *boxes.columns())
        return [_resized(part, size, size) for part in parts]
    assert settings.scale_jitter is not None
    boxes, tall, wide = jittered_boxes(settings.scale_jitter, draws, size, heights, widths)
    whole = map(_resized, images, tall.tolist(), wide.tolist())
    return list(map(_part, whole, *boxes.columns()))


def _part(image: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    return image[top : top + height, left : left + width]


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    resized = functional.interpolate(pixels, size=(height, width), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()
