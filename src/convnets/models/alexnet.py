"""AlexNet in its one-column form (Krizhevsky 2014, arXiv:1404.5997).

The network of 2012 that made deep convolutional networks win at ImageNet (Krizhevsky, Sutskever
and Hinton), as its first author ran it two years later: one column of maps in place of two
groups on two GPUs, narrower first layers, no local response normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from convnets.catalog import Family, Stem, Variant
from convnets.layers.conv import conv_relu, dense_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack


@dataclass(frozen=True)
class Spec:
    """What varies: the maps of the five convolutions and the width of the two hidden layers."""

    maps: tuple[int, int, int, int, int] = (64, 192, 384, 256, 256)
    hidden: int = 4096
    stem: Stem = "paper"


class AlexNet(ConvNet):
    """Five convolutions, of which ``stem`` and ``stage1`` hold one each and ``stage2`` three."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first, second, third, fourth, fifth = spec.maps
        small = spec.stem == "small"
        conv1 = (
            conv_relu(in_chans, first, 5, stride=2, padding=2)
            if small
            else conv_relu(in_chans, first, 11, stride=4, padding=2)
        )
        self.features = stack(
            ("stem", stack(("conv1", conv1), ("pool", nn.MaxPool2d(3, stride=2)))),
            (
                "stage1",
                stack(
                    ("conv2", conv_relu(first, second, 5, padding=2)),
                    ("pool", nn.MaxPool2d(3, stride=2)),
                ),
            ),
            (
                "stage2",
                stack(
                    ("conv3", conv_relu(second, third, 3, padding=1)),
                    ("conv4", conv_relu(third, fourth, 3, padding=1)),
                    ("conv5", conv_relu(fourth, fifth, 3, padding=1)),
                    ("pool", nn.Identity() if small else nn.MaxPool2d(3, stride=2)),
                ),
            ),
        )
        self.head = dense_head(fifth, 6, spec.hidden, num_classes)
        # Differs: N(0, 0.01) and biases of 1 (2012) start to learn slowly without the
        # normalisation and the days of training they came with.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="alexnet", title="AlexNet", year=2012,
    paper="ImageNet Classification with Deep Convolutional Neural Networks; "
        "One weird trick for parallelizing convolutional neural networks",
    url="https://arxiv.org/abs/1404.5997",
    network=AlexNet, pocket=Spec((8, 16, 16, 16, 16), hidden=32, stem="small"),
    small_stem="conv1 is 5x5 of stride 2, no pooling after conv5",
    variants={
        "alexnet_owt": Variant(Spec(), params=61_100_840, params_10=57_044_810,
            macs=714_188_480, counted_in="torchvision:alexnet",
            note="the one-column network of 2014 at 224 pixels"),
    },
)
# fmt: on
