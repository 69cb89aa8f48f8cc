"""VGG (Simonyan and Zisserman 2014, arXiv:1409.1556).

Stacks of 3x3 convolutions see as far as one large kernel with fewer weights and more
non-linearities, so that depth alone improves a plain network.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_relu, dense_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet


@dataclass(frozen=True)
class Spec:
    """What varies: how many convolutions each stage has, and the widths of Table 1."""

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    stem: Stem = "paper"


def convolutions(in_channels: int, width: int, depth: int) -> nn.Sequential:
    """``depth`` 3x3 convolutions that keep the size (one stage of Table 1, without its pooling)."""
    stage = nn.Sequential()
    for index in range(depth):
        stage.add_module(
            f"conv{index + 1}", conv_relu(width if index else in_channels, width, 3, padding=1)
        )
    return stage


class VGG(ConvNet):
    """The networks of Table 1; ``stem`` is the table's first stage, ``stage1`` its second."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        self.features = nn.Sequential()
        channels = in_chans
        for index, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True)):
            stage = convolutions(channels, width, depth)
            if index or spec.stem == "paper":
                stage.add_module("pool", nn.MaxPool2d(2))
            self.features.add_module(f"stage{index}" if index else "stem", stage)
            channels = width
        self.head = dense_head(channels, 7, spec.hidden, num_classes)
        # Differs: the paper draws N(0, 0.01) and starts deep networks from a trained configuration
        # A; He's initialisation (2015) lets each of them start alone.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="vgg", title="VGG", year=2014,
    paper="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    url="https://arxiv.org/abs/1409.1556",
    network=VGG, pocket=Spec((1, 1, 1), widths=(8, 16, 16), hidden=32),
    small_stem="no pooling after the first stage",
    variants={
        "vgg11": Variant(Spec((1, 1, 2, 2, 2)), params=132_863_336, params_10=128_807_306,
            macs=7_609_090_048, counted_in="torchvision:vgg11", note="configuration A",
            published=Published(source="Tables 2 and 3", params="133M",
                top1_error="29.6", top5_error="10.4")),
        "vgg16": Variant(Spec((2, 2, 3, 3, 3)), params=138_357_544, params_10=134_301_514,
            macs=15_470_264_320, counted_in="torchvision:vgg16", note="configuration D",
            published=Published(source="Tables 2 and 3, trained at 256", params="138M",
                top1_error="27.0", top5_error="8.8")),
        "vgg19": Variant(Spec((2, 2, 4, 4, 4)), params=143_667_240, params_10=139_611_210,
            macs=19_632_062_464, counted_in="torchvision:vgg19", note="configuration E",
            published=Published(source="Tables 2 and 3, trained at 256", params="144M",
                top1_error="27.3", top5_error="9.0")),
    },
)
# fmt: on
