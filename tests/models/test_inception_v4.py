"""What is true of Inception v4 alone: the maps of Fig. 3 and 9, the boxes of its figures."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnets.layers.inception import average_pool
from convnets.models import create_model


def test_maps_of_the_stem() -> None:
    with torch.device("meta"):
        network = create_model("inception_v4")
        names = [f"features.stem.{name}" for name in ("conv1", "conv2", "conv3")]
        names += [f"features.stem.fork{index}" for index in (1, 2, 3)]
        maps = network.forward_intermediates(torch.empty(1, 3, 299, 299), names)
    assert [tuple(maps[name].shape[1:]) for name in names] == [
        (32, 149, 149),
        (32, 147, 147),
        (64, 147, 147),
        (160, 73, 73),
        (192, 71, 71),
        (384, 35, 35),
    ]


def test_maps_of_figure_9() -> None:
    with torch.device("meta"):
        network = create_model("inception_v4")
        names = [f"features.stage{index}" for index in (1, 2, 3)]
        maps = network.forward_intermediates(torch.empty(1, 3, 299, 299), names)
    assert [tuple(maps[name].shape[1:]) for name in names] == [
        (384, 35, 35),
        (1024, 17, 17),
        (1536, 8, 8),
    ]


# Boxes with weights in Fig. 3 to 8, and how often Fig. 9 repeats each.
@pytest.mark.parametrize(
    ("part", "boxes", "times"),
    [
        ("stem", 11, 1),
        ("stage1.block1", 7, 4),
        ("stage2.reduction", 4, 1),
        ("stage2.block1", 10, 7),
        ("stage3.reduction", 6, 1),
        ("stage3.block1", 10, 3),
    ],
)
def test_boxes_of_the_figures(part: str, boxes: int, times: int) -> None:
    with torch.device("meta"):
        features = create_model("inception_v4").features
    convolutions = [m for m in features.get_submodule(part).modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == boxes
    stage, _, block = part.partition(".")
    if block == "block1":
        blocks = [name for name, _ in features.get_submodule(stage).named_children()]
        assert len([name for name in blocks if name.startswith("block")]) == times


def test_an_average_is_not_of_padding() -> None:
    ones = torch.ones(1, 1, 4, 4)
    assert torch.equal(average_pool()(ones), ones)


def test_small_stem_halves_once() -> None:
    with torch.device("meta"):
        network = create_model("inception_v4", stem="small", num_classes=10)
        names = ["features.stem.fork2", *(f"features.stage{index}" for index in (1, 2, 3))]
        maps = network.forward_intermediates(torch.empty(1, 3, 32, 32), names)
    assert [maps[name].shape[-1] for name in names] == [32, 15, 7, 3]
