"""What is true of DenseNet alone: Table 1, the dense connections, and the CIFAR stem."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.layers.dense_block import DenseLayer
from convnets.layers.network import ConvNet
from convnets.models import create_model

# Layers of each dense block, and the growth rate.
TABLE_1 = {
    "densenet121": ((6, 12, 24, 16), 32),
    "densenet169": ((6, 12, 32, 32), 32),
    "densenet201": ((6, 12, 48, 32), 32),
    "densenet161": ((6, 12, 36, 24), 48),
    "densenet264": ((6, 12, 64, 48), 32),
}


@cache
def shapes_alone(name: str) -> ConvNet:
    """A network on the meta device."""
    with torch.device("meta"):
        return create_model(name)


@pytest.mark.parametrize("name", TABLE_1)
def test_stages_of_table_1(name: str) -> None:
    depths, growth_rate = TABLE_1[name]
    stages = [f"features.stage{stage}" for stage in (1, 2, 3, 4)]
    images = torch.empty(1, 3, 224, 224, device="meta")
    maps = shapes_alone(name).forward_intermediates(images, ["features.stem", *stages])
    channels = 2 * growth_rate
    assert maps["features.stem"].shape == (1, channels, 56, 56)
    for stage, depth, side in zip(stages, depths, (56, 28, 14, 7), strict=True):
        channels += depth * growth_rate
        assert maps[stage].shape == (1, channels, side, side)
        channels //= 2  # the transition


@pytest.mark.parametrize("name", TABLE_1)
def test_the_number_in_the_name_counts_layers(name: str) -> None:
    weighted = [m for m in shapes_alone(name).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    # Twice 130 in the blocks, and 5: Table 1's DenseNet-264 has one more than its name says.
    surplus = 1 if name == "densenet264" else 0
    assert len(weighted) == int(name.removeprefix("densenet")) + surplus


def normalised(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Batch normalisation in evaluation, and ReLU, written out."""
    shape = (1, -1, 1, 1)
    variance = norm.running_var.view(shape) + 1e-5
    centred = (x - norm.running_mean.view(shape)) / variance.sqrt()
    return (norm.weight.view(shape) * centred + norm.bias.view(shape)).clamp(min=0)


def drawn(layer: DenseLayer) -> DenseLayer:
    """Give every tensor of a layer values of its own."""
    for name, tensor in layer.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + (0.5 if "var" in name else -0.5))
    return layer.eval()


def test_a_layer_adds_k_maps_behind_its_input() -> None:
    layer = drawn(DenseLayer(6, 4, bottleneck=4))
    x = torch.randn(2, 6, 5, 5)
    hidden = F.conv2d(normalised(x, layer.bottleneck.norm), layer.bottleneck.conv.weight)
    assert hidden.shape[1] == 4 * 4
    new = F.conv2d(normalised(hidden, layer.conv.norm), layer.conv.conv.weight, padding=1)
    torch.testing.assert_close(layer(x), torch.cat((x, new), dim=1))


def test_a_layer_without_bottleneck() -> None:
    layer = drawn(DenseLayer(6, 4, bottleneck=0))
    x = torch.randn(2, 6, 5, 5)
    new = F.conv2d(normalised(x, layer.conv.norm), layer.conv.conv.weight, padding=1)
    torch.testing.assert_close(layer(x), torch.cat((x, new), dim=1))


@pytest.mark.parametrize("name", TABLE_1)
def test_every_layer_sees_all_maps_before_it(name: str) -> None:
    depths, growth_rate = TABLE_1[name]
    entering = 2 * growth_rate
    for stage, depth in enumerate(depths, start=1):
        block = shapes_alone(name).features.get_submodule(f"stage{stage}")
        layers = [layer for layer in block.children() if isinstance(layer, DenseLayer)]
        seen = [layer.bottleneck.conv.in_channels for layer in layers]
        assert seen == [entering + growth_rate * index for index in range(depth)]
        entering = (entering + growth_rate * depth) // 2


def test_small_stem_keeps_the_size() -> None:
    with torch.device("meta"):
        network = create_model("densenet121", stem="small", num_classes=10)
        stages = ["features.stem", *(f"features.stage{stage}" for stage in (1, 2, 3, 4))]
        maps = network.forward_intermediates(torch.empty(1, 3, 32, 32), stages)
    assert [each.shape[-1] for each in maps.values()] == [32, 32, 16, 8, 4]
