"""What is true of EfficientNetV2 alone: Table 4, the fused block, and TensorFlow's padding."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.layers.conv import Convolution, SameConvolution, conv_bn
from convnets.layers.inverted_residual import InvertedResidual
from convnets.layers.network import ConvNet
from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import create_model, efficientnet_v2
from convnets.models.efficientnet_v2 import FusedMBConv, nearest_multiple_of_8

silu_conv = partial(conv_bn, act=nn.SiLU)


def build(name: str) -> ConvNet:
    with torch.device("meta"):
        return create_model(name)


def test_maps_and_operators_of_table_4() -> None:
    network = build("efficientnet_v2_s")
    maps = network.forward_intermediates(
        torch.empty(1, 3, 384, 384, device="meta"),
        [f"features.{name}" for name, _ in network.features.named_children()],
    )
    assert [tuple(each.shape[1:]) for each in maps.values()] == [
        (24, 192, 192),
        (24, 192, 192),
        (48, 96, 96),
        (64, 48, 48),
        (128, 24, 24),
        (160, 24, 24),
        (256, 12, 12),
        (1280, 12, 12),
    ]
    stages = [network.get_submodule(f"features.stage{number}") for number in range(1, 7)]
    assert [len(stage) for stage in stages] == [2, 4, 4, 6, 9, 15]
    operators = [FusedMBConv] * 3 + [InvertedResidual] * 3
    for stage, operator in zip(stages, operators, strict=True):
        assert all(type(block) is operator for block in stage)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("efficientnet_v2_s", 40),
        ("efficientnet_v2_m", 57),
        ("efficientnet_v2_l", 79),
        ("efficientnet_v2_xl", 100),
        ("efficientnet_v2_b0", 21),
        ("efficientnet_v2_b1", 2 + 3 + 3 + 4 + 6 + 9),
        ("efficientnet_v2_b2", 2 + 3 + 3 + 4 + 6 + 10),
        ("efficientnet_v2_b3", 2 + 3 + 3 + 5 + 7 + 12),
    ],
)
def test_blocks_and_their_survival(name: str, blocks: int) -> None:
    drops = [m for m in build(name).modules() if isinstance(m, StochasticDepth)]
    expected = [1 - 0.2 * number / blocks for number in range(1, blocks + 1)]
    assert [drop.survival for drop in drops] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expansion", "stride", "out_channels"), [(1, 1, 8), (1, 2, 8), (4, 1, 8), (4, 2, 16)]
)
def test_fused_block_is_figure_2_written_out(
    expansion: int, stride: int, out_channels: int
) -> None:
    block = FusedMBConv(
        8, out_channels, expansion=expansion, stride=stride, conv=silu_conv, drop=nn.Identity()
    ).eval()
    x = torch.randn(2, 8, 6, 6)

    def norm(values: Tensor) -> Tensor:
        return values / (1 + 1e-5) ** 0.5

    expected = norm(F.conv2d(x, block.expand.conv.weight, stride=stride, padding=1))
    expected = expected * expected.sigmoid()
    if expansion == 4:
        assert expected.shape[1] == 32
        expected = norm(F.conv2d(expected, block.project.conv.weight))
    if stride == 1:
        expected = expected + x
    torch.testing.assert_close(block(x), expected)


def test_only_mbconv_squeezes() -> None:
    network = build("efficientnet_v2_b0")
    names = [name for name, _ in network.named_modules() if name.endswith("squeeze.reduce")]
    assert {name.split(".")[1] for name in names} == {"stage4", "stage5", "stage6"}


@pytest.mark.parametrize("name", efficientnet_v2.FAMILY.variants)
def test_padding_and_batch_statistics_are_the_peers(name: str) -> None:
    modules = list(build(name).modules())
    norms = [m for m in modules if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.1)}
    timm = efficientnet_v2.FAMILY.variants[name].counted_in.startswith("timm")
    kinds = {type(m) for m in modules if isinstance(m, Convolution)}
    assert kinds == {SameConvolution if timm else Convolution}


def test_widths_round_to_the_nearest_even_where_a_tenth_is_lost() -> None:
    assert [nearest_multiple_of_8(width) for width in (3, 17.6, 19.2, 35.2, 38.4, 52.8)] == [
        8,
        16,
        16,
        32,
        40,
        56,
    ]
    stage = build("efficientnet_v2_b3").features.stage1
    assert stage.block1.expand.conv.out_channels == 16
