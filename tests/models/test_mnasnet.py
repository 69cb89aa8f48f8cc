"""What is true of MnasNet alone: Fig. 7, where it squeezes, and its batch statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnets.layers.inverted_residual import InvertedResidual
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.models import create_model, mnasnet
from convnets.models.mnasnet import Spec, Stage


def test_maps_of_figure_7() -> None:
    with torch.device("meta"):
        network = create_model("mnasnet_a1")
        maps = network.forward_intermediates(
            torch.empty(1, 3, 224, 224),
            [f"features.{name}" for name, _ in network.features.named_children()],
        )
    assert [tuple(each.shape[1:]) for each in maps.values()] == [
        (32, 112, 112),
        (16, 112, 112),
        (24, 56, 56),
        (40, 28, 28),
        (80, 14, 14),
        (112, 14, 14),
        (160, 7, 7),
        (320, 7, 7),
        (1280, 7, 7),
    ]


@pytest.mark.parametrize(
    ("name", "depths", "wide_kernels", "squeezed"),
    [
        ("mnasnet1_0", [1, 3, 3, 3, 2, 4, 1], {3, 4, 6}, set()),
        ("mnasnet_a1", [1, 2, 3, 4, 2, 3, 1], {3, 6}, {3, 5, 6}),
        ("mnasnet_small", [1, 1, 2, 4, 3, 3, 1], {4, 6}, {4, 5, 6}),
    ],
)
def test_layers_5x5_kernels_and_squeeze_of_each_stage(
    name: str, depths: list[int], wide_kernels: set[int], squeezed: set[int]
) -> None:
    with torch.device("meta"):
        network = create_model(name)
    for number, depth in enumerate(depths, start=1):
        stage = network.get_submodule(f"features.stage{number}")
        assert len(stage) == depth
        for block in stage:
            assert isinstance(block, InvertedResidual)
            side = 5 if number in wide_kernels else 3
            assert block.depthwise.conv.kernel_size == (side, side)
            assert isinstance(block.squeeze, SqueezeExcite) == (number in squeezed)


def test_squeeze_is_a_quarter_of_the_width_before_the_expansion() -> None:
    with torch.device("meta"):
        blocks = create_model("mnasnet_a1").features.stage3
    assert [block.squeeze.reduce.out_channels for block in blocks] == [24 // 4, 40 // 4, 40 // 4]
    assert [block.squeeze.reduce.in_channels for block in blocks] == [72, 120, 120]


def test_separable_convolution_by_hand() -> None:
    # A depthwise 3x3 and a 1x1 without activation, each with a norm's two values a channel.
    network = mnasnet.MnasNet(Spec((Stage(1, 3, 16, 1, 1),)))
    block = network.get_submodule("features.stage1")
    expected = (9 * 32 + 2 * 32) + (32 * 16 + 2 * 16)
    assert sum(parameter.numel() for parameter in block.parameters()) == expected
    maps = block.eval()(torch.randn(1, 32, 4, 4))
    assert maps.min() < 0


@pytest.mark.parametrize("name", mnasnet.FAMILY.variants)
def test_batch_statistics_settle_in_a_short_run(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.1)}


def test_kernels_start_with_variance_two_over_fan_out() -> None:
    network = create_model("mnasnet0_5")
    stage = network.get_submodule("features.stage6.block2")
    for part, fan_out in ((stage.expand, 576), (stage.depthwise, 25), (stage.project, 96)):
        weight = part.conv.weight
        assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)
    assert network.head.fc.weight.abs().max().item() == pytest.approx(1000**-0.5, rel=0.01)
    assert not network.head.fc.bias.any()
