"""AlexNet's lighting: a shift of all pixels along the principal components of the data's colours.

Krizhevsky et al. 2012, Section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convnets.data.draws import Draw, Draws
from convnets.data.measure import CHUNK, SAMPLED_FILES
from convnets.data.sets import ImageArrays, Progress, Split
from convnets.data.threads import made_ahead


@dataclass(frozen=True, eq=False)
class Lighting:
    """``components[i]`` (3,) is an eigenvector of the covariance of RGB, where white is 1, times
    its eigenvalue, the largest last."""

    components: np.ndarray

    def shifts(self, deviation: float, draws: Draws) -> Tensor:
        """What is added to each image's channels, (n, 3) float32, where white is 1."""
        amounts = draws.normal(Draw.LIGHTING, 3) * deviation
        components = torch.from_numpy(self.components).float().to(amounts.device)
        first, second, third = (amounts[:, :, None] * components[:, None]).unbind()
        return first + second + third


def measured_lighting(split: Split, progress: Progress | None = None) -> Lighting | None:
    """Measure a split's own colours; None for grey images.

    Every image weighs the same. Of more than 4,096 files, 4,096 spread evenly are read. The
    eigenvalue itself scales the shift, as printed, in units where white is 1.
    """
    if split.channels != 3:
        return None
    count, first, second = 0, np.zeros(3), np.zeros((3, 3))
    for images in _pieces(split, progress):
        pixels = images.reshape(-1, 3).astype(np.float64) / 255
        weight = len(images) / len(pixels)
        count += len(images)
        first += pixels.sum(axis=0) * weight
        second += pixels.T @ pixels * weight
    mean = first / count
    values, vectors = np.linalg.eigh(second / count - np.outer(mean, mean))
    # An eigenvector's sign is free; it is fixed so that every machine draws alike.
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(3)])
    return Lighting((vectors * np.maximum(values, 0)).T)


def _pieces(split: Split, progress: Progress | None) -> Iterator[np.ndarray]:
    """Images of one size at a time, (n, height, width, channels) uint8."""
    if isinstance(split, ImageArrays):
        for start in range(0, len(split), CHUNK):
            yield split.images[start : start + CHUNK]
        return
    rows = np.unique(np.linspace(0, len(split) - 1, SAMPLED_FILES).astype(np.int64))
    for done, pixels in enumerate(made_ahead(rows, split.image), start=1):
        yield pixels[None]
        if progress is not None:
            progress("measuring", done, len(rows))
