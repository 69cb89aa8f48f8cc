"""Runs of a second: grey noise of 32x32 pixels, and a recipe for two epochs of it."""

from __future__ import annotations

import numpy as np
import torch

from convnets.data import ImageArrays, ImageSet
from convnets.recipes import Recipe
from convnets.training.engine import Engine
from convnets.training.settings import AdamW, Cosine

CPU = Engine(torch.device("cpu"))
RECIPE = Recipe(
    name="tiny",
    summary="two epochs",
    epochs=2,
    batch_size=16,
    optimizer=AdamW(lr=3e-3),
    schedule=Cosine(),
)


def tiny_set(
    name: str = "noise",
    *,
    side: int = 32,
    channels: int = 1,
    classes: int = 10,
    train: int = 40,
    test: int = 20,
) -> ImageSet:
    """A set whose classes differ in brightness, and its own content's fingerprint."""
    draw = np.random.default_rng(0)

    def split(count: int) -> ImageArrays:
        labels = np.arange(count, dtype=np.int64) % classes
        noise = draw.integers(0, 56, (count, side, side, channels))
        images = (labels[:, None, None, None] * (200 // classes) + noise).astype(np.uint8)
        return ImageArrays(images, labels)

    return ImageSet(
        name=name,
        classes=tuple(f"class {number}" for number in range(classes)),
        train=split(train),
        test=split(test),
        channels=channels,
        fingerprint=f"{name} {side} {channels} {classes}",
        licence="none",
        source="made here",
    )
