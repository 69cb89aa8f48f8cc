"""Images of any size to the square size a network takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

BORDER = 4
"""An image up to this many pixels smaller is bordered with zeros, not enlarged."""
WEIGHT_BITS = 15
"""Bits of a pixel's weight when images in bytes are resized, its sign apart."""


def fitted(images: np.ndarray, size: int) -> np.ndarray:
    """Bring images (n, height, width, channels) uint8 to (n, size, size, channels).

    Sides at most 4 pixels short are centred on a background of zeros, as LeCun et al. (1998) put
    28x28 digits into 32x32. Otherwise the central square is resized, bilinear with antialias.
    """
    _, height, width, _ = images.shape
    if _is_bordered(height, width, size):
        above, left = (size - height) // 2, (size - width) // 2
        below, right = size - height - above, size - width - left
        return np.pad(images, ((0, 0), (above, below), (left, right), (0, 0)))
    square = middle(images)
    if square.shape[1] == size:
        return square
    pixels = torch.from_numpy(np.ascontiguousarray(square)).permute(0, 3, 1, 2)
    return _resized(pixels, size).permute(0, 2, 3, 1).numpy()


def _resized(pixels: Tensor, size: int) -> Tensor:
    return functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)


def middle(images: np.ndarray) -> np.ndarray:
    """The central squares of images (n, height, width, channels)."""
    _, height, width, _ = images.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, top : top + side, left : left + side]


def is_enlarged(height: int, width: int, size: int) -> bool:
    """Whether ``fitted`` enlarges images of these sides to ``size`` pixels."""
    return min(height, width) < size and not _is_bordered(height, width, size)


def _is_bordered(height: int, width: int, size: int) -> bool:
    return size - BORDER <= min(height, width) and max(height, width) <= size


def enlarged(images: Tensor, size: int) -> Tensor:
    """Square images (n, channels, side, side) uint8 of less than ``size`` pixels to that size.

    Bit for bit what ``fitted`` makes of them, on any device.
    """
    return _resized(images, size) if images.device.type == "cpu" else interpolated(images, size)


def interpolated(images: Tensor, size: int) -> Tensor:
    """``enlarged`` written out: torch resizes bytes on a CPU alone.

    Each pixel is a mean of its two neighbours in a row, then in a column, with weights rounded to
    15 bits and each result to 8.
    """
    places, weights, bits = _neighbours(images.shape[-1], size, images.device)
    across = _means(images.int(), places, weights, bits, dim=3)
    return _means(across, places, weights, bits, dim=2).to(torch.uint8)


def _means(pixels: Tensor, places: Tensor, weights: Tensor, bits: int, dim: int) -> Tensor:
    shape = (-1, 1) if dim == 2 else (-1,)
    summed = torch.tensor(1 << bits >> 1, dtype=torch.int32, device=pixels.device)
    for place, weight in zip(places, weights, strict=True):
        summed = summed + pixels.index_select(dim, place) * weight.view(shape)
    return (summed >> bits).clamp(max=255)


def _neighbours(side: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, int]:
    """Which two pixels of a row make each pixel, their whole weights, (2, size), and of how many
    bits a weight's unit is: the most by which the largest stays within ``WEIGHT_BITS``."""
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) * (side / size)
    offsets = torch.arange(side, dtype=torch.float64) + 0.5 - centres[:, None]
    triangle = (1 - offsets.abs()).clamp(min=0)
    shares = triangle / triangle.sum(1, keepdim=True)
    largest = float(shares.max())
    bits = max(b for b in range(23) if 2**b * largest + 0.5 < 2**WEIGHT_BITS)
    weights, places = (shares * 2**bits + 0.5).int().topk(min(2, side), dim=1)
    return places.T.to(device), weights.T.to(device), bits
