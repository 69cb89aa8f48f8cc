"""EfficientNetV2 (Tan and Le 2021, arXiv:2104.00298).

A search for training speed puts full convolutions in the place of depthwise ones in the early
stages, where these leave an accelerator idle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil

from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import Convolution, SameConvolution, conv_bn, pooled_head
from convnets.layers.initialise import initialise_tan2018
from convnets.layers.inverted_residual import InvertedResidual
from convnets.layers.network import ConvNet, stack
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay

EPS = 1e-3
FINAL_WIDTH = 1280


@dataclass(frozen=True)
class Stage:
    """One row of Table 4: Fused-MBConv or MBConv, expansion, stride, channels and layers.

    All kernels are 3x3; MBConv has squeeze-and-excitation, Fused-MBConv none.
    """

    fused: bool
    expansion: int
    stride: int
    channels: int
    depth: int


# Table 4 is S; the others are tables of the authors' code, BASE with widths and depths scaled as in
# the first EfficientNet.
# fmt: off
BASE = (
    Stage(True,  1, 1,  16,  1),
    Stage(True,  4, 2,  32,  2),
    Stage(True,  4, 2,  48,  2),
    Stage(False, 4, 2,  96,  3),
    Stage(False, 6, 1, 112,  5),
    Stage(False, 6, 2, 192,  8),
)
S = (
    Stage(True,  1, 1,  24,  2),
    Stage(True,  4, 2,  48,  4),
    Stage(True,  4, 2,  64,  4),
    Stage(False, 4, 2, 128,  6),
    Stage(False, 6, 1, 160,  9),
    Stage(False, 6, 2, 256, 15),
)
M = (
    Stage(True,  1, 1,  24,  3),
    Stage(True,  4, 2,  48,  5),
    Stage(True,  4, 2,  80,  5),
    Stage(False, 4, 2, 160,  7),
    Stage(False, 6, 1, 176, 14),
    Stage(False, 6, 2, 304, 18),
    Stage(False, 6, 1, 512,  5),
)
L = (
    Stage(True,  1, 1,  32,  4),
    Stage(True,  4, 2,  64,  7),
    Stage(True,  4, 2,  96,  7),
    Stage(False, 4, 2, 192, 10),
    Stage(False, 6, 1, 224, 19),
    Stage(False, 6, 2, 384, 25),
    Stage(False, 6, 1, 640,  7),
)
XL = (
    Stage(True,  1, 1,  32,  4),
    Stage(True,  4, 2,  64,  8),
    Stage(True,  4, 2,  96,  8),
    Stage(False, 4, 2, 192, 16),
    Stage(False, 6, 1, 256, 24),
    Stage(False, 6, 2, 512, 32),
    Stage(False, 6, 1, 640,  8),
)
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: stages, dropout, the stem's width, the coefficients of Eq. 3, and padding."""

    stages: tuple[Stage, ...]
    dropout: float
    stem_width: int
    width: float = 1.0
    depth: float = 1.0
    stochastic_depth: float = 0.2
    convolution: type[Convolution] = Convolution
    stem: Stem = "paper"


class FusedMBConv(nn.Module):
    """3x3 to ``expansion`` times the width, linear 1x1 back (Fig. 2); the 3x3 alone for 1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        stride: int,
        conv: Callable[..., nn.Module],
        drop: nn.Module,
    ) -> None:
        super().__init__()
        hidden = out_channels if expansion == 1 else in_channels * expansion
        self.expand = conv(in_channels, hidden, 3, stride=stride)
        self.project = nn.Identity() if expansion == 1 else conv(hidden, out_channels, 1, act=None)
        self.drop = drop
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.expand(x))
        return x + self.drop(out) if self.residual else out


class EfficientNetV2(ConvNet):
    """The network of Table 4; a stage is one row, ``final`` the 1x1 convolution after them."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        conv = partial(conv_bn, eps=EPS, act=nn.SiLU, convolution=spec.convolution)
        depths = [ceil(row.depth * spec.depth) for row in spec.stages]
        # Differs: the authors' code has survival 1 at the first block; Eq. 4 of the stochastic
        # depth paper starts a step below.
        survivals = iter(linear_decay(sum(depths), 1 - spec.stochastic_depth))
        channels = nearest_multiple_of_8(spec.stem_width * spec.width)
        stride = 1 if spec.stem == "small" else 2
        self.features = stack(("stem", conv(in_chans, channels, 3, stride=stride)))
        for index, (row, depth) in enumerate(zip(spec.stages, depths, strict=True), start=1):
            stage = nn.Sequential()
            width = nearest_multiple_of_8(row.channels * spec.width)
            for number in range(1, depth + 1):
                stride = row.stride if number == 1 else 1
                drop = StochasticDepth(next(survivals))
                block = make_block(row, channels, width, stride=stride, conv=conv, drop=drop)
                stage.add_module(f"block{number}", block)
                channels = width
            self.features.add_module(f"stage{index}", stage)
        final = nearest_multiple_of_8(FINAL_WIDTH * spec.width)
        self.features.add_module("final", conv(channels, final, 1))
        self.head = pooled_head(final, num_classes, dropout=spec.dropout)
        initialise_tan2018(self)


