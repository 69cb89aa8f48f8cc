"""What a run starts from: its network with its first weights, its batches, and its loss."""

from __future__ import annotations

from collections.abc import Callable

import torch

from convnets.data import ImageSet
from convnets.data.batches import Batches, make_batches
from convnets.data.measure import normalisation
from convnets.data.sets import Progress
from convnets.layers.network import ConvNet
from convnets.recipes import Recipe
from convnets.runs.plan import Plan
from convnets.training.engine import Engine
from convnets.training.objective import Objective, balanced_weights, make_objective
from convnets.weights.model_file import ModelDescription, build
from convnets.weights.pretrained import load_weights

# torchvision's and timm's, of the training images of ImageNet.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def described(plan: Plan, image_set: ImageSet, progress: Progress | None) -> ModelDescription:
    """The network of a plan, and how images become its input."""
    mean, deviation = statistics(image_set, plan.recipe, progress)
    return ModelDescription(
        model=plan.model,
        stem=plan.stem,
        classes=image_set.classes,
        in_chans=image_set.channels,
        input_size=plan.input_size,
        mean=mean,
        deviation=deviation,
        data=image_set.name,
    )


def statistics(
    image_set: ImageSet, recipe: Recipe, progress: Progress | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What each channel is lessened by and divided by, in units where white is 1."""
    channels = image_set.channels
    match recipe.normalise:
        case None:
            return normalisation(image_set.train, progress)
        case "mean":
            return normalisation(image_set.train, progress)[0], (1.0,) * channels
        case "unit":
            return (0.0,) * channels, (1.0,) * channels
        case "imagenet":
            mean, deviation = IMAGENET
            if channels == len(mean):
                return mean, deviation
            return (sum(mean) / 3,) * channels, (sum(deviation) / 3,) * channels


def first_network(
    plan: Plan, description: ModelDescription, note: Callable[[str], None]
) -> ConvNet:
    """The network with the weights that training starts from; what was adapted goes to ``note``."""
    torch.manual_seed(plan.seed)
    network = build(description)
    if plan.recipe.weights is not None:
        for remark in load_weights(network, plan.model, plan.recipe.weights):
            note(f"{plan.run_name}: {remark}")
    return network


def batches_of(
    plan: Plan,
    description: ModelDescription,
    image_set: ImageSet,
    engine: Engine,
    training: bool,
    progress: Progress | None = None,
) -> Batches:
    """This rank's part of the batches that a plan is trained on, or tested on."""
    recipe = plan.recipe
    return make_batches(
        image_set.train if training else image_set.test,
        size=plan.input_size,
        batch_size=recipe.batch_size if training else max(recipe.batch_size, 250),
        mean=description.mean,
        deviation=description.deviation,
        device=engine.device,
        seed=plan.seed,
        augmentation=recipe.augmentation if training else None,
        training=training,
        sampling=recipe.sampling,
        channels_last=engine.channels_last,
        progress=progress,
        rank=engine.ranks.rank,
        world=engine.ranks.world,
    )


def objective_of(
    network: ConvNet, recipe: Recipe, image_set: ImageSet, engine: Engine
) -> Objective:
    """What training minimises, its classes weighed by their counts if the recipe wants it."""
    if recipe.class_weights is None:
        return make_objective(network, recipe)
    labels = torch.from_numpy(image_set.train.labels)
    weights = balanced_weights(labels, len(image_set.classes))
    return make_objective(network, recipe, weights.to(engine.device))
