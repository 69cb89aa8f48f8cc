"""Validation images out of the training split, for choices that may not see the test split."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from convnets.data import ImageSet
from convnets.data.sets import Split
from convnets.data.subset import chosen
from convnets.errors import BadData, UsageError


def held_out(image_set: ImageSet, share: float, seed: int = 0) -> ImageSet:
    """The training images alone, a ``share`` of each class held out as the ``test`` split.

    Which ones depends on their content and ``seed``, not on names or order, and copies of one image
    stay on one side. The test images of ``image_set`` are in neither split. Raises ``UsageError``
    for a share that is not between 0 and 1, ``BadData`` for a class without two different images.
    """
    if not 0 < share < 1:
        raise UsageError(f"{share:g} of the training images held out; a share is between 0 and 1")
    held = _marked(image_set.train, share, seed, image_set)
    digest = hashlib.sha256(f"{image_set.fingerprint} held out {share} {seed}".encode())
    return replace(
        image_set,
        name=f"{image_set.name}-holdout",
        train=chosen(image_set.train, np.flatnonzero(~held)),
        test=chosen(image_set.train, np.flatnonzero(held)),
        fingerprint=digest.hexdigest(),
    )


def _marked(split: Split, share: float, seed: int, image_set: ImageSet) -> np.ndarray:
    """Which images are held out: of each class those whose hash, salted by ``seed``, is lowest."""
    salt = f"{seed} ".encode()
    order = [hashlib.sha256(salt + digest).digest() for digest in split.hashes()]
    held = np.zeros(len(split), dtype=bool)
    for label in np.unique(split.labels):
        rows = sorted(np.flatnonzero(split.labels == label).tolist(), key=lambda row: order[row])
        count = max(1, round(len(rows) * share))
        while count < len(rows) and order[rows[count]] == order[rows[count - 1]]:
            count += 1
        if count == len(rows):
            raise BadData(
                f"{image_set.source}: class {image_set.classes[label]!r} has too few different "
                f"training images to hold out {share:g} of them"
            )
        held[rows[:count]] = True
    return held
