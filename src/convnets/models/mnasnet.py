"""MnasNet (Tan, Chen, Pang, Vasudevan, Sandler, Howard and Le 2018, arXiv:1807.11626).

A search that measures each candidate on a phone picks kernel, expansion, width and squeeze-and-
excitation for seven stages of inverted residuals, one choice a stage.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    """One box of Fig. 7: expansion, kernel, channels, layers, stride, squeeze-and-excitation."""

    expansion: int
    kernel: int
    channels: int
    depth: int
    stride: int
    squeeze: bool = False


FINAL_WIDTH = 1280
# An expansion of 1 is the paper's SepConv, without activation after its 1x1 convolution.
# fmt: off
A1 = (
    Stage(1, 3,  16, 1, 1),
    Stage(6, 3,  24, 2, 2),
    Stage(3, 5,  40, 3, 2, squeeze=True),
    Stage(6, 3,  80, 4, 2),
    Stage(6, 3, 112, 2, 1, squeeze=True),
    Stage(6, 5, 160, 3, 2, squeeze=True),
    Stage(6, 3, 320, 1, 1),
)
# B1 was found without squeeze-and-excitation; it and the small one are tables of the authors' code.
B1 = (
    Stage(1, 3,  16, 1, 1),
    Stage(3, 3,  24, 3, 2),
    Stage(3, 5,  40, 3, 2),
    Stage(6, 5,  80, 3, 2),
    Stage(6, 3,  96, 2, 1),
    Stage(6, 5, 192, 4, 2),
    Stage(6, 3, 320, 1, 1),
)
SMALL = (
    Stage(1, 3,   8, 1, 1),
    Stage(3, 3,  16, 1, 2),
    Stage(6, 3,  16, 2, 2),
    Stage(6, 5,  32, 4, 2, squeeze=True),
    Stage(6, 3,  32, 3, 1, squeeze=True),
    Stage(6, 5,  88, 3, 2, squeeze=True),
    Stage(6, 3, 144, 1, 1),
)
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: the stages, the width multiplier, and what goes with the table.

    ``stochastic_depth`` is how often the last block is dropped; the paper has none.
    """

    stages: tuple[Stage, ...]
    width: float = 1.0
    stem_width: int = 32
    dropout: float = 0.2
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


class MnasNet(ConvNet):
    """The network of Fig. 7; ``final`` is the 1x1 convolution before the pooling."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        # Differs: the authors' code keeps 0.99 of the running statistics at each step, torchvision
        # 0.9997; 0.9 settles within a short run too.
        channels = multiple_of_8(spec.stem_width * spec.width)
        stride = 1 if spec.stem == "small" else 2
        self.features = stack(("stem", conv_bn(in_chans, channels, 3, stride=stride)))
        depth = sum(row.depth for row in spec.stages)
        survivals = iter(linear_decay(depth, 1 - spec.stochastic_depth))
        for index, row in enumerate(spec.stages, start=1):
            stage = nn.Sequential()
            out_channels = multiple_of_8(row.channels * spec.width)
            for number in range(1, row.depth + 1):
                hidden = channels * row.expansion
                block = InvertedResidual(
                    channels,
                    out_channels,
                    hidden=hidden,
                    kernel=row.kernel,
                    stride=row.stride if number == 1 else 1,
                    # A quarter of the width before the expansion, as in the authors' code.
                    squeeze=SqueezeExcite(hidden, channels // 4) if row.squeeze else None,
                    drop=StochasticDepth(next(survivals)),
                )
                stage.add_module(f"block{number}", block)
                channels = out_channels
            self.features.add_module(f"stage{index}", stage)
        self.features.add_module("final", conv_bn(channels, FINAL_WIDTH, 1))
        self.head = pooled_head(FINAL_WIDTH, num_classes, dropout=spec.dropout)
        initialise_tan2018(self)


# fmt: off
README = "tensorflow/tpu, mnasnet README"
FAMILY = Family(
    name="mnasnet", title="MnasNet", year=2018,
    paper="MnasNet: Platform-Aware Neural Architecture Search for Mobile",
    url="https://arxiv.org/abs/1807.11626",
    network=MnasNet,
    pocket=Spec((Stage(1, 3, 16, 1, 1), Stage(3, 5, 24, 2, 2, squeeze=True)), stem="small"),
    small_stem="first convolution of stride 1",
    variants={
        "mnasnet0_5": Variant(Spec(B1, 0.5), params=2_218_512,
            params_10=950_322, macs=104_455_968, counted_in="torchvision:mnasnet0_5"),
        "mnasnet0_75": Variant(Spec(B1, 0.75), params=3_170_208,
            params_10=1_902_018, macs=215_493_104, counted_in="torchvision:mnasnet0_75"),
        "mnasnet1_0": Variant(Spec(B1), params=4_383_312,
            params_10=3_115_122, macs=314_415_872, counted_in="torchvision:mnasnet1_0"),
        "mnasnet1_3": Variant(Spec(B1, 1.3), params=6_282_256,
            params_10=5_014_066, macs=526_362_432, counted_in="torchvision:mnasnet1_3"),
        "mnasnet_a1_050": Variant(Spec(A1, 0.5), params=2_082_006, params_10=813_816,
            macs=103_162_992, counted_in="timm:semnasnet_050",
            published=Published(source=README, params="2.1M", top1_error="31.1", top5_error="11.6"),
            note="the README prints 105.2M multiply-adds"),
        "mnasnet_a1_075": Variant(Spec(A1, 0.75), params=2_912_278, params_10=1_644_088,
            macs=223_448_480, counted_in="timm:semnasnet_075",
            published=Published(source=README, params="2.9M", top1_error="26.7", top5_error="8.7"),
            note="the README prints 226.7M multiply-adds"),
        "mnasnet_a1": Variant(Spec(A1), params=3_887_038, params_10=2_618_848,
            macs=311_579_072, counted_in="timm:semnasnet_100",
            published=Published(source=README, params="3.9M", macs="312M", top1_error="24.8",
                top5_error="7.5")),
        "mnasnet_a1_140": Variant(Spec(A1, 1.4), params=6_105_992, params_10=4_837_802,
            macs=586_317_952, counted_in="timm:semnasnet_140",
            published=Published(source=README, params="6.1M", top1_error="22.8", top5_error="6.5"),
            note="the README prints 591.5M multiply-adds"),
        "mnasnet_small": Variant(Spec(SMALL, stem_width=8, dropout=0.0), params=2_030_264,
            params_10=762_074, macs=68_339_184, counted_in="timm:mnasnet_small",
            published=Published(source=README, params="2.0M", macs="68M", top1_error="34")),
    },
)
# fmt: on
