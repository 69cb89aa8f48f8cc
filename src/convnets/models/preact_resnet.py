"""Pre-activation ResNet, or ResNet v2 (He, Zhang, Ren and Sun 2016, arXiv:1603.05027).

With normalisation and ReLU before the weights, nothing stands between two sums: a signal passes
from any unit to any other unchanged, and a thousand layers train.
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
    activated_convolution,
    activation,
    bare_projection,
    basic_branch,
    convolution,
)
from convnets.layers.residual import Place, padded_identity, residual_stages
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth

EXPANSION = {"basic": 1, "bottleneck": 4}
SHORTCUTS = {"A": padded_identity, "B": bare_projection}


@dataclass(frozen=True)
class Spec:
    """What varies: the block, how many of them a stage has, the first width, and the stem.

    ``strided`` is the convolution of a bottleneck that has the stride, ``shortcut`` the option
    where the shape changes: A pads the identity with zeros, B projects. The networks for
    ``cifar`` have a 3x3 stem as published. ``squeeze`` is the reduction of squeeze-and-excitation,
    0 for none, and ``stochastic_depth`` how often the last block is dropped; the paper has neither.
    """

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    width: int = 64
    strided: Literal["conv1", "conv2"] = "conv2"
    shortcut: Literal["A", "B"] = "B"
    cifar: bool = False
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


def bottleneck_branch(
    in_channels: int, out_channels: int, *, stride: int, strided: Literal["conv1", "conv2"]
) -> nn.Sequential:
    """1x1 to a quarter of ``out_channels``, 3x3, 1x1."""
    width = out_channels // EXPANSION["bottleneck"]
    first, second = (stride, 1) if strided == "conv1" else (1, stride)
    return stack(
        ("conv1", convolution(in_channels, width, 1, stride=first)),
        ("conv2", activated_convolution(width, width, 3, stride=second)),
        ("conv3", activated_convolution(width, out_channels, 1)),
    )


def residual_unit(spec: Spec, place: Place) -> PreactivationUnit:
    """The unit of Fig. 4e; the first of a stage shares its activation with the shortcut."""
    sides = (place.in_channels, place.out_channels)
    if spec.block == "basic":
        branch = basic_branch(*sides, stride=place.stride)
    else:
        branch = bottleneck_branch(*sides, stride=place.stride, strided=spec.strided)
    return PreactivationUnit(
        place.in_channels,
        branch,
        shortcut=SHORTCUTS[spec.shortcut](*sides, place.stride),
        shared=place.opens_stage,
        squeeze=squeeze_by(spec.squeeze, place.out_channels),
        drop=StochasticDepth(place.survival),
    )


def stem(in_chans: int, spec: Spec) -> nn.Sequential:
    """The first convolution alone: its activation belongs to the first unit (appendix)."""
    if spec.cifar or spec.stem == "small":
        return stack(("conv", convolution(in_chans, spec.width, 3)))
    return stack(
        ("conv", convolution(in_chans, spec.width, 7, stride=2)),
        ("pool", nn.MaxPool2d(3, stride=2, padding=1)),
    )


class PreactResNet(ConvNet):
    """The stages of ResNet in pre-activation units, and a last activation, ``final``."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first = spec.width * EXPANSION[spec.block]
        last = first * 2 ** (len(spec.depths) - 1)
        self.features = stack(
            ("stem", stem(in_chans, spec)),
            *residual_stages(
                partial(residual_unit, spec),
                spec.depths,
                in_channels=spec.width,
                out_channels=first,
                stochastic_depth=spec.stochastic_depth,
            ),
            ("final", activation(last)),
        )
        self.head = pooled_head(last, num_classes)
        initialise_he2015(self)


# fmt: off
TABLE_8 = "Wide ResNet (arXiv:1605.07146), Table 8, 1 crop"
TABLE_5 = "Wide ResNet (arXiv:1605.07146), Table 5, error on CIFAR-10"
FAMILY = Family(
    name="preact_resnet", title="Pre-activation ResNet", year=2016,
    paper="Identity Mappings in Deep Residual Networks", url="https://arxiv.org/abs/1603.05027",
    network=PreactResNet, pocket=Spec("bottleneck", (2, 1), width=8, stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling (the paper's CIFAR stem)",
    variants={
        "preact_resnet50": Variant(Spec("bottleneck", (3, 4, 6, 3)), params=25_549_352,
            params_10=23_520_842, macs=4_089_184_256, counted_in="timm:resnetv2_50"),
        "preact_resnet101": Variant(Spec("bottleneck", (3, 4, 23, 3)), params=44_541_480,
            params_10=42_512_970, macs=7_801_405_440, counted_in="timm:resnetv2_101"),
        "preact_resnet152": Variant(Spec("bottleneck", (3, 8, 36, 3)), params=60_185_128,
            params_10=58_156_618, macs=11_513_626_624, counted_in="timm:resnetv2_152"),
        "preact_resnet200": Variant(Spec("bottleneck", (3, 24, 36, 3)), params=64_666_152,
            params_10=62_637_642, macs=15_007_481_856,
            counted_in="timm:ResNetV2(layers=[3, 24, 36, 3])",
            published=Published(source=TABLE_8, params="64.7M",
                top1_error="21.66", top5_error="5.79")),
        "preact_resnet110_cifar": Variant(
            Spec("basic", (18, 18, 18), width=16, shortcut="A", cifar=True),
            params=1_727_962, params_10=1_727_962, macs=252_887_680,
            counted_in="derived: facebook/fb.resnet.torch preresnet.lua, option A",
            input_size=32, num_classes=10,
            published=Published(source=TABLE_5, params="1.7M", top1_error="6.37")),
        "preact_resnet164_cifar": Variant(
            Spec("bottleneck", (18, 18, 18), width=16, strided="conv1", cifar=True),
            params=1_703_258, params_10=1_703_258, macs=244_500_992,
            counted_in="derived: KaimingHe/resnet-1k-layers resnet-pre-act.lua",
            input_size=32, num_classes=10,
            published=Published(source=TABLE_5, params="1.7M", top1_error="5.46")),
        "preact_resnet1001_cifar": Variant(
            Spec("bottleneck", (111, 111, 111), width=16, strided="conv1", cifar=True),
            params=10_327_706, params_10=10_327_706, macs=1_487_849_984,
            counted_in="derived: KaimingHe/resnet-1k-layers resnet-pre-act.lua",
            input_size=32, num_classes=10,
            published=Published(source=TABLE_5, top1_error="4.92"),
            note="papers print 10.2M parameters"),
    },
)
# fmt: on
