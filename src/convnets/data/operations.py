"""The single operations that RandAugment, TrivialAugment and the colour jitter draw from.

Images are grouped by operation, and each operation runs once on its group, every image at its own
argument. Where a pixel's new value depends on its old one alone, the operation makes a table of
256 values for each image and channel, and one look-up serves all of them; all geometric ones are
one affine map. Values are rounded to the nearest grey level. An image's result does not depend on
its group: sums over an image are of integers, and everything else is done value by value.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)
"""Grey from RGB, as Pillow takes it (ITU-R BT.601)."""


class Operation(IntEnum):
    """What is done to an image. RandAugment draws from all but ``HUE``, in its Section 3."""

    IDENTITY = 0
    SHEAR_X = 1
    SHEAR_Y = 2
    TRANSLATE_X = 3
    TRANSLATE_Y = 4
    ROTATE = 5
    BRIGHTNESS = 6
    CONTRAST = 7
    POSTERIZE = 8
    SOLARIZE = 9
    AUTOCONTRAST = 10
    EQUALIZE = 11
    COLOUR = 12
    SHARPNESS = 13
    HUE = 14


def operated(images: Tensor, operations: Tensor, arguments: Tensor, fill: Tensor) -> Tensor:
    """Put each image through its own operation.

    ``images`` (n, channels, height, width) uint8; ``operations`` (n,) int64, on the CPU, where
    groups are formed. ``arguments`` (n,) float64: a shear's tangent about the upper left corner;
    pixels to the right or down, cut to whole ones; degrees counter-clockwise about the centre; the
    factor of brightness, contrast, colour and sharpness; the bits that posterize keeps; the
    least value that solarize inverts; the hue's turn as a share of a whole one. ``fill``
    (channels,) are the values of pixels from outside the image. Colour and hue leave grey images
    as they are.
    """
    order = operations.argsort(stable=True)
    counts = torch.bincount(operations, minlength=len(Operation)).tolist()
    ends = list(accumulate(counts, initial=0))
    rows = order.to(images.device)
    images, arguments = images.index_select(0, rows), arguments.index_select(0, rows)

    def group(first: Operation, last: Operation | None = None) -> slice:
        return slice(ends[first], ends[(last or first) + 1])

    geometric = group(Operation.SHEAR_X, Operation.ROTATE)
    if geometric.stop > geometric.start:
        height, width = images.shape[2:]
        maps = torch.eye(2, 3, dtype=torch.float64, device=images.device)
        maps = maps.repeat(len(images), 1, 1)
        for operation, settle in _MAPS.items():
            if counts[operation]:
                part = group(operation)
                settle(maps[part], arguments[part], height, width)
        images[geometric] = transformed(images[geometric], maps[geometric], fill)
    tabled = group(Operation.BRIGHTNESS, Operation.EQUALIZE)
    if tabled.stop > tabled.start:
        tables = images.new_empty((*images.shape[:2], 256))
        for operation, table in _TABLES.items():
            if counts[operation]:
                part = group(operation)
                tables[part] = table(images[part], arguments[part])
        pixels = images[tabled].flatten(2).long()
        images[tabled] = tables[tabled].gather(2, pixels).view_as(images[tabled])
    for operation, filtered in _FILTERS.items():
        if counts[operation]:
            part = group(operation)
            images[part] = filtered(images[part], arguments[part])
    return images.index_select(0, order.argsort().to(images.device))


def _column(arguments: Tensor) -> Tensor:
    return arguments.float()[:, None, None, None]


def _levels(values: Tensor) -> Tensor:
    return values.add_(0.5).clamp_(0, 255).to(torch.uint8)


# Geometry. A map (2, 3) takes a pixel of the result, counted from the centre, to its source.


def _shear_x(maps: Tensor, tangents: Tensor, height: int, width: int) -> None:
    maps[:, 0, 1] = tangents
    maps[:, 0, 2] = tangents * (height / 2)


def _shear_y(maps: Tensor, tangents: Tensor, height: int, width: int) -> None:
    maps[:, 1, 0] = tangents
    maps[:, 1, 2] = tangents * (width / 2)


def _translate_x(maps: Tensor, pixels: Tensor, height: int, width: int) -> None:
    maps[:, 0, 2] = -pixels.trunc()


def _translate_y(maps: Tensor, pixels: Tensor, height: int, width: int) -> None:
    maps[:, 1, 2] = -pixels.trunc()


def _rotate(maps: Tensor, degrees: Tensor, height: int, width: int) -> None:
    angles = torch.deg2rad(degrees)
    maps[:, 0, 0] = maps[:, 1, 1] = angles.cos()
    maps[:, 1, 0] = angles.sin()
    maps[:, 0, 1] = -maps[:, 1, 0]


_MAPS: dict[Operation, Callable[[Tensor, Tensor, int, int], None]] = {
    Operation.SHEAR_X: _shear_x,
    Operation.SHEAR_Y: _shear_y,
    Operation.TRANSLATE_X: _translate_x,
    Operation.TRANSLATE_Y: _translate_y,
    Operation.ROTATE: _rotate,
}


def transformed(images: Tensor, maps: Tensor, fill: Tensor) -> Tensor:
    """Map images (n, channels, height, width) uint8 by ``maps`` (n, 2, 3), bilinear."""
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device) + (0.5 - width / 2)
    y = torch.arange(height, device=images.device)[:, None] + (0.5 - height / 2)
    # ``grid_sample`` counts from the centre too, in halves of a side.
    halves = maps.new_tensor(((width / 2,), (height / 2,)))
    across, down, offset = (maps / halves).float()[..., None, None].unbind(2)
    # Not by a matrix product: its sums may differ in the last bit with the size of the batch.
    grid = (across * x + (down * y + offset)).permute(0, 2, 3, 1)
    # The blend with zeros from outside, shifted, is the blend with ``fill``.
    shift = fill.view(-1, 1, 1)
    sampled = functional.grid_sample(images.float().sub_(shift), grid, align_corners=False)
    return sampled.add_(shift + 0.5).to(torch.uint8)


# Tables: for each image and channel the new value of each of 256 values, (n, channels or 1, 256).


def _values(images: Tensor) -> Tensor:
    return torch.arange(256.0, device=images.device)


def _brightness(images: Tensor, factors: Tensor) -> Tensor:
    return _levels(_values(images) * factors.float()[:, None, None])


def _contrast(images: Tensor, factors: Tensor) -> Tensor:
    sums = images.flatten(2).sum(2).double()
    if images.shape[1] == 3:
        red, green, blue = sums.unbind(1)
        sums = (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2])[:, None]
    means = (sums / images[0, 0].numel()).float()[..., None]
    scale = factors.float()[:, None, None]
    return _levels(_values(images) * scale + means * (1 - scale))


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    mask = (255 << (8 - bits.long())) & 255
    return (torch.arange(256, device=images.device) & mask[:, None, None]).to(torch.uint8)


def _solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    values = _values(images)
    return torch.where(values >= thresholds.float()[:, None, None], 255 - values, values).to(
        torch.uint8
    )


def _autocontrast(images: Tensor, _: Tensor) -> Tensor:
    low = images.amin((2, 3)).float()[..., None]
    high = images.amax((2, 3)).float()[..., None]
    flat = low == high
    stretched = (_values(images) - low.masked_fill(flat, 0)) / torch.where(
        flat, 1.0, (high - low) * (1 / 255)
    )
    return stretched.clamp_(0, 255).to(torch.uint8)  # cut, not rounded, as everywhere


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    """Pillow's table: the last value that occurs counts for nothing."""
    pixels = images.flatten(2).long()
    histogram = pixels.new_zeros((*pixels.shape[:2], 256), dtype=torch.int32)
    histogram.scatter_add_(2, pixels, histogram.new_ones(1).expand_as(pixels))
    total = histogram.cumsum(2)
    last = images.amax((2, 3)).long()[..., None]
    step = (pixels.shape[2] - histogram.gather(2, last)) // 255
    before = total - histogram
    table = ((before + step // 2) // step.clamp(min=1)).clamp_(max=255)
    unchanged = torch.arange(256, device=images.device)
    return torch.where(step == 0, unchanged, table).to(torch.uint8)


_TABLES: dict[Operation, Callable[[Tensor, Tensor], Tensor]] = {
    Operation.BRIGHTNESS: _brightness,
    Operation.CONTRAST: _contrast,
    Operation.POSTERIZE: _posterize,
    Operation.SOLARIZE: _solarize,
    Operation.AUTOCONTRAST: _autocontrast,
    Operation.EQUALIZE: _equalize,
}


# Filters: operations that look at a pixel's other channels or at its neighbours.


def _colour(images: Tensor, factors: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    scale = _column(factors)
    pixels = images.float()
    red, green, blue = pixels.unbind(1)
    grey = (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2])[:, None]
    return _levels(pixels.mul_(scale).add_(grey * (1 - scale)))


def _sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Away from Pillow's smoothed image: 3x3, the centre weighs 5 of 13; a border is kept."""
    if min(images.shape[2:]) < 3:
        return images
    scale = _column(factors)
    pixels = images.float()
    inner = pixels[:, :, 1:-1, 1:-1]
    rows = pixels[:, :, :-2] + pixels[:, :, 1:-1] + pixels[:, :, 2:]
    around = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + inner * 4
    inner.mul_(scale).add_(around * ((1 - scale) / 13))
    return _levels(pixels)


def _hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue in HSV: each channel is a trapezoid of it, 120 degrees apart."""
    if images.shape[1] == 1:
        return images
    pixels = images.float()
    red, green, blue = pixels.unbind(1)
    high = pixels.amax(1)
    span = high - pixels.amin(1)
    whole = span.clamp(min=1)
    sixths = torch.where(
        high == red,
        (green - blue) / whole,
        torch.where(high == green, (blue - red) / whole + 2, (red - green) / whole + 4),
    )
    sixths = sixths + turns.float()[:, None, None] * 6
    offsets = torch.tensor((5.0, 3.0, 1.0), device=images.device)[:, None, None]
    ramp = (sixths[:, None] + offsets).remainder_(6)
    return _levels(high[:, None] - span[:, None] * torch.minimum(ramp, 4 - ramp).clamp_(0, 1))


_FILTERS: dict[Operation, Callable[[Tensor, Tensor], Tensor]] = {
    Operation.COLOUR: _colour,
    Operation.SHARPNESS: _sharpness,
    Operation.HUE: _hue,
}
