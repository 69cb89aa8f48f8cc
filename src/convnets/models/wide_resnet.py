"""Wide ResNet (Zagoruyko and Komodakis 2016, arXiv:1605.07146).

Few wide blocks learn as much as many thin ones and train several times faster. WRN-d-k has d layers
and k times the width: on CIFAR pre-activation blocks of two 3x3 convolutions (Table 1), on ImageNet
ResNet's blocks with wider 3x3 convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.preactivation import (
    PreactivationUnit,
    activation,
    bare_projection,
    basic_branch,
    convolution,
)
from convnets.layers.residual import (
    BasicBlock,
    Bottleneck,
    Place,
    residual_stages,
    residual_stem,
)
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth

CIFAR_STAGES = 3
CIFAR_WIDTH = 16
IMAGENET_WIDTH = 64
EXPANSION = 4


@dataclass(frozen=True)
class Spec:
    """What varies on CIFAR: blocks of a stage (N, for 6N + 4 layers), widening factor k, dropout.

    ``squeeze`` is the reduction of squeeze-and-excitation, 0 for none, and ``stochastic_depth`` how
    often the last block is dropped; the paper has neither.
    """

    blocks: int
    factor: int
    dropout: float = 0.0
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


@dataclass(frozen=True)
class ImageNetSpec:
    """What varies on ImageNet: the block, how many of them a stage has, the widening factor k.

    A basic block is wider throughout, a bottleneck in its 3x3 convolution alone.
    """

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    factor: int
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


def wide_unit(spec: Spec, place: Place) -> PreactivationUnit:
    """B(3, 3): two 3x3 convolutions, with dropout between them (Fig. 1c and d)."""
    sides = (place.in_channels, place.out_channels)
    shortcut = bare_projection(*sides, place.stride)
    return PreactivationUnit(
        place.in_channels,
        basic_branch(*sides, stride=place.stride, dropout=spec.dropout),
        shortcut=shortcut,
        shared=not isinstance(shortcut, nn.Identity),
        squeeze=squeeze_by(spec.squeeze, place.out_channels),
        drop=StochasticDepth(place.survival),
    )


class WideResNet(ConvNet):
    """The network of Table 1, and the last activation, ``final``."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 10) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first = CIFAR_WIDTH * spec.factor
        last = first * 2 ** (CIFAR_STAGES - 1)
        self.features = stack(
            ("stem", stack(("conv", convolution(in_chans, CIFAR_WIDTH, 3)))),
            *residual_stages(
                partial(wide_unit, spec),
                (spec.blocks,) * CIFAR_STAGES,
                in_channels=CIFAR_WIDTH,
                out_channels=first,
                stochastic_depth=spec.stochastic_depth,
            ),
            ("final", activation(last)),
        )
        self.head = pooled_head(last, num_classes)
        initialise_he2015(self)


def wide_block(spec: ImageNetSpec, place: Place) -> nn.Module:
    """A block of ResNet; of a bottleneck the 3x3 convolution alone is wider."""
    squeeze = squeeze_by(spec.squeeze, place.out_channels)
    drop = StochasticDepth(place.survival)
    if spec.block == "basic":
        return BasicBlock(
            place.in_channels,
            place.out_channels,
            stride=place.stride,
            squeeze=squeeze,
            drop=drop,
        )
    return Bottleneck(
        place.in_channels,
        place.out_channels // EXPANSION * spec.factor,
        place.out_channels,
        stride=place.stride,
        squeeze=squeeze,
        drop=drop,
    )


