"""What a run is: everything that decides its result but the machine."""

from __future__ import annotations

from typing import Any, Literal

import torch

from convnets.data import ImageSet
from convnets.data.augment import without_mirroring
from convnets.errors import UsageError
from convnets.files import short_hash
from convnets.layers.network import ConvNet, failing_layer
from convnets.models import create_model
from convnets.recipes import Recipe
from convnets.records import DataRecord, Record
from convnets.training.objective import make_objective
from convnets.training.regularisation import Stage, freeze, progressive_stage
from convnets.training.state import weights_sha256
from convnets.weights.pretrained import load_weights

SMALLEST_INPUT = 32


class Plan(Record):
    """A run's plan, all choices made: ``stem`` is a form, ``input_size`` is pixels.

    ``weights_sha256`` is that of the weights it starts from, where the recipe names some.
    """

    model: str
    stem: Literal["paper", "small"]
    recipe: Recipe
    data: DataRecord
    input_size: int
    seed: int
    weights_sha256: str | None = None

    def content(self) -> dict[str, Any]:
        """What decides the result, as JSON: the recipe without its prose."""
        off = {"weights_sha256"} if self.weights_sha256 is None else None
        return {**self.model_dump(mode="json", exclude=off), "recipe": self.recipe.values()}

    def stage(self, epoch: int) -> Stage | None:
        """What ``epoch`` (from 0) is trained at, in a run that grows."""
        recipe = self.recipe
        if recipe.progressive is None:
            return None
        return progressive_stage(
            recipe.progressive, epoch, recipe.epochs, self.input_size, recipe.dropout
        )

    @property
    def sizes(self) -> list[int]:
        """Side of the images that each epoch is trained on."""
        stages = (self.stage(epoch) for epoch in range(self.recipe.epochs))
        return [self.input_size if stage is None else stage.size for stage in stages]

    @property
    def run_name(self) -> str:
        """A folder name that says what the run is, and a hash of all the rest."""
        stem = "" if self.stem == "paper" else "-small"
        data = "".join(c if c.isalnum() or c in ".-" else "-" for c in self.data.name.lower())[:40]
        model = "".join(c if c.isalnum() or c in ".-_" else "-" for c in self.model)[:60]
        return (
            f"{model}{stem}-{data}-{self.recipe.name}-e{self.recipe.epochs}"
            f"-s{self.seed}-{short_hash(self.content())}"
        )


def make_plan(model: str, image_set: ImageSet, recipe: Recipe, seed: int) -> Plan:
    """Settle what a recipe leaves open for this network and this data.

    Raises ``UsageError`` for an unknown network, for an image that it does not take, and for a
    recipe that asks for parts which it does not have.
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
    make_objective(network, recipe)
    if recipe.freeze is not None:
        freeze(network, recipe.freeze)
    if not image_set.mirrors:
        augmentation = without_mirroring(recipe.augmentation)
        recipe = recipe.model_copy(update={"augmentation": augmentation})
    if not 0 <= seed < 2**31:
        raise UsageError(f"seed is {seed}; it must be from 0 to {2**31 - 1}")
    plan = Plan(
        model=model,
        stem=network.spec.stem,
        recipe=recipe,
        data=data_record(image_set),
        input_size=size,
        seed=seed,
        weights_sha256=recipe.weights and fingerprint(network, model, recipe.weights),
    )
    first = plan.stage(0)
    if first is not None and (layer := failing_layer(network, first.size, first.size)):
        raise UsageError(
            f"{model} does not take images of {first.size}x{first.size}, which training that grows "
            f"starts with: {layer} cannot; raise progressive.size_from"
        )
    return plan


def fingerprint(network: ConvNet, model: str, weights: str) -> str:
    """SHA-256 of ``weights`` as they come into a network of this shape, the rest of it zeros."""
    blank = network.to_empty(device="cpu")
    with torch.no_grad():
        for value in blank.state_dict().values():
            value.zero_()
    load_weights(blank, model, weights)
    return weights_sha256(blank)


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
