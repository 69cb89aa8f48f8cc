"""A part of a set has every class, distinct samples, and a name and fingerprint of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convnets.data.sets import ImageFiles
from convnets.data.subset import chosen, spread, subset
from convnets.errors import UsageError
from tests.runs.tiny import tiny_set


def test_every_class_is_there_as_often_as_can_be() -> None:
    whole = tiny_set(train=200, test=50)
    part = subset(whole, 60)
    assert np.bincount(part.train.labels).tolist() == [6] * 10
    assert len(part.test) == 50
    hashes = part.train.hashes()
    assert len(set(hashes)) == 60
    assert set(hashes) <= set(whole.train.hashes())
    ordered = replace(whole.train, labels=np.sort(whole.train.labels))
    assert np.bincount(spread(ordered, 30).labels).tolist() == [3] * 10


def test_its_name_and_fingerprint_are_its_own() -> None:
    digits = tiny_set("mnist")
    part = subset(digits, 20)
    assert part.name == "mnist-20"
    assert not part.mirrors
    assert len({digits.fingerprint, part.fingerprint, subset(digits, 10).fingerprint}) == 3


def test_files_keep_path_label_and_digest_together() -> None:
    split = ImageFiles(
        paths=tuple(Path(f"{number}.png") for number in range(6)),
        labels=np.arange(6),
        channels=3,
        digests=tuple(bytes([number]) for number in range(6)),
    )
    part = chosen(split, [4, 1])
    assert isinstance(part, ImageFiles)
    assert part.paths == (Path("4.png"), Path("1.png"))
    assert part.labels.tolist() == [4, 1]
    assert part.digests == (b"\x04", b"\x01")


def test_no_image_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        subset(tiny_set(), 0)
