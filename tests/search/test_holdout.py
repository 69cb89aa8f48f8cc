"""The validation part: disjoint, whole, stratified, the same again, and no test image in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convnets.data import ImageSet, load_data
from convnets.data.sets import ImageArrays
from convnets.errors import BadData, UsageError
from convnets.search.holdout import held_out


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_data("digits")


def test_the_two_parts_are_the_training_images_and_no_test_image(digits: ImageSet) -> None:
    parts = held_out(digits, 0.1, 0)
    train, held = parts.train.hashes(), parts.test.hashes()
    assert sorted(train + held) == sorted(digits.train.hashes())
    assert not set(train) & set(held)
    assert not set(held) & (set(digits.test.hashes()) - set(digits.train.hashes()))
    assert not parts.mirrors, "a digit stays one"


def test_each_class_gives_its_share(digits: ImageSet) -> None:
    whole = np.bincount(digits.train.labels)
    held = np.bincount(held_out(digits, 0.1, 0).test.labels)
    assert np.abs(held - whole / 10).max() <= 1


def test_the_choice_follows_the_seed_and_not_the_order(digits: ImageSet) -> None:
    order = np.random.default_rng(0).permutation(len(digits.train))
    shuffled = replace(
        digits, train=ImageArrays(digits.train.images[order], digits.train.labels[order])
    )
    first = held_out(digits, 0.2, 0)
    assert set(held_out(shuffled, 0.2, 0).test.hashes()) == set(first.test.hashes())
    again, other = held_out(digits, 0.2, 0), held_out(digits, 0.2, 1)
    assert again.fingerprint == first.fingerprint
    assert set(other.test.hashes()) != set(first.test.hashes())
    assert len({digits.fingerprint, first.fingerprint, other.fingerprint}) == 3


def test_copies_of_one_image_stay_on_one_side(digits: ImageSet) -> None:
    images = np.stack([np.full((2, 2, 1), n // 5, np.uint8) for n in range(50)])
    copies = ImageArrays(images, np.zeros(50, np.int64))
    parts = held_out(replace(digits, train=copies), 0.05, 0)
    assert len(parts.test) == 5
    assert not set(parts.test.hashes()) & set(parts.train.hashes())


def test_too_few_images_and_a_wrong_share_are_refused(digits: ImageSet) -> None:
    alone = ImageArrays(np.zeros((2, 2, 2, 1), np.uint8), np.zeros(2, np.int64))
    with pytest.raises(BadData, match="too few different training images"):
        held_out(replace(digits, train=alone), 0.1, 0)
    for share in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="a share is between 0 and 1"):
            held_out(digits, share, 0)
