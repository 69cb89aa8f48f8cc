"""DenseNet (Huang, Liu, van der Maaten and Weinberger 2016, arXiv:1608.06993).

Every layer of a block sees the maps of all layers before it, so that none has to learn again what
another has found, and each adds only a few maps of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import Convolution, conv_bn, pooled_head
from convnets.layers.dense_block import dense_stages
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack

BOTTLENECK = 4  # a 1x1 convolution gives 4k maps (Section 3)
COMPRESSION = 0.5  # theta: the share of its maps that a transition keeps (Section 3)


@dataclass(frozen=True)
class Spec:
    """What varies: how many layers a dense block has, and the growth rate k."""

    depths: tuple[int, ...]
    growth_rate: int = 32
    stem: Stem = "paper"


def stem(in_chans: int, width: int, kind: Stem) -> nn.Sequential:
    """7x7 stride 2 and 3x3 pooling (Table 1), or for small images the 3x3 of the CIFAR networks.

    Nothing follows that 3x3: the first layer of the dense block begins with batch normalisation.
    """
    if kind == "small":
        return stack(("conv", Convolution(in_chans, width, 3, padding=1, bias=False)))
    return stack(
        ("conv", conv_bn(in_chans, width, 7, stride=2)),
        ("pool", nn.MaxPool2d(3, stride=2, padding=1)),
    )


class DenseNet(ConvNet):
    """The DenseNet-BC of Table 1; a stage is a dense block with the transition before it."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        width = 2 * spec.growth_rate
        stages, channels = dense_stages(
            width,
            spec.depths,
            spec.growth_rate,
            bottleneck=BOTTLENECK,
            compression=COMPRESSION,
        )
        self.features = stack(("stem", stem(in_chans, width, spec.stem)), *stages)
        self.head = pooled_head(channels, num_classes)
        initialise_he2015(self)


# fmt: off
ONE_CROP = "Table 3, 1 crop"
FAMILY = Family(
    name="densenet", title="DenseNet", year=2016,
    paper="Densely Connected Convolutional Networks", url="https://arxiv.org/abs/1608.06993",
    network=DenseNet, pocket=Spec((2, 2), growth_rate=8, stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling (the paper's CIFAR stem, Section 3)",
    variants={
        "densenet121": Variant(Spec((6, 12, 24, 16)), params=7_978_856, params_10=6_964_106,
            macs=2_834_161_664, counted_in="torchvision:densenet121",
            published=Published(source=ONE_CROP, top1_error="25.02", top5_error="7.71")),
        "densenet169": Variant(Spec((6, 12, 32, 32)), params=14_149_480, params_10=12_501_130,
            macs=3_359_843_328, counted_in="torchvision:densenet169",
            published=Published(source=ONE_CROP, top1_error="23.80", top5_error="6.85")),
        "densenet201": Variant(Spec((6, 12, 48, 32)), params=20_013_928, params_10=18_112_138,
            macs=4_291_365_888, counted_in="torchvision:densenet201",
            published=Published(source=ONE_CROP, top1_error="22.58", top5_error="6.34")),
        "densenet161": Variant(Spec((6, 12, 36, 24), growth_rate=48), params=28_681_000,
            params_10=26_494_090, macs=7_727_907_072, counted_in="torchvision:densenet161",
            published=Published(source="liuzhuang13/DenseNet, 1 crop", top1_error="22.2")),
        "densenet264": Variant(Spec((6, 12, 64, 48)), params=33_337_704, params_10=30_675_594,
            macs=5_751_653_376, counted_in="torchvision:DenseNet(32, (6, 12, 64, 48), 64)",
            published=Published(source=ONE_CROP, top1_error="22.15", top5_error="6.12"),
            note="265 layers by Table 1; timm's densenet264d is another network, of k = 48"),
    },
)
# fmt: on
