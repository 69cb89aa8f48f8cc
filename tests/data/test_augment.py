"""The settings: what is off leaves no trace, and what cannot be is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from convnets.data.augment import (
    Augmentation,
    ColourJitter,
    Erasing,
    RandAugment,
    ResizedCrop,
    ScaleJitter,
    weakened,
    without_mirroring,
)

EVERYTHING = Augmentation(
    flip=True,
    resized_crop=ResizedCrop(),
    colour_jitter=ColourJitter(brightness=0.4, hue=0.1),
    pca=0.1,
    rand_augment=RandAugment(),
    erasing=Erasing(),
    cutout=4,
    mixup=0.2,
    cutmix=1.0,
    mix_probability=0.5,
)


def test_what_is_off_is_none() -> None:
    content = Augmentation(padding=4, flip=True).model_dump(mode="json", exclude_none=True)
    assert content == {"padding": 4, "padding_mode": "reflect", "flip": True}


def test_settings_survive_json() -> None:
    assert Augmentation.model_validate_json(EVERYTHING.model_dump_json()) == EVERYTHING


def test_only_the_flip_mirrors() -> None:
    plain = without_mirroring(EVERYTHING)
    changed = {
        name
        for name in Augmentation.model_fields
        if getattr(plain, name) != getattr(EVERYTHING, name)
    }
    assert changed == {"flip"}
    assert not plain.flip


def test_strength_scales_the_magnitude_alone() -> None:
    weaker = weakened(EVERYTHING, 0.5)
    assert weaker.rand_augment == RandAugment(magnitude=4.5)
    assert weaker.model_copy(update={"rand_augment": RandAugment()}) == EVERYTHING
    assert weakened(EVERYTHING, 1) is EVERYTHING


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"padding": 4, "resized_crop": {}}, "choose one of padding"),
        ({"scale_jitter": {}, "resized_crop": {}}, "choose one of padding"),
        ({"rand_augment": {}, "trivial_augment": True}, "choose one of rand_augment"),
        ({"trivial_augment": False}, "Input should be True"),
        ({"mix_probability": 0.5}, "mix_probability needs mixup or cutmix"),
        ({"mixup": 0}, "greater than 0"),
        ({"resized_crop": {"scale": [0.5, 1.5]}}, "at most 1"),
        ({"resized_crop": {"scale": [0.5, 0.2]}}, "the smaller one first"),
        ({"resized_crop": {"ratio": [0, 1]}}, "two positive numbers"),
        ({"scale_jitter": {"low": 2, "high": 1.5}}, "the smaller one first"),
        (
            {"rand_augment": {"magnitude": 11, "maximum": 10}},
            "magnitude 11 is above",
        ),
        ({"erasing": {"probability": 1.5}}, "less than or equal to 1"),
        ({"colour_jitter": {"hue": 0.6}}, "less than or equal to 0.5"),
        ({"cutout": 0}, "greater than or equal to 1"),
        ({"erasing": {"fill": "black"}}, "'noise' or 'mean'"),
    ],
)
def test_settings_that_cannot_be_are_refused(content: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Augmentation.model_validate(content)


def test_defaults_are_the_papers() -> None:
    assert ResizedCrop() == ResizedCrop(scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3))
    assert (ScaleJitter().low * 224, ScaleJitter().high * 224) == pytest.approx((256, 512))
    assert Erasing().area == (0.02, 0.4)
    assert Erasing().ratio[0] * Erasing().ratio[1] == pytest.approx(1)