def make_block(
    row: Stage,
    in_channels: int,
    out_channels: int,
    *,
    stride: int,
    conv: Callable[..., nn.Module],
    drop: nn.Module,
) -> nn.Module:
    """A block of one row of Table 4."""
    if row.fused:
        return FusedMBConv(
            in_channels,
            out_channels,
            expansion=row.expansion,
            stride=stride,
            conv=conv,
            drop=drop,
        )
    hidden = in_channels * row.expansion
    return InvertedResidual(
        in_channels,
        out_channels,
        hidden=hidden,
        stride=stride,
        conv=conv,
        squeeze=SqueezeExcite(hidden, in_channels // 4, act=nn.SiLU),
        drop=drop,
    )


def nearest_multiple_of_8(channels: float) -> int:
    """The rule of the authors' code, which unlike the first EfficientNet's may lose a tenth."""
    return max(8, int(channels + 4) // 8 * 8)


# fmt: off
README = "google/automl, efficientnetv2 README"
SAME = "padded as in TensorFlow, as the released weights want"
POCKET = (Stage(True, 1, 1, 16, 1), Stage(True, 4, 2, 24, 2), Stage(False, 4, 2, 32, 2))
FAMILY = Family(
    name="efficientnet_v2", title="EfficientNetV2", year=2021,
    paper="EfficientNetV2: Smaller Models and Faster Training",
    url="https://arxiv.org/abs/2104.00298",
    network=EfficientNetV2, pocket=Spec(POCKET, 0.2, 16, stem="small"),
    small_stem="first convolution of stride 1",
    variants={
        "efficientnet_v2_s": Variant(Spec(S, 0.2, 24), params=21_458_488, params_10=20_190_298,
            macs=8_365_617_152, counted_in="torchvision:efficientnet_v2_s", input_size=384,
            published=Published(source=README, params="21.5M", macs="8.4G", top1_error="16.1")),
        "efficientnet_v2_m": Variant(Spec(M, 0.3, 24), params=54_139_356, params_10=52_871_166,
            macs=24_582_460_384, counted_in="torchvision:efficientnet_v2_m", input_size=480,
            published=Published(source=README, params="54.1M", top1_error="14.8"),
            note="the README prints 24.7B multiply-adds"),
        "efficientnet_v2_l": Variant(Spec(L, 0.4, 32), params=118_515_272, params_10=117_247_082,
            macs=56_079_699_008, counted_in="torchvision:efficientnet_v2_l", input_size=480,
            published=Published(source=README, top1_error="14.3"),
            note="the README prints 119.5M parameters and 56.3B multiply-adds"),
        "efficientnet_v2_xl": Variant(Spec(XL, 0.4, 32, convolution=SameConvolution),
            params=208_119_808, params_10=206_851_618, macs=93_353_451_520,
            counted_in="timm:tf_efficientnetv2_xl", input_size=512,
            published=Published(source=f"{README}, trained on ImageNet-21k first",
                top1_error="12.8"),
            note=SAME),
        "efficientnet_v2_b0": Variant(Spec(BASE, 0.2, 32, convolution=SameConvolution),
            params=7_139_704, params_10=5_871_514, macs=718_086_176,
            counted_in="timm:tf_efficientnetv2_b0",
            published=Published(source=README, params="7.1M", macs="0.72G", top1_error="21.3"),
            note=SAME),
        "efficientnet_v2_b1": Variant(Spec(BASE, 0.2, 32, 1.0, 1.1, convolution=SameConvolution),
            params=8_141_052, params_10=6_872_862, macs=1_196_819_360,
            counted_in="timm:tf_efficientnetv2_b1", input_size=240,
            published=Published(source=README, params="8.1M", macs="1.2G", top1_error="20.2"),
            note=SAME),
        "efficientnet_v2_b2": Variant(Spec(BASE, 0.3, 32, 1.1, 1.2, convolution=SameConvolution),
            params=10_096_086, params_10=8_701_176, macs=1_697_542_832,
            counted_in="timm:tf_efficientnetv2_b2", input_size=260,
            published=Published(source=README, params="10.1M", macs="1.7G", top1_error="19.5"),
            note=SAME),
        "efficientnet_v2_b3": Variant(Spec(BASE, 0.3, 32, 1.2, 1.4, convolution=SameConvolution),
            params=14_358_406, params_10=12_836_776, macs=3_011_458_816,
            counted_in="timm:tf_efficientnetv2_b3", input_size=300,
            published=Published(source=README, params="14.4M", macs="3.0G", top1_error="17.9"),
            note=SAME),
    },
)
# fmt: on
