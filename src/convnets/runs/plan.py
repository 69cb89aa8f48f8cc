"""What a run is: everything that decides its result but the machine."""

from __future__ import annotations

from typing import Any, Literal

import torch

from convnets.data import ImageSet
from convnets.errors import UsageError
from convnets.files import short_hash
from convnets.layers.network import failing_layer
from convnets.models import create_model
from convnets.recipes import Recipe
from convnets.records import DataRecord, Record

SMALLEST_INPUT = 32


class Plan(Record):
    """A run's plan, all choices made: ``stem`` is a form, ``input_size`` is pixels."""

    model: str
    stem: Literal["paper", "small"]
    recipe: Recipe
    data: DataRecord
    input_size: int
    seed: int

    def content(self) -> dict[str, Any]:
        """What decides the result, as JSON: the recipe without its prose."""
        return {**self.model_dump(mode="json"), "recipe": self.recipe.values()}

    @property
    def run_name(self) -> str:
        """A folder name that says what the run is, and a hash of all the rest."""
        stem = "" if self.stem == "paper" else "-small"
        data = "".join(c if c.isalnum() or c in ".-" else "-" for c in self.data.name.lower())[:40]
        return (
            f"{self.model}{stem}-{data}-{self.recipe.name}-e{self.recipe.epochs}"
            f"-s{self.seed}-{short_hash(self.content())}"
        )


def make_plan(model: str, image_set: ImageSet, recipe: Recipe, seed: int) -> Plan:
    """Settle what a recipe leaves open for this network and this data.

    Raises ``UsageError`` for an unknown network and for an image that it does not take.
    """
    size = recipe.input_size or natural_size(image_set)
    with torch.device("meta"):
        network = create_model(
            model,
            num_classes=len(image_set.classes),
            in_chans=image_set.channels,
            stem=recipe.stem,
            input_size=size,
        )
    if layer := failing_layer(network, size, size):
        raise UsageError(
            f"{model} with its {network.spec.stem} stem does not take images of {size}x{size}: "
            f"{layer} cannot; choose another size or stem"
        )
    if recipe.augmentation.flip and not image_set.mirrors:
        augmentation = recipe.augmentation.model_copy(update={"flip": False})
        recipe = recipe.model_copy(update={"augmentation": augmentation})
    if not 0 <= seed < 2**31:
        raise UsageError(f"seed is {seed}; it must be from 0 to {2**31 - 1}")
    return Plan(
        model=model,
        stem=network.spec.stem,
        recipe=recipe,
        data=data_record(image_set),
        input_size=size,
        seed=seed,
    )


def natural_size(image_set: ImageSet) -> int:
    """Side of a network's input: the images' own up to 64 pixels, at least 32, else 224."""
    if image_set.image_size is None or max(image_set.image_size) > 64:
        return 224
    return max(SMALLEST_INPUT, *image_set.image_size)


def data_record(image_set: ImageSet) -> DataRecord:
    """What a result says of its data."""
    return DataRecord(
        name=image_set.name,
        fingerprint=image_set.fingerprint,
        classes=image_set.classes,
        channels=image_set.channels,
        image_size=image_set.image_size,
        train_images=len(image_set.train),
        test_images=len(image_set.test),
    )
