"""Whether an exported form does what the network does, on real images: found before any is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from convnets.data import ImageSet
from convnets.data.fit import fitted
from convnets.data.sets import Split
from convnets.errors import BadData, ExportFailed
from convnets.export.deployed import Deployed
from convnets.report.format import plural
from convnets.weights.model_file import ModelDescription

Run = Callable[[np.ndarray], np.ndarray]
"""From images (batch, height, width, channels) uint8 to probabilities (batch, classes)."""

TOLERANCE = 1e-4
TIE = 1e-6  # classes nearer than this are equally likely
BATCH = 32
COMPARED = 64  # test images that a form is compared on before it is kept


@dataclass(frozen=True)
class Agreement:
    """How far two forms' probabilities are apart at most, and how often their answer is the same.

    ``images`` are how many images of the set ``data`` both were given.
    """

    images: int
    data: str
    largest: float
    same: int

    def require(self, form: str) -> None:
        """Raise ``ExportFailed`` with the figures unless the two agree."""
        if not (self.largest <= TOLERANCE and self.same == self.images):
            raise ExportFailed(
                f"{form}: not written: {self}; up to {TOLERANCE:.0e} and every answer is asked for"
            )

    def __str__(self) -> str:
        return (
            f"on {self.images} images of {self.data} its probabilities are within "
            f"{self.largest:.1e} of the network's and {self.same} answers are the same"
        )


def agreement(
    run: Run, deployed: Deployed, description: ModelDescription, image_set: ImageSet, count: int
) -> Agreement:
    """Compare a form that takes images of any size with the network on ``count`` test images."""
    images = samples(image_set, description, count)
    found = np.concatenate([run(batch) for batch in alike(images)])
    size = description.input_size
    expected = np.concatenate([answers(deployed, fitted(batch, size)) for batch in alike(images)])
    return compared(found, expected, image_set.name)


def compared(found: np.ndarray, expected: np.ndarray, data: str) -> Agreement:
    """Compare probabilities (images, classes) with the network's."""
    chosen = np.take_along_axis(expected, found.argmax(1)[:, None], axis=1)[:, 0]
    return Agreement(
        images=len(found),
        data=data,
        largest=float(np.abs(found - expected).max()),
        same=int((chosen >= expected.max(1) - TIE).sum()),
    )


def answers(deployed: Deployed, images: np.ndarray) -> np.ndarray:
    """The network's probabilities (batch, classes) of images of its size."""
    with torch.inference_mode():
        probabilities: np.ndarray = deployed(torch.from_numpy(images)).numpy()
    return probabilities


def samples(image_set: ImageSet, description: ModelDescription, count: int) -> list[np.ndarray]:
    """Test images as they are, spread evenly over the split; grey ones also for colour networks.

    Raises ``BadData`` where they have other channels than the network takes.
    """
    repeats, rest = divmod(description.in_chans, image_set.channels)
    if rest or (repeats > 1 and image_set.channels > 1):
        raise BadData(
            f"{image_set.name} has {plural(image_set.channels, 'channel')}; "
            f"the network takes {description.in_chans}"
        )
    rows = spread(image_set.test, count)
    return [np.repeat(image_set.test.image(row), repeats, axis=2) for row in rows]


def spread(split: Split, count: int) -> np.ndarray:
    """The numbers of ``count`` images evenly over a split, or of all where it has fewer."""
    return np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).astype(np.int64))


def alike(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Images in order as batches of one size: of each run of a size one alone, then the others."""
    for _, group in groupby(images, key=np.shape):
        same = list(group)
        yield np.stack(same[:1])
        for start in range(1, len(same), BATCH):
            yield np.stack(same[start : start + BATCH])