class ImageNetWideResNet(ConvNet):
    """The network of Table 1 of the ResNet paper in wide blocks."""

    def __init__(self, spec: ImageNetSpec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first = IMAGENET_WIDTH * (spec.factor if spec.block == "basic" else EXPANSION)
        self.features = stack(
            ("stem", residual_stem(in_chans, IMAGENET_WIDTH, spec.stem)),
            *residual_stages(
                partial(wide_block, spec),
                spec.depths,
                in_channels=IMAGENET_WIDTH,
                out_channels=first,
                stochastic_depth=spec.stochastic_depth,
            ),
        )
        self.head = pooled_head(first * 2 ** (len(spec.depths) - 1), num_classes)
        initialise_he2015(self)


def wide_resnet(
    spec: Spec | ImageNetSpec, *, in_chans: int = 3, num_classes: int = 1000
) -> WideResNet | ImageNetWideResNet:
    """Build the network that a spec describes."""
    if isinstance(spec, Spec):
        return WideResNet(spec, in_chans=in_chans, num_classes=num_classes)
    return ImageNetWideResNet(spec, in_chans=in_chans, num_classes=num_classes)


# fmt: off
TABLE_4 = "Table 4, error on CIFAR-10 (whitened)"
TABLE_5 = "Table 5, error on CIFAR-10"
FAMILY = Family(
    name="wide_resnet", title="Wide ResNet", year=2016,
    paper="Wide Residual Networks", url="https://arxiv.org/abs/1605.07146",
    network=wide_resnet, pocket=Spec(2, 1, dropout=0.1, stem="small"),
    small_stem="CIFAR: as published; ImageNet: 3x3 convolution of stride 1, no pooling",
    variants={
        "wide_resnet50_2": Variant(ImageNetSpec("bottleneck", (3, 4, 6, 3), 2),
            params=68_883_240, params_10=66_854_730, macs=11_398_021_120,
            counted_in="torchvision:wide_resnet50_2",
            published=Published(source="Table 8, 1 crop", params="68.9M", top1_error="21.9",
                top5_error="6.03")),
        "wide_resnet101_2": Variant(ImageNetSpec("bottleneck", (3, 4, 23, 3), 2),
            params=126_886_696, params_10=124_858_186, macs=22_753_050_624,
            counted_in="torchvision:wide_resnet101_2", note="not in the paper"),
        "wide_resnet68_3": Variant(ImageNetSpec("basic", (3, 4, 23, 3), 3),
            params=373_251_240, params_10=371_729_610, macs=66_746_855_424,
            counted_in="derived: by hand, layer by layer",
            note="a reconstruction: WRN-68-3 was used in ILSVRC 2016 without a table; 68 layers "
                "are 2 (3 + 4 + 23 + 3) + 2 in the basic blocks that the paper's names imply"),
        "wrn_16_8_cifar": Variant(Spec(2, 8), params=10_961_370, params_10=10_961_370,
            macs=1_548_145_664, counted_in="pytorchcv:get_wrn_cifar(16, 8)", input_size=32,
            num_classes=10,
            published=Published(source=TABLE_5, params="11.0M", top1_error="4.27")),
        "wrn_16_10_cifar": Variant(Spec(2, 10), params=17_116_634, params_10=17_116_634,
            macs=2_412_173_568, counted_in="pytorchcv:get_wrn_cifar(16, 10)", input_size=32,
            num_classes=10,
            published=Published(source=TABLE_4, params="17.1M", top1_error="4.56")),
        "wrn_28_10_cifar": Variant(Spec(4, 10), params=36_479_194, params_10=36_479_194,
            macs=5_243_328_768, counted_in="pytorchcv:get_wrn_cifar(28, 10)", input_size=32,
            num_classes=10,
            published=Published(source=TABLE_5, params="36.5M", top1_error="4.00")),
        "wrn_40_4_cifar": Variant(Spec(6, 4), params=8_949_210, params_10=8_949_210,
            macs=1_298_582_016, counted_in="pytorchcv:get_wrn_cifar(40, 4)", input_size=32,
            num_classes=10,
            published=Published(source=TABLE_5, params="8.9M", top1_error="4.53")),
        "wrn_40_8_cifar": Variant(Spec(6, 8), params=35_748_314, params_10=35_748_314,
            macs=5_172_024_320, counted_in="pytorchcv:get_wrn_cifar(40, 8)", input_size=32,
            num_classes=10,
            published=Published(source=TABLE_4, params="35.7M", top1_error="4.66")),
    },
)
# fmt: on
