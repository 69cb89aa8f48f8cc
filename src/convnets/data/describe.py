"""What a person should know of a data set before training on it, and a sheet of samples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from convnets.data.batches import normalisation
from convnets.data.fit import fitted
from convnets.data.sets import ImageSet, Split
from convnets.errors import printable

IMBALANCE = 10.0
"""A largest class this many times the smallest is worth a warning."""

TILE = 64
GAP = 4
LABEL_WIDTH = 120


@dataclass(frozen=True)
class Description:
    """``mean`` and ``deviation`` are per channel of the training split, where white is 1.

    ``train_counts`` and ``test_counts`` follow ``classes``. Duplicates are images equal in content
    to an earlier one: in their own split, or (``duplicates_across``) test images that are in the
    training split too. ``imbalance`` is the largest training class over the smallest.
    """

    name: str
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    image_size: tuple[int, int] | None
    channels: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    duplicates_in_train: int
    duplicates_in_test: int
    duplicates_across: int
    imbalance: float
    fingerprint: str
    licence: str
    source: str
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(image_set: ImageSet) -> Description:
    """Count, measure and check a data set; raises ``BadImage`` for a file changed since."""
    counts = [
        np.bincount(split.labels, minlength=len(image_set.classes)).tolist()
        for split in (image_set.train, image_set.test)
    ]
    train, test = (Counter(split.hashes()) for split in (image_set.train, image_set.test))
    in_train = train.total() - len(train)
    in_test = test.total() - len(test)
    across = sum(count for digest, count in test.items() if digest in train)
    imbalance = max(counts[0]) / max(1, min(counts[0]))
    mean, deviation = normalisation(image_set.train)
    warnings = [
        f"{count} {what}"
        for count, what in (
            (across, "test images are in the training split too: test accuracy will flatter"),
            (in_train, "training images repeat an earlier one"),
            (in_test, "test images repeat an earlier one"),
            (len(image_set.skipped), "unreadable files are left out"),
        )
        if count
    ]
    if imbalance >= IMBALANCE:
        warnings.append(f"the largest class has {imbalance:.0f} times the images of the smallest")
    for name, count in zip(image_set.classes, counts[1], strict=True):
        if not count:
            warnings.append(f"class {name} has no test image")
    return Description(
        name=image_set.name,
        classes=image_set.classes,
        train_counts=tuple(counts[0]),
        test_counts=tuple(counts[1]),
        image_size=image_set.image_size,
        channels=image_set.channels,
        mean=mean,
        deviation=deviation,
        duplicates_in_train=in_train,
        duplicates_in_test=in_test,
        duplicates_across=across,
        imbalance=imbalance,
        fingerprint=image_set.fingerprint,
        licence=image_set.licence,
        source=image_set.source,
        skipped=image_set.skipped,
        warnings=tuple(warnings),
    )


def contact_sheet(image_set: ImageSet, *, columns: int = 10, per_class: int = 10) -> bytes:
    """Draw the first ``per_class`` training images of each class, rows of ``columns``, as a PNG.

    Each class begins a row, with its name at the left.
    """
    rows_a_class = -(-per_class // columns)
    step = TILE + GAP
    width = LABEL_WIDTH + columns * step + GAP
    height = len(image_set.classes) * rows_a_class * step + GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(image_set.classes):
        top = GAP + label * rows_a_class * step
        draw.text((GAP, top + TILE // 2 - GAP), printable(name)[:18], fill="black")
        members = np.flatnonzero(image_set.train.labels == label)[:per_class].tolist()
        for place, row in enumerate(members):
            tile = _tile(image_set.train, row)
            left = LABEL_WIDTH + place % columns * step
            sheet.paste(tile, (left, top + place // columns * step))
    file = BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _tile(split: Split, row: int) -> Image.Image:
    pixels = fitted(split.image(row)[None], TILE)[0]
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
