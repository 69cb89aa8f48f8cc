"""Network in Network (Lin, Chen and Yan 2013, arXiv:1312.4400).

Behind each convolution a small perceptron, shared by all pixels as 1x1 convolutions, abstracts what
a linear filter cannot; the last one gives a map for each class, whose mean is its logit, in place
of linear layers with most of the weights. ``nin_cifar10`` is the paper's network, ``nin_imagenet``
the one that its first author published for Caffe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_relu, convolutional_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet


@dataclass(frozen=True)
class MlpConv:
    """One mlpconv layer: the kernel and maps of its convolution, the maps of its 1x1 layers.

    ``pool`` and ``dropout`` come before it.
    """

    kernel: int
    maps: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    pool: Literal["none", "max", "average"] = "none"
    dropout: float = 0.0


# fmt: off
CIFAR_10 = (
    MlpConv(5, (192, 160, 96), padding=2),
    MlpConv(5, (192, 192, 192), padding=2, pool="max", dropout=0.5),
    MlpConv(3, (192, 192), padding=1, pool="average", dropout=0.5),
)
IMAGENET = (
    MlpConv(11, (96, 96, 96), stride=4),
    MlpConv(5, (256, 256, 256), padding=2, pool="max"),
    MlpConv(3, (384, 384, 384), padding=1, pool="max"),
    MlpConv(3, (1024, 1024), padding=1, pool="max", dropout=0.5),
)
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: the mlpconv layers; the last 1x1 layer, to the classes, is the head's."""

    layers: tuple[MlpConv, ...]
    stem: Stem = "paper"


def mlpconv(in_channels: int, row: MlpConv) -> nn.Sequential:
    """Pooling and dropout if any, a convolution, and its 1x1 layers; ReLU after each."""
    stage = nn.Sequential()
    if row.pool != "none":
        # The last window may hang over the edge, as in the authors' libraries (32 -> 16).
        pool = nn.MaxPool2d if row.pool == "max" else nn.AvgPool2d
        stage.add_module("pool", pool(3, stride=2, ceil_mode=True))
    if row.dropout:
        stage.add_module("dropout", nn.Dropout(row.dropout))
    first, *others = row.maps
    conv1 = conv_relu(in_channels, first, row.kernel, stride=row.stride, padding=row.padding)
    stage.add_module("conv1", conv1)
    channels = first
    for number, maps in enumerate(others, start=2):
        stage.add_module(f"conv{number}", conv_relu(channels, maps, 1, padding=0))
        channels = maps
    return stage


class NetworkInNetwork(ConvNet):
    """The network of Fig. 2; ``stem`` is its first mlpconv layer, ``stage1`` its second."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first, *others = spec.layers
        if spec.stem == "small":
            first = replace(first, kernel=5, stride=1, padding=2)
        self.features = nn.Sequential()
        channels = in_chans
        for index, row in enumerate((first, *others)):
            self.features.add_module(f"stage{index}" if index else "stem", mlpconv(channels, row))
            channels = row.maps[-1]
        self.head = convolutional_head(channels, num_classes)
        # The paper does not say how its weights start.
        initialise_he2015(self)
        # Biases of 1, as AlexNet's of 2012: of zero, most classes end up below the last ReLU.
        nn.init.ones_(self.head.get_parameter("conv.bias"))


# fmt: off
FAMILY = Family(
    name="nin", title="Network in Network", year=2013,
    paper="Network In Network", url="https://arxiv.org/abs/1312.4400",
    network=NetworkInNetwork,
    pocket=Spec((
        MlpConv(5, (8, 8), padding=2),
        MlpConv(3, (16, 8), padding=1, pool="max", dropout=0.5),
        MlpConv(3, (16,), padding=1, pool="average"),
    )),
    small_stem="the first convolution is 5x5 of stride 1, as published for CIFAR-10",
    variants={
        "nin_cifar10": Variant(Spec(CIFAR_10), params=966_986, params_10=966_986,
            macs=222_486_528, counted_in="pytorchcv:nin_cifar10", input_size=32, num_classes=10,
            published=Published(source="Table 1; error on CIFAR-10, augmented",
                top1_error="8.81")),
        "nin_imagenet": Variant(Spec(IMAGENET), params=7_595_176, params_10=6_580_426,
            macs=1_100_188_800, counted_in="derived: the author's Caffe model",
            published=Published(source="mavenlin, Caffe model zoo", top1_error="40.64"),
            note="the author's network for ImageNet, which is not in the paper"),
    },
)
# fmt: on
