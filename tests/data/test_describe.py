"""Descriptions against counts made by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from convnets.data import ImageArrays, load_data
from convnets.data.describe import LABEL_WIDTH, TILE, contact_sheet, describe
from convnets.data.sets import image_set


def test_describes_counts_duplicates_and_imbalance() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    images[5] = images[4]  # within train
    images[25] = images[3]  # test image that is in train
    images[26] = images[27]  # within test
    labels = np.array([0] * 20 + [1] * 2 + [0] * 8)
    train, test = ImageArrays(images[:22], labels[:22]), ImageArrays(images[22:], labels[22:])
    found = describe(image_set("toy", ("a", "b"), train, test, licence="none", source="here"))
    assert found.train_counts == (20, 2)
    assert found.test_counts == (8, 0)
    assert (found.duplicates_in_train, found.duplicates_in_test) == (1, 1)
    assert found.duplicates_across == 1
    assert found.imbalance == 10
    assert found.image_size == (8, 8)
    assert found.mean == pytest.approx(((images[:22] / 255).mean(),))
    assert len(found.warnings) == 5


def test_contact_sheet_shows_the_first_images_of_each_class() -> None:
    digits = load_data("digits")
    sheet = Image.open(io.BytesIO(contact_sheet(digits, columns=4, per_class=6)))
    assert sheet.format == "PNG"
    # ten classes of two rows each
    assert sheet.height // TILE >= 20
    pixels = np.asarray(sheet)
    row = int(np.flatnonzero(digits.train.labels == 0)[0])
    tile = pixels[4 : 4 + TILE, LABEL_WIDTH : LABEL_WIDTH + TILE, 0]
    expected = Image.fromarray(digits.train.image(row)[..., 0]).resize(
        (TILE, TILE), Image.Resampling.BILINEAR
    )
    assert np.abs(tile.astype(int) - np.asarray(expected)).max() <= 1


def test_built_in_digits_are_clean() -> None:
    found = describe(load_data("digits"))
    assert sum(found.train_counts) == 1437
    assert found.test_counts == (36,) * 10
    assert found.duplicates_across == 0
    assert found.warnings == ()
