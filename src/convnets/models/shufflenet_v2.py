"""ShuffleNet V2 (Ma, Zhang, Zheng and Sun 2018, arXiv:1807.11164).

Designed by measured speed: half of the channels pass each unit untouched, the other half goes
through plain convolutions of equal width, and a shuffle mixes the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.channel_shuffle import ChannelShuffle
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack

STEM_WIDTH = 24
TABLE_5_DEPTHS = (4, 8, 4)


@dataclass(frozen=True)
class Spec:
    """What varies: widths of stages 2 to 4 and of the last convolution (Table 5)."""

    widths: tuple[int, ...]
    final_width: int = 1024
    depths: tuple[int, ...] = TABLE_5_DEPTHS
    stem: Stem = "paper"


def branch(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """1x1, linear depthwise 3x3, 1x1: the right side of both units."""
    return stack(
        ("pointwise1", conv_bn(in_channels, out_channels, 1)),
        (
            "depthwise",
            conv_bn(out_channels, out_channels, 3, stride=stride, groups=out_channels, act=None),
        ),
        ("pointwise2", conv_bn(out_channels, out_channels, 1)),
    )


class BasicUnit(nn.Module):
    """The channels are split: one half stays, the other passes the branch (Fig. 3c)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.right = branch(channels // 2, channels // 2, stride=1)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        out: Tensor = self.shuffle(torch.cat((left, self.right(right)), 1))
        return out


class DownsamplingUnit(nn.Module):
    """Both sides see all channels and halve the map (Fig. 3d)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.left = stack(
            (
                "depthwise",
                conv_bn(in_channels, in_channels, 3, stride=2, groups=in_channels, act=None),
            ),
            ("pointwise", conv_bn(in_channels, half, 1)),
        )
        self.right = branch(in_channels, half, stride=2)
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shuffle(torch.cat((self.left(x), self.right(x)), 1))
        return out


def stem(in_chans: int, kind: Stem) -> nn.Sequential:
    """3x3 stride 2 and 3x3 pooling (Table 5), or for small images the convolution alone."""
    if kind == "small":
        return stack(("conv", conv_bn(in_chans, STEM_WIDTH, 3)))
    return stack(
        ("conv", conv_bn(in_chans, STEM_WIDTH, 3, stride=2)),
        ("pool", nn.MaxPool2d(3, stride=2, padding=1)),
    )


class ShuffleNetV2(ConvNet):
    """The network of Table 5: stages 2 to 4 are ``stage1`` to ``stage3``, Conv5 is ``final``."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        self.features = stack(("stem", stem(in_chans, spec.stem)))
        channels = STEM_WIDTH
        for index, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True), start=1):
            units: list[nn.Module] = [DownsamplingUnit(channels, width)]
            units += [BasicUnit(width) for _ in range(depth - 1)]
            stage = stack(*((f"block{block}", unit) for block, unit in enumerate(units, start=1)))
            self.features.add_module(f"stage{index}", stage)
            channels = width
        self.features.add_module("final", conv_bn(channels, spec.final_width, 1))
        self.head = pooled_head(spec.final_width, num_classes)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
README = "megvii-model/ShuffleNet-Series README"
FAMILY = Family(
    name="shufflenet_v2", title="ShuffleNet V2", year=2018,
    paper="ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
    url="https://arxiv.org/abs/1807.11164",
    network=ShuffleNetV2, pocket=Spec((16, 32), final_width=32, depths=(2, 2), stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling",
    variants={
        "shufflenet_v2_x0_5": Variant(Spec((48, 96, 192)), params=1_366_792, params_10=352_042,
            macs=40_476_448, counted_in="torchvision:shufflenet_v2_x0_5",
            published=Published(source=README, params="1.4M", macs="41M", top1_error="38.9",
                top5_error="17.4")),
        "shufflenet_v2_x1_0": Variant(Spec((116, 232, 464)), params=2_278_604, params_10=1_263_854,
            macs=144_907_992, counted_in="torchvision:shufflenet_v2_x1_0",
            published=Published(source=README, params="2.3M", top1_error="30.6",
                top5_error="11.1"),
            note="146M multiply-adds in print"),
        "shufflenet_v2_x1_5": Variant(Spec((176, 352, 704)), params=3_503_624, params_10=2_488_874,
            macs=295_759_392, counted_in="torchvision:shufflenet_v2_x1_5",
            published=Published(source=README, params="3.5M", top1_error="27.4",
                top5_error="9.4"),
            note="299M multiply-adds in print"),
        "shufflenet_v2_x2_0": Variant(Spec((244, 488, 976), final_width=2048), params=7_393_996,
            params_10=5_365_486, macs=583_253_464, counted_in="torchvision:shufflenet_v2_x2_0",
            published=Published(source=README, params="7.4M", top1_error="25.0",
                top5_error="7.6"),
            note="591M multiply-adds in print"),
    },
)
# fmt: on
