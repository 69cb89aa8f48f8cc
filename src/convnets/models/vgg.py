"""VGG (Simonyan and Zisserman 2014, arXiv:1409.1556).

Stacks of 3x3 convolutions see as far as one large kernel with fewer weights and more
non-linearities, so that depth alone improves a plain network. ``vgg11_lrn`` and ``vgg16_c`` are the
paper's comparisons A-LRN and C; those in ``_bn`` are torchvision's, with batch normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, conv_relu, dense_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet
from convnets.layers.response_norm import ResponseNorm


@dataclass(frozen=True)
class Spec:
    """What varies: how many convolutions each stage has, their normalisation and widths.

    ``batch`` normalisation follows every convolution, ``response`` the first alone (A-LRN).
    ``third_kernel`` is that of the third convolution of a stage, 1 in configuration C.
    """

    depths: tuple[int, ...]
    norm: Literal["none", "batch", "response"] = "none"
    third_kernel: int = 3
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    stem: Stem = "paper"


def convolution(in_channels: int, width: int, kernel: int, *, batch_norm: bool) -> nn.Sequential:
    """A convolution that keeps the size, and ReLU."""
    if batch_norm:
        # The bias has no effect before the normalisation; torchvision's weights have one.
        return conv_bn(in_channels, width, kernel, bias=True)
    return conv_relu(in_channels, width, kernel, padding=kernel // 2)


class VGG(ConvNet):
    """The networks of Table 1; ``stem`` is the table's first stage, ``stage1`` its second."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        self.features = nn.Sequential()
        channels = in_chans
        for index, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True)):
            stage = nn.Sequential()
            for number in range(1, depth + 1):
                kernel = spec.third_kernel if number == 3 else 3
                layer = convolution(channels, width, kernel, batch_norm=spec.norm == "batch")
                stage.add_module(f"conv{number}", layer)
                channels = width
            if not index and spec.norm == "response":
                stage.add_module("norm", ResponseNorm())
            if index or spec.stem == "paper":
                stage.add_module("pool", nn.MaxPool2d(2))
            self.features.add_module(f"stage{index}" if index else "stem", stage)
        self.head = dense_head(channels, 7, spec.hidden, num_classes)
        # Differs: the paper draws N(0, 0.01) and starts deep networks from a trained configuration
        # A; He's initialisation (2015) lets each of them start alone.
        initialise_he2015(self)


# fmt: off
AT_256 = "Tables 2 and 3, trained at 256"
TORCHVISION = "torchvision, IMAGENET1K_V1"
A, B, D, E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
FAMILY = Family(
    name="vgg", title="VGG", year=2014,
    paper="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    url="https://arxiv.org/abs/1409.1556",
    network=VGG, pocket=Spec((1, 1, 3), "response", third_kernel=1, widths=(8, 16, 16), hidden=32),
    small_stem="no pooling after the first stage",
    variants={
        "vgg11": Variant(Spec(A), params=132_863_336, params_10=128_807_306,
            macs=7_609_090_048, counted_in="torchvision:vgg11", note="configuration A",
            published=Published(source="Tables 2 and 3", params="133M",
                top1_error="29.6", top5_error="10.4")),
        "vgg11_bn": Variant(Spec(A, "batch"), params=132_868_840, params_10=128_812_810,
            macs=7_609_090_048, counted_in="torchvision:vgg11_bn",
            published=Published(source=TORCHVISION, top1_error="29.63", top5_error="10.19")),
        "vgg11_lrn": Variant(Spec(A, "response"), params=132_863_336, params_10=128_807_306,
            macs=7_609_090_048, counted_in="derived: vgg11, as normalisation has no weights",
            note="configuration A-LRN",
            published=Published(source="Tables 2 and 3", params="133M",
                top1_error="29.7", top5_error="10.5")),
        "vgg13": Variant(Spec(B), params=133_047_848, params_10=128_991_818,
            macs=11_308_466_176, counted_in="torchvision:vgg13", note="configuration B",
            published=Published(source="Tables 2 and 3", params="133M",
                top1_error="28.7", top5_error="9.9")),
        "vgg13_bn": Variant(Spec(B, "batch"), params=133_053_736, params_10=128_997_706,
            macs=11_308_466_176, counted_in="torchvision:vgg13_bn",
            published=Published(source=TORCHVISION, top1_error="28.414", top5_error="9.626")),
        "vgg16": Variant(Spec(D), params=138_357_544, params_10=134_301_514,
            macs=15_470_264_320, counted_in="torchvision:vgg16", note="configuration D",
            published=Published(source=AT_256, params="138M",
                top1_error="27.0", top5_error="8.8")),
        "vgg16_bn": Variant(Spec(D, "batch"), params=138_365_992, params_10=134_309_962,
            macs=15_470_264_320, counted_in="torchvision:vgg16_bn",
            published=Published(source=TORCHVISION, top1_error="26.64", top5_error="8.484")),
        "vgg16_c": Variant(Spec(D, third_kernel=1), params=133_638_952, params_10=129_582_922,
            macs=11_770_888_192, counted_in="derived: Table 1", note="configuration C",
            published=Published(source=AT_256, params="134M",
                top1_error="28.1", top5_error="9.4")),
        "vgg19": Variant(Spec(E), params=143_667_240, params_10=139_611_210,
            macs=19_632_062_464, counted_in="torchvision:vgg19", note="configuration E",
            published=Published(source=AT_256, params="144M",
                top1_error="27.3", top5_error="9.0")),
        "vgg19_bn": Variant(Spec(E, "batch"), params=143_678_248, params_10=139_622_218,
            macs=19_632_062_464, counted_in="torchvision:vgg19_bn",
            published=Published(source=TORCHVISION, top1_error="25.782", top5_error="8.158")),
    },
)
# fmt: on
