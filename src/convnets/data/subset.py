"""A part of a data set, for trials of what takes long on the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convnets.data.sets import ImageArrays, ImageSet, Split
from convnets.errors import UsageError


def chosen(split: Split, rows: Sequence[int] | np.ndarray) -> Split:
    """The samples of ``split`` at ``rows``, in that order."""
    rows = np.asarray(rows, dtype=np.int64)
    if isinstance(split, ImageArrays):
        return ImageArrays(split.images[rows], split.labels[rows])
    return replace(
        split,
        paths=tuple(split.paths[row] for row in rows),
        labels=split.labels[rows],
        digests=tuple(split.digests[row] for row in rows) if split.digests else (),
        contents=None if split.contents is None else [split.contents[row] for row in rows],
    )


def spread(split: Split, count: int) -> Split:
    """``count`` samples, or all, spread evenly over the classes and over each class.

    Sorted by class first, so that a split that is kept in that order loses none.
    """
    if count < 1:
        raise UsageError(f"{count} images asked for; at least one is needed")
    if count >= len(split):
        return split
    order = np.argsort(split.labels, kind="stable")
    return chosen(split, np.sort(order[np.linspace(0, len(split) - 1, count).astype(np.int64)]))


def subset(image_set: ImageSet, images: int) -> ImageSet:
    """A set of at most ``images`` training and as many test images, with a name that says so."""
    train, test = spread(image_set.train, images), spread(image_set.test, images)
    digest = hashlib.sha256(f"{image_set.fingerprint} {len(train)} {len(test)}".encode())
    return replace(
        image_set,
        name=f"{image_set.name}-{images}",
        train=train,
        test=test,
        fingerprint=digest.hexdigest(),
    )
