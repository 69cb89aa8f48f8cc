"""SENet (Hu, Shen, Albanie, Sun and Wu 2017, arXiv:1709.01507).

A block looks at its whole map, squeezed to one number a channel, and learns from it which channels
to raise and which to quiet. ResNet and ResNeXt with this gate, and SENet-154.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.residual import Bottleneck, Place, projection, residual_stages, residual_stem
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth

EXPANSION = 4


@dataclass(frozen=True)
class Spec:
    """What varies: depth of each stage, cardinality, and the width of one path in the first stage.

    ``strided`` is the convolution that has the stride, ``squeeze`` the reduction r. ``deep`` are
    the changes of SENet-154: three 3x3 convolutions as stem, half the width in each block's first
    1x1, 3x3 shortcuts where the map shrinks, dropout. ``stochastic_depth`` is how often the last
    block is dropped; the paper has none.
    """

    depths: tuple[int, ...]
    cardinality: int = 1
    path_width: int = 64
    width: int = 64
    strided: Literal["conv1", "conv2"] = "conv2"
    deep: bool = False
    squeeze: int = 16
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


def squeezed_block(spec: Spec, place: Place) -> Bottleneck:
    """A bottleneck whose branch is squeezed and excited before the sum (Fig. 3)."""
    doublings = place.out_channels // (spec.width * EXPANSION)
    width = spec.cardinality * spec.path_width * doublings
    return Bottleneck(
        place.in_channels,
        width,
        place.out_channels,
        stride=place.stride,
        groups=spec.cardinality,
        first_width=width // 2 if spec.deep else width,
        strided=spec.strided,
        shortcut=shortcut(spec, place),
        squeeze=squeeze_by(spec.squeeze, place.out_channels),
        drop=StochasticDepth(place.survival),
    )


def shortcut(spec: Spec, place: Place) -> nn.Module:
    """A 1x1 projection, or one of 3x3 where the map shrinks and every pixel is to be seen."""
    if spec.deep and place.stride > 1:
        return conv_bn(place.in_channels, place.out_channels, 3, stride=place.stride, act=None)
    return projection(place.in_channels, place.out_channels, place.stride)


def stem(in_chans: int, spec: Spec) -> nn.Sequential:
    """7x7 stride 2, or three of 3x3, and pooling; for small images one 3x3."""
    width = spec.width
    if spec.stem == "small":
        return residual_stem(in_chans, stem_width(spec), "small")
    # The authors' code (Caffe) rounds the pooled size up where others pad.
    pool = ("pool", nn.MaxPool2d(3, stride=2, ceil_mode=True))
    if not spec.deep:
        return stack(("conv", conv_bn(in_chans, width, 7, stride=2)), pool)
    return stack(
        ("conv1", conv_bn(in_chans, width, 3, stride=2)),
        ("conv2", conv_bn(width, width, 3)),
        ("conv3", conv_bn(width, stem_width(spec), 3)),
        pool,
    )


def stem_width(spec: Spec) -> int:
    """Channels that the stem gives."""
    return 2 * spec.width if spec.deep else spec.width


class SENet(ConvNet):
    """A network of Table 1, or SENet-154."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        channels = spec.width * EXPANSION
        self.features = stack(
            ("stem", stem(in_chans, spec)),
            *residual_stages(
                partial(squeezed_block, spec),
                spec.depths,
                in_channels=stem_width(spec),
                out_channels=channels,
                stochastic_depth=spec.stochastic_depth,
            ),
        )
        last = channels * 2 ** (len(spec.depths) - 1)
        self.head = pooled_head(last, num_classes, dropout=0.2 if spec.deep else 0.0)
        initialise_he2015(self)


# fmt: off
README = "hujie-frank/SENet README"
V1 = "stride in the first 1x1, as in the authors' models"
FAMILY = Family(
    name="senet", title="SENet", year=2017,
    paper="Squeeze-and-Excitation Networks", url="https://arxiv.org/abs/1709.01507",
    network=SENet,
    pocket=Spec((1, 1), cardinality=4, path_width=4, width=8, deep=True, squeeze=4, stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling",
    variants={
        "se_resnet50": Variant(Spec((3, 4, 6, 3), strided="conv1"), params=28_088_024,
            params_10=26_059_514, macs=3_860_488_192, counted_in="timm:legacy_seresnet50",
            published=Published(source=f"Table 2; {README}", macs="3.87G", top1_error="22.37",
                top5_error="6.36"), note=V1),
        "se_resnet101": Variant(Spec((3, 4, 23, 3), strided="conv1"), params=49_326_872,
            params_10=47_298_362, macs=7_574_937_600, counted_in="timm:legacy_seresnet101",
            published=Published(source=README, top1_error="21.75", top5_error="5.72"), note=V1),
        "se_resnet152": Variant(Spec((3, 8, 36, 3), strided="conv1"), params=66_821_848,
            params_10=64_793_338, macs=11_288_993_792, counted_in="timm:legacy_seresnet152",
            published=Published(source=README, top1_error="21.34", top5_error="5.54"), note=V1),
        "se_resnext50_32x4d": Variant(Spec((3, 4, 6, 3), 32, 4), params=27_559_896,
            params_10=25_531_386, macs=4_232_994_816, counted_in="timm:legacy_seresnext50_32x4d",
            published=Published(source=README, top1_error="20.97", top5_error="5.54")),
        "se_resnext101_32x4d": Variant(Spec((3, 4, 23, 3), 32, 4), params=48_955_416,
            params_10=46_926_906, macs=7_974_739_968,
            counted_in="timm:legacy_seresnext101_32x4d",
            published=Published(source=README, top1_error="19.81", top5_error="4.96")),
        "senet154": Variant(Spec((3, 8, 36, 3), 64, 4, deep=True), params=115_088_984,
            params_10=113_060_474, macs=20_688_363_520, counted_in="timm:legacy_senet154",
            published=Published(source=README, top1_error="18.68", top5_error="4.47")),
    },
)
# fmt: on
