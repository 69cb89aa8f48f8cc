"""What a run starts from: pixels as the recipe wants them, and losses weighed as it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from convnets.data import ImageArrays, ImageSet
from convnets.data.batches import make_batches
from convnets.models import create_model
from convnets.recipes import Recipe
from convnets.runs.start import objective_of, statistics
from convnets.training.objective import Part
from tests.runs.tiny import CPU, RECIPE, tiny_set


def normalised(image_set: ImageSet, recipe: Recipe) -> torch.Tensor:
    """Every training image as a network of this recipe sees it."""
    mean, deviation = statistics(image_set, recipe, None)
    batches = make_batches(
        image_set.train,
        size=32,
        batch_size=100,
        mean=mean,
        deviation=deviation,
        device=CPU.device,
        seed=0,
        augmentation=None,
        training=False,
    )
    return torch.cat([batch.images for batch in batches.epoch(0)])


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_normalised_as_the_recipe_says(channels: int) -> None:
    noise = tiny_set(channels=channels)
    assert isinstance(noise.train, ImageArrays)
    pixels = torch.from_numpy(noise.train.images).permute(0, 3, 1, 2).double() / 255
    mean = pixels.mean((0, 2, 3), keepdim=True)
    deviation = pixels.std((0, 2, 3), correction=0, keepdim=True)
    # torchvision's transforms.Normalize for ImageNet; grey has the mean of its three values.
    released = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()
    if channels == 1:
        released = released.mean(1, keepdim=True)
    expected = {
        None: (pixels - mean) / deviation,
        "mean": pixels - mean,
        "unit": pixels,
        "imagenet": (pixels - released[0].view(-1, 1, 1)) / released[1].view(-1, 1, 1),
    }
    for normalise, wanted in expected.items():
        recipe = RECIPE.model_copy(update={"normalise": normalise})
        torch.testing.assert_close(
            normalised(noise, recipe).double(), wanted, rtol=1e-5, atol=1e-5, msg=str(normalise)
        )


def test_classes_weigh_as_scikit_learn_says_balanced() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    plain = tiny_set(classes=3)
    images = np.zeros((10, 32, 32, 1), np.uint8)
    uneven = ImageSet(**{**vars(plain), "train": ImageArrays(images, labels)})
    recipe = RECIPE.model_copy(update={"class_weights": "balanced"})
    network = create_model("lenet5_modern", num_classes=3, in_chans=1)
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    part = Part(torch.zeros(10, 1, 32, 32), torch.from_numpy(labels))
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    expected = F.cross_entropy(logits, part.targets, torch.from_numpy(weights).float())
    found = objective_of(network, recipe, uneven, CPU).loss(logits, {}, part)
    torch.testing.assert_close(found, expected)
    unweighed = objective_of(network, RECIPE, uneven, CPU).loss(logits, {}, part)
    torch.testing.assert_close(unweighed, F.cross_entropy(logits, part.targets))
