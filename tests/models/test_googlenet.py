"""GoogLeNet's Table 1, and parity with torchvision."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from convnets.models import create_model
from convnets.models.googlenet import Inception
from tests.models.peers import agree, carry

# Output of each stage at 224 pixels (Table 1): the stem, and the last module before each pooling.
STAGES = {
    "features.stem": (192, 28, 28),
    "features.stage1.inception_a": (256, 28, 28),
    "features.stage1": (480, 28, 28),
    "features.stage2.inception_a": (512, 14, 14),
    "features.stage2.inception_d": (528, 14, 14),
    "features.stage2": (832, 14, 14),
    "features.stage3.inception_a": (832, 7, 7),
    "features.stage3": (1024, 7, 7),
}


@pytest.mark.parametrize("size", [64, 95])
def test_logits_equal_torchvision(size: int) -> None:
    peer = torchvision.models.googlenet(num_classes=10, aux_logits=False, init_weights=False)
    network = create_model("googlenet_bn", num_classes=10)
    carry(peer, network)
    agree(peer, network, size)


def test_output_sizes_of_table_1() -> None:
    with torch.device("meta"):
        network = create_model("googlenet_bn")
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), STAGES)
    assert {name: tuple(maps[name].shape[1:]) for name in STAGES} == STAGES


def convolutions(module: nn.Module) -> int:
    return sum(isinstance(child, nn.Conv2d) for child in module.modules())


def test_57_convolutions_22_layers_deep() -> None:
    with torch.device("meta"):
        network = create_model("googlenet_bn")
    assert convolutions(network) == 57
    modules = [module for module in network.modules() if isinstance(module, Inception)]
    longest = sum(max(convolutions(branch) for branch in m.children()) for m in modules)
    assert (len(modules), convolutions(network.features.stem) + longest + 1) == (9, 22)


def test_small_stem_keeps_all_pixels_for_the_first_module() -> None:
    with torch.device("meta"):
        network = create_model("googlenet_bn", stem="small")
        maps = network.forward_intermediates(
            torch.empty(1, 3, 32, 32), ["features.stem", "features"]
        )
    assert maps["features.stem"].shape == (1, 192, 32, 32)
    assert maps["features"].shape == (1, 1024, 8, 8)
