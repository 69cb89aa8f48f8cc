"""What a data set is once loaded: two splits, class names, and where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from convnets.data.decode import decode, read_image
from convnets.errors import BadData

Progress = Callable[[str, int, int], None]
"""Told (what is being done, how much is done, how much there is); called from one thread."""

OnError = Literal["fail", "skip"]


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """A decoded split: ``images`` (n, height, width, channels) uint8, ``labels`` (n,) int64."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        return int(self.images.shape[3])

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) that all images share."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    def image(self, index: int) -> np.ndarray:
        """One image, (height, width, channels) uint8."""
        image: np.ndarray = self.images[index]
        return image

    def hashes(self) -> list[bytes]:
        """SHA-256 of each image's pixels."""
        return [hashlib.sha256(image.tobytes()).digest() for image in self.images]


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """A split still encoded, images of any size.

    ``paths`` name the images; their bytes are read from there, or from ``contents`` where several
    lie in one file. ``digests`` are SHA-256 of each image's encoded bytes; ``image_size`` is
    (height, width) where all images share it.
    """

    paths: Sequence[Path]
    labels: np.ndarray
    channels: int
    digests: Sequence[bytes] = ()
    image_size: tuple[int, int] | None = None
    contents: Sequence[bytes] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> np.ndarray:
        """One image, (height, width, channels) uint8; raises ``BadImage``."""
        path = self.paths[index]
        content = read_image(path) if self.contents is None else self.contents[index]
        return decode(content, name=path, channels=self.channels)

    def hashes(self) -> list[bytes]:
        """SHA-256 of each image's encoded bytes."""
        return list(self.digests)


Split = ImageArrays | ImageFiles


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set: ``labels`` of both splits index ``classes``.

    ``fingerprint`` is the SHA-256 (hex) of the content, labels and class names; ``skipped`` names
    the unreadable files that were left out on request.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    channels: int
    fingerprint: str
    licence: str
    source: str
    skipped: tuple[str, ...] = ()

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) that all images of both splits share, or None."""
        size = self.train.image_size
        return size if size == self.test.image_size else None

    @property
    def mirrors(self) -> bool:
        """Whether an image's mirror image is still of its class; a digit's is not."""
        return self.name.partition("-")[0] not in ("digits", "mnist")  # mnist-512 is a part


def image_set(
    name: str,
    classes: Sequence[str],
    train: Split,
    test: Split,
    *,
    licence: str,
    source: str,
    skipped: Sequence[str] = (),
) -> ImageSet:
    """Check a set's labels, sizes and classes, and take its fingerprint; raises ``BadData``."""
    if len(classes) < 2:
        raise BadData(f"{source}: {len(classes)} class; a classifier needs two or more")
    for which, split in (("training", train), ("test", test)):
        if not len(split):
            raise BadData(f"{source}: no {which} images")
        wrong = np.flatnonzero((split.labels < 0) | (split.labels >= len(classes)))
        if len(wrong):
            raise BadData(
                f"{source}: {which} image {wrong[0]} has label {split.labels[wrong[0]]}; "
                f"labels are 0 to {len(classes) - 1}"
            )
    if train.channels != test.channels:
        raise BadData(
            f"{source}: training images have {train.channels} channels, test images {test.channels}"
        )
    return ImageSet(
        name=name,
        classes=tuple(classes),
        train=train,
        test=test,
        channels=train.channels,
        fingerprint=_fingerprint(classes, (train, test)),
        licence=licence,
        source=source,
        skipped=tuple(skipped),
    )


def _fingerprint(classes: Sequence[str], splits: Sequence[Split]) -> str:
    digest = hashlib.sha256(json.dumps(list(classes)).encode())
    for split in splits:
        if isinstance(split, ImageArrays):
            digest.update(repr(split.images.shape).encode())
            digest.update(np.ascontiguousarray(split.images).data)
        else:
            digest.update(b"".join(split.digests))
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()


def held_out(
    labels: np.ndarray, hashes: Sequence[bytes], classes: Sequence[str], source: str
) -> np.ndarray:
    """Mark a fixed fifth of every class as test: the images whose content hash is lowest.

    The choice depends on neither names nor order, and copies of one image stay together. Returns
    a boolean array; raises ``BadData`` for a class without two different images.
    """
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = sorted(np.flatnonzero(labels == label).tolist(), key=lambda row: hashes[row])
        count = max(1, round(len(rows) / 5))
        while count < len(rows) and hashes[rows[count]] == hashes[rows[count - 1]]:
            count += 1
        if count == len(rows):
            raise BadData(
                f"{source}: class {classes[label]!r} has fewer than two different images; "
                "add some, or give a test split"
            )
        test[rows[:count]] = True
    return test
