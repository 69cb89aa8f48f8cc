"""What is true of ResNet alone: Table 1, the CIFAR stem, and torchvision's logits."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from convnets.models import create_model
from tests.models.peers import agree, carry


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_logits_equal_torchvision(name: str) -> None:
    peer = torchvision.models.get_model(name)
    network = create_model(name)
    carry(peer, network)
    agree(peer, network, 64)


@pytest.mark.parametrize(
    ("name", "layers", "channels"),
    [
        ("resnet18", 18, (64, 128, 256, 512)),
        ("resnet34", 34, (64, 128, 256, 512)),
        ("resnet50", 50, (256, 512, 1024, 2048)),
        ("resnet101", 101, (256, 512, 1024, 2048)),
    ],
)
def test_layers_and_stages_of_table_1(name: str, layers: int, channels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = create_model(name)
        stages = [f"features.stage{stage}" for stage in (1, 2, 3, 4)]
        maps = network.forward_intermediates(
            torch.empty(1, 3, 224, 224), ["features.stem", *stages]
        )
    assert maps.pop("features.stem").shape == (1, 64, 56, 56)
    sides = (56, 28, 14, 7)
    assert [tuple(maps[stage].shape) for stage in stages] == [
        (1, width, side, side) for width, side in zip(channels, sides, strict=True)
    ]
    weighted = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(weighted) == layers


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet18", 11.174), ("resnet34", 21.282), ("resnet50", 23.521), ("resnet101", 42.513)],
)
def test_small_stem_trades_49_taps_for_9(name: str, millions: float) -> None:
    with torch.device("meta"):
        network = create_model(name, stem="small", num_classes=10)
        maps = network.forward_features(torch.empty(1, 3, 32, 32))
    params = sum(parameter.numel() for parameter in network.parameters())
    assert round(params / 1e6, 3) == millions
    assert maps.shape[-2:] == (4, 4)


def test_residual_branch_is_added_to_the_input() -> None:
    block = create_model("resnet18").features.stage1.block1.eval()
    nn.init.zeros_(block.conv2.norm.weight)
    x = torch.rand(1, 64, 8, 8)
    torch.testing.assert_close(block(x), x)
