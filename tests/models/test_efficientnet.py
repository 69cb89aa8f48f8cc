"""What is true of EfficientNet alone: Table 1, compound scaling, dropout and dropped blocks."""

from __future__ import annotations

from math import ceil

import pytest
import torch
from torch import nn

from convnets.layers.inverted_residual import InvertedResidual
from convnets.layers.network import ConvNet
from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import VARIANTS, create_model

# Coefficients of width and depth, dropout and resolution, from the authors' code.
COEFFICIENTS = {
    "efficientnet_b0": (1.0, 1.0, 0.2, 224),
    "efficientnet_b1": (1.0, 1.1, 0.2, 240),
    "efficientnet_b2": (1.1, 1.2, 0.3, 260),
    "efficientnet_b3": (1.2, 1.4, 0.3, 300),
    "efficientnet_b4": (1.4, 1.8, 0.4, 380),
    "efficientnet_b5": (1.6, 2.2, 0.4, 456),
    "efficientnet_b6": (1.8, 2.6, 0.5, 528),
    "efficientnet_b7": (2.0, 3.1, 0.5, 600),
}


def build(name: str) -> ConvNet:
    with torch.device("meta"):
        return create_model(name)


def test_maps_of_table_1() -> None:
    network = build("efficientnet_b0")
    maps = network.forward_intermediates(
        torch.empty(1, 3, 224, 224, device="meta"),
        [f"features.{name}" for name, _ in network.features.named_children()],
    )
    assert [tuple(each.shape[1:]) for each in maps.values()] == [
        (32, 112, 112),
        (16, 112, 112),
        (24, 56, 56),
        (40, 28, 28),
        (80, 14, 14),
        (112, 14, 14),
        (192, 7, 7),
        (320, 7, 7),
        (1280, 7, 7),
    ]
    kernels = [
        stage.block1.depthwise.conv.kernel_size[0]
        for name, stage in network.features.named_children()
        if name.startswith("stage")
    ]
    assert kernels == [3, 3, 5, 3, 5, 5, 3]


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_depth_is_scaled_and_rounded_up(name: str) -> None:
    _, depth, _, _ = COEFFICIENTS[name]
    blocks = [m for m in build(name).modules() if isinstance(m, InvertedResidual)]
    assert len(blocks) == sum(ceil(depth * layers) for layers in (1, 2, 2, 3, 3, 4, 1))


def test_b7_is_twice_as_wide() -> None:
    network = build("efficientnet_b7")
    maps = network.forward_intermediates(
        torch.empty(1, 3, 64, 64, device="meta"),
        [f"features.{name}" for name, _ in network.features.named_children()],
    )
    widths = [each.shape[1] for each in maps.values()]
    assert widths == [2 * width for width in (32, 16, 24, 40, 80, 112, 192, 320, 1280)]


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_cost_grows_as_depth_times_width_and_resolution_squared(name: str) -> None:
    """Section 3.3; layers and channels are rounded up, so it grows by somewhat more."""
    width, depth, _, side = COEFFICIENTS[name]
    _, row = VARIANTS[name]
    _, smallest = VARIANTS["efficientnet_b0"]
    assert row.input_size == side
    rule = depth * width**2 * (side / 224) ** 2
    assert 1 <= row.macs / smallest.macs / rule < 1.45


def test_grid_search_doubles_the_cost() -> None:
    """alpha * beta^2 * gamma^2 is about 2 with alpha 1.2, beta 1.1, gamma 1.15 (Section 3.3)."""
    _, b2 = VARIANTS["efficientnet_b2"]
    assert b2.spec.depth == 1.2
    assert b2.spec.width == 1.1
    assert b2.input_size == pytest.approx(1.15 * 224, rel=0.01)


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_dropout_and_survival(name: str) -> None:
    network = build(name)
    dropouts = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
    assert dropouts == [COEFFICIENTS[name][2]]
    survivals = [m.survival for m in network.modules() if isinstance(m, StochasticDepth)]
    count = len(survivals)
    expected = [1 - 0.2 * number / count for number in range(1, count + 1)]
    assert survivals == pytest.approx(expected)


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_batch_statistics_are_the_peers(name: str) -> None:
    norms = [m for m in build(name).modules() if isinstance(m, nn.BatchNorm2d)]
    expected = (1e-5, 0.1) if name < "efficientnet_b5" else (1e-3, 0.01)
    assert {(norm.eps, norm.momentum) for norm in norms} == {expected}


def test_squeeze_is_a_quarter_of_the_width_before_the_expansion() -> None:
    blocks = [m for m in build("efficientnet_b0").modules() if isinstance(m, InvertedResidual)]
    reduced = [block.squeeze.reduce.out_channels for block in blocks]
    assert reduced == [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]
