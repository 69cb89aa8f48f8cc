"""MobileNetV3 (Howard et al. 2019, arXiv:1905.02244).

Two networks found by search and trimmed by hand for a phone's processor: inverted residuals with
squeeze-and-excitation, activations that need no exponential, and a last layer after the pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn
from convnets.layers.initialise import initialise_he2015
from convnets.layers.inverted_residual import InvertedResidual, multiple_of_8
from convnets.layers.network import ConvNet, stack
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay

RE = nn.ReLU
HS = nn.Hardswish
STEM_WIDTH = 16


@dataclass(frozen=True)
class Row:
    """One row of Table 1 or 2: kernel, exp size, #out, SE, NL and s."""

    kernel: int
    hidden: int
    channels: int
    squeeze: bool
    act: type[nn.Module]
    stride: int


# The tables have no stages: rows of one width are one.
# fmt: off
TABLE_1 = (
    (Row(3,  16,  16, False, RE, 1),),
    (Row(3,  64,  24, False, RE, 2),
     Row(3,  72,  24, False, RE, 1)),
    (Row(5,  72,  40, True,  RE, 2),
     Row(5, 120,  40, True,  RE, 1),
     Row(5, 120,  40, True,  RE, 1)),
    (Row(3, 240,  80, False, HS, 2),
     Row(3, 200,  80, False, HS, 1),
     Row(3, 184,  80, False, HS, 1),
     Row(3, 184,  80, False, HS, 1)),
    (Row(3, 480, 112, True,  HS, 1),
     Row(3, 672, 112, True,  HS, 1)),
    (Row(5, 672, 160, True,  HS, 2),
     Row(5, 960, 160, True,  HS, 1),
     Row(5, 960, 160, True,  HS, 1)),
)
TABLE_2 = (
    (Row(3,  16,  16, True,  RE, 2),),
    (Row(3,  72,  24, False, RE, 2),
     Row(3,  88,  24, False, RE, 1)),
    (Row(5,  96,  40, True,  HS, 2),
     Row(5, 240,  40, True,  HS, 1),
     Row(5, 240,  40, True,  HS, 1)),
    (Row(5, 120,  48, True,  HS, 1),
     Row(5, 144,  48, True,  HS, 1)),
    (Row(5, 288,  96, True,  HS, 2),
     Row(5, 576,  96, True,  HS, 1),
     Row(5, 576,  96, True,  HS, 1)),
)
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: the table with its two last widths, the multiplier, and batch statistics.

    ``stochastic_depth`` is how often the last block is dropped; the paper has none.
    """

    stages: tuple[tuple[Row, ...], ...]
    final: int
    head: int
    width: float = 1.0
    eps: float = 1e-3
    momentum: float = 0.01
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


class MobileNetV3(ConvNet):
    """The networks of Tables 1 and 2; ``final`` is the 1x1 convolution before the pooling."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        conv = partial(conv_bn, eps=spec.eps, momentum=spec.momentum)
        channels = multiple_of_8(STEM_WIDTH * spec.width)
        stride = 1 if spec.stem == "small" else 2
        self.features = stack(("stem", conv(in_chans, channels, 3, stride=stride, act=HS)))
        printed = STEM_WIDTH
        survivals = iter(linear_decay(sum(map(len, spec.stages)), 1 - spec.stochastic_depth))
        for index, rows in enumerate(spec.stages, start=1):
            stage = nn.Sequential()
            for number, row in enumerate(rows, start=1):
                # A multiplier keeps the ratio of a block's widths, as in the authors' code.
                hidden = multiple_of_8(channels * row.hidden / printed)
                out_channels = multiple_of_8(row.channels * spec.width)
                block = InvertedResidual(
                    channels,
                    out_channels,
                    hidden=hidden,
                    kernel=row.kernel,
                    stride=row.stride,
                    conv=partial(conv, act=row.act),
                    squeeze=squeeze_excite(hidden) if row.squeeze else None,
                    drop=StochasticDepth(next(survivals)),
                )
                stage.add_module(f"block{number}", block)
                channels, printed = out_channels, row.channels
            self.features.add_module(f"stage{index}", stage)
        final = multiple_of_8(spec.final * spec.width)
        self.features.add_module("final", conv(channels, final, 1, act=HS))
        # The last hidden layer keeps its width, as in the authors' code.
        self.head = stack(
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten(1)),
            ("fc1", nn.Linear(final, spec.head)),
            ("act", HS(inplace=True)),
            ("dropout", nn.Dropout(0.2)),
            ("fc2", nn.Linear(spec.head, num_classes)),
        )
        # The paper does not say how its weights start.
        initialise_he2015(self)


def squeeze_excite(hidden: int) -> SqueezeExcite:
    """A quarter of the wide map's channels, and a gate of straight lines (Sections 5.2, 5.3)."""
    return SqueezeExcite(hidden, multiple_of_8(hidden / 4), gate=nn.Hardsigmoid)


# fmt: off
README = "tensorflow/models, mobilenet README"
POCKET = (
    (Row(3, 16, 16, True, RE, 1),),
    (Row(5, 48, 24, False, HS, 2), Row(3, 72, 24, True, HS, 1)),
)
FAMILY = Family(
    name="mobilenet_v3", title="MobileNetV3", year=2019,
    paper="Searching for MobileNetV3", url="https://arxiv.org/abs/1905.02244",
    network=MobileNetV3, pocket=Spec(POCKET, 48, 64, stem="small"),
    small_stem="first convolution of stride 1",
    variants={
        "mobilenet_v3_large": Variant(Spec(TABLE_1, 960, 1280), params=5_483_032,
            params_10=4_214_842, macs=216_589_760, counted_in="torchvision:mobilenet_v3_large",
            published=Published(source=README, params="5.4M", macs="217M", top1_error="24.8"),
            note="Table 3 prints 219M multiply-adds"),
        "mobilenet_v3_large_075": Variant(Spec(TABLE_1, 960, 1280, 0.75, 1e-5, 0.1),
            params=3_993_528, params_10=2_725_338, macs=154_560_624,
            counted_in="timm:mobilenetv3_large_075",
            published=Published(source=README, params="4.0M", macs="155M", top1_error="26.7"),
            note="torchvision's width multiplier thins the last hidden layer too"),
        "mobilenet_v3_small": Variant(Spec(TABLE_2, 576, 1024), params=2_542_856,
            params_10=1_528_106, macs=56_510_400, counted_in="torchvision:mobilenet_v3_small",
            published=Published(source="Table 3", params="2.5M", macs="56M", top1_error="32.6"),
            note="the authors' README prints 2.9M parameters and 66M multiply-adds"),
        "mobilenet_v3_small_075": Variant(Spec(TABLE_2, 576, 1024, 0.75, 1e-5, 0.1),
            params=2_041_872, params_10=1_027_122, macs=43_399_344,
            counted_in="timm:mobilenetv3_small_075",
            published=Published(source=README, macs="44M", top1_error="34.6"),
            note="the authors' README prints 2.4M parameters"),
    },
)
# fmt: on
