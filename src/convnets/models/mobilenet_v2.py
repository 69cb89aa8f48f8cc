"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov and Chen 2018, arXiv:1801.04381).

Residuals join thin maps, and each block widens in between, where depthwise filters are cheap; the
layer that thins again is linear, since ReLU would lose what few channels hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.inverted_residual import InvertedResidual, multiple_of_8
from convnets.layers.network import ConvNet, stack
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay


@dataclass(frozen=True)
class Stage:
    """One row of Table 2: t, c, n and s."""

    expansion: int
    channels: int
    depth: int
    stride: int


STEM_WIDTH = 32
FINAL_WIDTH = 1280
# fmt: off
TABLE_2 = (
    Stage(1,  16, 1, 1),
    Stage(6,  24, 2, 2),
    Stage(6,  32, 3, 2),
    Stage(6,  64, 4, 2),
    Stage(6,  96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: the width multiplier, and the stages for networks of other sizes.

    ``squeeze`` is the reduction of a squeeze-and-excitation on each wide map, and
    ``stochastic_depth`` how often the last block is dropped; the paper has neither.
    """

    width: float = 1.0
    stages: tuple[Stage, ...] = TABLE_2
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


class MobileNetV2(ConvNet):
    """The network of Table 2; a stage is one row, ``final`` the 1x1 convolution after them."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        conv = partial(conv_bn, act=nn.ReLU6)
        channels = multiple_of_8(STEM_WIDTH * spec.width)
        stride = 1 if spec.stem == "small" else 2
        self.features = stack(("stem", conv(in_chans, channels, 3, stride=stride)))
        survivals = iter(
            linear_decay(sum(row.depth for row in spec.stages), 1 - spec.stochastic_depth)
        )
        for index, row in enumerate(spec.stages, start=1):
            stage = nn.Sequential()
            out_channels = multiple_of_8(row.channels * spec.width)
            for number in range(1, row.depth + 1):
                hidden = channels * row.expansion
                block = InvertedResidual(
                    channels,
                    out_channels,
                    hidden=hidden,
                    stride=row.stride if number == 1 else 1,
                    conv=conv,
                    squeeze=squeeze_by(spec.squeeze, hidden),
                    drop=StochasticDepth(next(survivals)),
                )
                stage.add_module(f"block{number}", block)
                channels = out_channels
            self.features.add_module(f"stage{index}", stage)
        # The last layer is not thinned, only widened (Section 4).
        final = multiple_of_8(FINAL_WIDTH * max(1.0, spec.width))
        self.features.add_module("final", conv(channels, final, 1))
        self.head = pooled_head(final, num_classes, dropout=0.2)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
README = "tensorflow/models, mobilenet README"
FAMILY = Family(
    name="mobilenet_v2", title="MobileNetV2", year=2018,
    paper="MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    url="https://arxiv.org/abs/1801.04381",
    network=MobileNetV2,
    pocket=Spec(0.5, stages=(Stage(1, 16, 1, 1), Stage(6, 24, 2, 2)), stem="small"),
    small_stem="first convolution of stride 1",
    variants={
        "mobilenet_v2": Variant(Spec(), params=3_504_872, params_10=2_236_682,
            macs=300_774_272, counted_in="torchvision:mobilenet_v2",
            published=Published(source="Table 4", macs="300M", top1_error="28.0"),
            note="Table 4 prints 3.4M parameters"),
        "mobilenet_v2_14": Variant(Spec(1.4), params=6_108_776, params_10=4_333_706,
            macs=582_195_824, counted_in="torchvision:mobilenet_v2(width_mult=1.4)",
            published=Published(source=README, macs="582M", top1_error="25.0"),
            note="Table 4 prints 6.9M parameters and 585M multiply-adds"),
        "mobilenet_v2_13": Variant(Spec(1.3), params=5_386_792, params_10=3_738_442,
            macs=509_374_560, counted_in="torchvision:mobilenet_v2(width_mult=1.3)",
            published=Published(source=README, macs="509M", top1_error="25.6")),
        "mobilenet_v2_075": Variant(Spec(0.75), params=2_636_424, params_10=1_368_234,
            macs=209_069_792, counted_in="torchvision:mobilenet_v2(width_mult=0.75)",
            published=Published(source=README, macs="209M", top1_error="30.2")),
        "mobilenet_v2_05": Variant(Spec(0.5), params=1_968_680, params_10=700_490,
            macs=97_131_840, counted_in="torchvision:mobilenet_v2(width_mult=0.5)",
            published=Published(source=README, macs="97M", top1_error="34.6")),
        "mobilenet_v2_035": Variant(Spec(0.35), params=1_677_128, params_10=408_938,
            macs=59_285_808, counted_in="torchvision:mobilenet_v2(width_mult=0.35)",
            published=Published(source=README, macs="59M", top1_error="39.7")),
    },
)
# fmt: on
