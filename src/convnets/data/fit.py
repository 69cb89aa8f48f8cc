"""Images of any size to the square size a network takes."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

BORDER = 4
"""An image up to this many pixels smaller is bordered with zeros, not enlarged."""


def fitted(images: np.ndarray, size: int) -> np.ndarray:
    """Bring images (n, height, width, channels) uint8 to (n, size, size, channels).

    Sides at most 4 pixels short are centred on a background of zeros, as LeCun et al. (1998) put
    28x28 digits into 32x32. Otherwise the central square is resized, bilinear with antialias.
    """
    _, height, width, _ = images.shape
    if size - BORDER <= min(height, width) and max(height, width) <= size:
        above, left = (size - height) // 2, (size - width) // 2
        below, right = size - height - above, size - width - left
        return np.pad(images, ((0, 0), (above, below), (left, right), (0, 0)))
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[:, top : top + side, left : left + side]
    if side == size:
        return square
    resized = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(square)).permute(0, 3, 1, 2),
        size=(size, size),
        mode="bilinear",
        antialias=True,
    )
    return resized.permute(0, 2, 3, 1).numpy()
