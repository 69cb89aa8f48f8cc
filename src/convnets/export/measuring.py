"""How right and how fast a form of a network is, on this machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convnets.analysis.measure import timed
from convnets.data import ImageSet
from convnets.data.fit import fitted
from convnets.data.sets import Split
from convnets.errors import BadData
from convnets.export.agreement import BATCH, Run, spread
from convnets.report.format import plural
from convnets.weights.model_file import ModelDescription

Progress = Callable[[int, int], None]
"""Told (how many images are done, how many there are)."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Images of a test split as the network takes them, and their labels (images,)."""

    data: str
    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def answers(self, run: Run, progress: Progress | None = None) -> np.ndarray:
        """The probabilities (images, classes) that a form gives them."""
        found = []
        for start in range(0, len(self), BATCH):
            found.append(run(self.images[start : start + BATCH]))
            if progress is not None:
                progress(min(start + BATCH, len(self)), len(self))
        return np.concatenate(found)

    def top1(self, answers: np.ndarray) -> float:
        """The share of images whose likeliest class is their label."""
        return float((answers.argmax(1) == self.labels).mean())

    def latency(self, run: Run, batch: int) -> float:
        """Median seconds of a form on ``batch`` of the images, repeated where they are fewer."""
        images = np.resize(self.images, (batch, *self.images.shape[1:]))
        return statistics.median(timed(lambda: run(images), torch.device("cpu")))


def trial(image_set: ImageSet, description: ModelDescription, count: int) -> Trial:
    """Test images spread evenly over the split; raises ``BadData`` if the set's classes differ."""
    if image_set.classes != description.classes or image_set.channels != description.in_chans:
        raise BadData(
            f"{image_set.name} has {plural(image_set.channels, 'channel')} and the classes "
            f"{_some(image_set.classes)}; the network takes "
            f"{plural(description.in_chans, 'channel')} and knows {_some(description.classes)}"
        )
    rows = spread(image_set.test, count)
    images = np.concatenate(list(in_batches(image_set.test, rows, description.input_size)))
    return Trial(image_set.name, images, image_set.test.labels[rows])


def in_batches(split: Split, rows: Sequence[int] | np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The images of ``rows`` as a network takes them, (batch, size, size, channels) uint8."""
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        yield np.concatenate([fitted(split.image(row)[None], size) for row in part])


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown}, ... ({len(names)})" if len(names) > 5 else shown
