"""Images decoded and fitted, a part of a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from convnets.data.augment import Augmentation, padded
from convnets.data.crops import cropped_file
from convnets.data.draws import Draws
from convnets.data.fit import fitted
from convnets.data.sets import ImageArrays, Split


def fitted_images(split: Split, numbers: np.ndarray, size: int, settings: Augmentation) -> Tensor:
    """Samples fitted to ``size`` pixels and padded: (n, channels, side, side) uint8."""
    if isinstance(split, ImageArrays):
        images = fitted(split.images[numbers], size)
    else:
        images = _joined([fitted(split.image(i)[None], size) for i in numbers], split, size)
    return torch.from_numpy(padded(images, settings)).permute(0, 3, 1, 2)


def cropped_images(
    split: Split, numbers: np.ndarray, size: int, settings: Augmentation, draws: Draws
) -> Tensor:
    """Crops of samples of any size, resized to ``size``: (n, channels, size, size) uint8."""
    images = [
        cropped_file(split.image(number), settings, draws[place : place + 1], size)[None]
        for place, number in enumerate(numbers)
    ]
    return torch.from_numpy(_joined(images, split, size)).permute(0, 3, 1, 2)


def _joined(images: Sequence[np.ndarray], split: Split, size: int) -> np.ndarray:
    """One array of all; of none, where a rank's part of a batch is empty."""
    none = np.empty((0, size, size, split.channels), np.uint8)
    return np.concatenate([none, *images])
