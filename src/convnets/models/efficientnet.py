"""EfficientNet (Tan and Le 2019, arXiv:1905.11946).

Depth, width and resolution grow together: one searched network, B0, and one rule (Eq. 3) that makes
seven larger ones of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import ceil

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_tan2018
from convnets.layers.inverted_residual import InvertedResidual, multiple_of_8
from convnets.layers.network import ConvNet, stack
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay


@dataclass(frozen=True)
class Stage:
    """One row of Table 1: MBConv's expansion and kernel, channels, layers and stride."""

    expansion: int
    kernel: int
    channels: int
    depth: int
    stride: int


STEM_WIDTH = 32
FINAL_WIDTH = 1280
# fmt: off
TABLE_1 = (
    Stage(1, 3,  16, 1, 1),
    Stage(6, 3,  24, 2, 2),
    Stage(6, 5,  40, 2, 2),
    Stage(6, 3,  80, 3, 2),
    Stage(6, 5, 112, 3, 1),
    Stage(6, 5, 192, 4, 2),
    Stage(6, 3, 320, 1, 1),
)
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: the coefficients of width and depth, dropout, and batch statistics.

    Eq. 3 has depth 1.2^phi, width 1.1^phi and resolution 1.15^phi; B1 to B7 are as in the authors'
    code, whose coefficients follow it roughly.
    """

    width: float = 1.0
    depth: float = 1.0
    dropout: float = 0.2
    eps: float = 1e-5
    momentum: float = 0.1
    stochastic_depth: float = 0.2
    stages: tuple[Stage, ...] = TABLE_1
    stem: Stem = "paper"


class EfficientNet(ConvNet):
    """The network of Table 1, scaled; a stage is one row, ``final`` the convolution of row 9."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        conv = partial(conv_bn, eps=spec.eps, momentum=spec.momentum, act=nn.SiLU)
        depths = [ceil(row.depth * spec.depth) for row in spec.stages]
        # Differs: the authors' code has survival 1 at the first block; Eq. 4 of the stochastic
        # depth paper starts a step below.
        survivals = iter(linear_decay(sum(depths), 1 - spec.stochastic_depth))
        channels = multiple_of_8(STEM_WIDTH * spec.width)
        stride = 1 if spec.stem == "small" else 2
        self.features = stack(("stem", conv(in_chans, channels, 3, stride=stride)))
        for index, (row, depth) in enumerate(zip(spec.stages, depths, strict=True), start=1):
            stage = nn.Sequential()
            out_channels = multiple_of_8(row.channels * spec.width)
            for number in range(1, depth + 1):
                hidden = channels * row.expansion
                block = InvertedResidual(
                    channels,
                    out_channels,
                    hidden=hidden,
                    kernel=row.kernel,
                    stride=row.stride if number == 1 else 1,
                    conv=conv,
                    # A quarter of the width before the expansion, as in the authors' code.
                    squeeze=SqueezeExcite(hidden, channels // 4, act=nn.SiLU),
                    drop=StochasticDepth(next(survivals)),
                )
                stage.add_module(f"block{number}", block)
                channels = out_channels
            self.features.add_module(f"stage{index}", stage)
        final = multiple_of_8(FINAL_WIDTH * spec.width)
        self.features.add_module("final", conv(channels, final, 1))
        self.head = pooled_head(final, num_classes, dropout=spec.dropout)
        initialise_tan2018(self)


# fmt: off
FAMILY = Family(
    name="efficientnet", title="EfficientNet", year=2019,
    paper="EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    url="https://arxiv.org/abs/1905.11946",
    network=EfficientNet,
    pocket=Spec(0.5, stages=(Stage(1, 3, 16, 1, 1), Stage(6, 5, 24, 2, 2)), stem="small"),
    small_stem="first convolution of stride 1",
    variants={
        "efficientnet_b0": Variant(Spec(), params=5_288_548, params_10=4_020_358,
            macs=385_814_752, counted_in="torchvision:efficientnet_b0",
            published=Published(source="Table 2", params="5.3M", macs="0.39G", top1_error="22.9",
                top5_error="6.7")),
        "efficientnet_b1": Variant(Spec(1.0, 1.1), params=7_794_184, params_10=6_525_994,
            macs=686_802_832, counted_in="torchvision:efficientnet_b1", input_size=240,
            published=Published(source="Table 2", params="7.8M", top1_error="20.9",
                top5_error="5.6"),
            note="Table 2 prints 0.70B multiply-adds"),
        "efficientnet_b2": Variant(Spec(1.1, 1.2, 0.3), params=9_109_994, params_10=7_715_084,
            macs=993_561_872, counted_in="torchvision:efficientnet_b2", input_size=260,
            published=Published(source="Table 2", params="9.2M", macs="1.0G", top1_error="19.9",
                top5_error="5.1"),
            note="torchvision tests at 288 pixels"),
        "efficientnet_b3": Variant(Spec(1.2, 1.4, 0.3), params=12_233_232, params_10=10_711_602,
            macs=1_827_141_392, counted_in="torchvision:efficientnet_b3", input_size=300,
            published=Published(source="Table 2", params="12M", macs="1.8G", top1_error="18.4",
                top5_error="4.3")),
        "efficientnet_b4": Variant(Spec(1.4, 1.8, 0.4), params=19_341_616, params_10=17_566_546,
            macs=4_393_771_024, counted_in="torchvision:efficientnet_b4", input_size=380,
            published=Published(source="Table 2", params="19M", top1_error="17.1",
                top5_error="3.6"),
            note="Table 2 prints 4.2B multiply-adds"),
        "efficientnet_b5": Variant(Spec(1.6, 2.2, 0.4, 1e-3, 0.01), params=30_389_784,
            params_10=28_361_274, macs=10_266_384_752, counted_in="torchvision:efficientnet_b5",
            input_size=456,
            published=Published(source="Table 2", params="30M", top1_error="16.4",
                top5_error="3.3"),
            note="Table 2 prints 9.9B multiply-adds"),
        "efficientnet_b6": Variant(Spec(1.8, 2.6, 0.5, 1e-3, 0.01), params=43_040_704,
            params_10=40_758_754, macs=19_067_593_536, counted_in="torchvision:efficientnet_b6",
            input_size=528,
            published=Published(source="Table 2", params="43M", macs="19G", top1_error="16.0",
                top5_error="3.2")),
        "efficientnet_b7": Variant(Spec(2.0, 3.1, 0.5, 1e-3, 0.01), params=66_347_960,
            params_10=63_812_570, macs=37_745_884_192, counted_in="torchvision:efficientnet_b7",
            input_size=600,
            published=Published(source="Table 2", params="66M", macs="37G", top1_error="15.7",
                top5_error="3.0")),
    },
)
# fmt: on
