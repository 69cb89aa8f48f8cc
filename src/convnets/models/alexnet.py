"""AlexNet (Krizhevsky, Sutskever and Hinton 2012; Krizhevsky 2014, arXiv:1404.5997).

The network that made deep convolutional networks win at ImageNet. ``alexnet`` is that of 2012:
two columns of maps, one for each of two GPUs, which only the third convolution and the linear
layers see together, and local response normalisation. ``alexnet_owt`` is how its first author ran
it two years later: one column, narrower first layers, no normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_relu, dense_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.response_norm import ResponseNorm


@dataclass(frozen=True)
class Spec:
    """What varies: the maps of the five convolutions, the hidden layers' width, the columns.

    Two columns are the network of 2012 with all that it has: groups and normalisation, and a first
    convolution without padding, for images of 227 pixels.
    """

    maps: tuple[int, int, int, int, int] = (64, 192, 384, 256, 256)
    hidden: int = 4096
    columns: Literal[1, 2] = 1
    stem: Stem = "paper"


def normalised_and_pooled(name: str, convolution: nn.Module, columns: int) -> nn.Sequential:
    """A convolution, in 2012 normalisation, and pooling whose windows overlap (Section 3.4)."""
    norm = [("norm", ResponseNorm())] if columns == 2 else []
    return stack((name, convolution), *norm, ("pool", nn.MaxPool2d(3, stride=2)))


class AlexNet(ConvNet):
    """Five convolutions, of which ``stem`` and ``stage1`` hold one each and ``stage2`` three."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first, second, third, fourth, fifth = spec.maps
        groups = spec.columns
        small = spec.stem == "small"
        conv1 = (
            conv_relu(in_chans, first, 5, stride=2, padding=2)
            if small
            else conv_relu(in_chans, first, 11, stride=4, padding=0 if groups == 2 else 2)
        )
        conv2 = conv_relu(first, second, 5, padding=2, groups=groups)
        self.features = stack(
            ("stem", normalised_and_pooled("conv1", conv1, spec.columns)),
            ("stage1", normalised_and_pooled("conv2", conv2, spec.columns)),
            (
                "stage2",
                stack(
                    ("conv3", conv_relu(second, third, 3, padding=1)),
                    ("conv4", conv_relu(third, fourth, 3, padding=1, groups=groups)),
                    ("conv5", conv_relu(fourth, fifth, 3, padding=1, groups=groups)),
                    ("pool", nn.Identity() if small else nn.MaxPool2d(3, stride=2)),
                ),
            ),
        )
        self.head = dense_head(fifth, 6, spec.hidden, num_classes)
        # Differs: N(0, 0.01) and biases of 1 (2012) need the days of training they came with.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="alexnet", title="AlexNet", year=2012,
    paper="ImageNet Classification with Deep Convolutional Neural Networks; "
        "One weird trick for parallelizing convolutional neural networks",
    url="https://arxiv.org/abs/1404.5997",
    network=AlexNet, pocket=Spec((8, 16, 16, 16, 16), hidden=32, columns=2, stem="small"),
    small_stem="conv1 is 5x5 of stride 2, no pooling after conv5",
    variants={
        "alexnet": Variant(Spec((96, 256, 384, 384, 256), columns=2), params=60_965_224,
            params_10=56_909_194, macs=724_406_816, input_size=227,
            counted_in="derived: the layers of Section 3.5",
            published=Published(source="Table 2, 1 CNN; 60 million parameters (abstract)",
                params="60M", top1_error="40.7", top5_error="18.2"),
            note="the two-column network of 2012 at 227 pixels"),
        "alexnet_owt": Variant(Spec(), params=61_100_840, params_10=57_044_810,
            macs=714_188_480, counted_in="torchvision:alexnet",
            note="the one-column network of 2014 at 224 pixels"),
    },
)
# fmt: on
