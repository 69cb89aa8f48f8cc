"""Images decoded and fitted, a part of a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from convnets.data.augment import Augmentation, padded
from convnets.data.crops import cropped_files
from convnets.data.draws import Draws
from convnets.data.fit import fitted
from convnets.data.sets import ImageArrays, Split


def fitted_images(split: Split, numbers: np.ndarray, size: int, settings: Augmentation) -> Tensor:
    """Samples fitted to ``size`` pixels and padded: (n, channels, side, side) uint8."""
    if isinstance(split, ImageArrays):
        images = torch.from_numpy(fitted(split.images[numbers], size)).permute(0, 3, 1, 2)
    else:
        each = [fitted(split.image(number)[None], size)[0] for number in numbers]
        images = _stacked(each, split, size)
    return padded(images, settings)


def cropped_images(
    split: Split, numbers: np.ndarray, size: int, settings: Augmentation, draws: Draws
) -> Tensor:
    """Crops of samples of any size, resized to ``size``: (n, channels, size, size) uint8."""
    images = [split.image(number) for number in numbers]
    return _stacked(cropped_files(images, settings, draws, size), split, size)


def _stacked(images: Sequence[np.ndarray], split: Split, side: int) -> Tensor:
    """Images (side, side, channels) as one tensor; of none, where a rank's part is empty."""
    if not images:
        return torch.empty((0, split.channels, side, side), dtype=torch.uint8)
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in images])
