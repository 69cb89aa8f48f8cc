"""ZFNet (Zeiler and Fergus 2013, arXiv:1311.2901).

Looking at what AlexNet's layers respond to showed dead filters and aliasing in its first two;
smaller kernels and strides there mend both. ``zfnet`` is the network of Fig. 3, ``zfnet_wide`` the
one with more maps in its last three convolutions, which Table 2 has beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_relu, dense_head, overlapping_pool
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.response_norm import ResponseNorm


@dataclass(frozen=True)
class Spec:
    """What varies: the maps of the five convolutions and the width of the two hidden layers."""

    maps: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    hidden: int = 4096
    stem: Stem = "paper"


def pooled_and_normalised(name: str, convolution: nn.Module) -> nn.Sequential:
    """Normalisation follows pooling, as the caption of Fig. 3 has it.

    Its constants are AlexNet's: the paper prints none of its own.
    """
    return stack((name, convolution), ("pool", overlapping_pool()), ("norm", ResponseNorm()))


class ZFNet(ConvNet):
    """The network of Fig. 3."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first, second, third, fourth, fifth = spec.maps
        small = spec.stem == "small"
        # The paddings and the poolings' rounding give the map sizes of Fig. 3: 110, 55, 26, 13, 6.
        conv1 = conv_relu(in_chans, first, 7, stride=2, padding=3 if small else 1)
        conv2 = conv_relu(first, second, 5, stride=2, padding=2 if small else 0)
        self.features = stack(
            ("stem", pooled_and_normalised("conv1", conv1)),
            ("stage1", pooled_and_normalised("conv2", conv2)),
            (
                "stage2",
                stack(
                    ("conv3", conv_relu(second, third, 3, padding=1)),
                    ("conv4", conv_relu(third, fourth, 3, padding=1)),
                    ("conv5", conv_relu(fourth, fifth, 3, padding=1)),
                    ("pool", nn.Identity() if small else overlapping_pool()),
                ),
            ),
        )
        self.head = dense_head(fifth, 6, spec.hidden, num_classes)
        # Differs: the paper sets all weights near 1e-2; see AlexNet's.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="zfnet", title="ZFNet", year=2013,
    paper="Visualizing and Understanding Convolutional Networks",
    url="https://arxiv.org/abs/1311.2901",
    network=ZFNet, pocket=Spec((8, 16, 16, 16, 16), hidden=32, stem="small"),
    small_stem="conv1 and conv2 padded to halve the size exactly, no pooling after conv5",
    variants={
        "zfnet": Variant(Spec(), params=62_357_608, params_10=58_301_578,
            macs=1_168_032_896, counted_in="pytorchcv:zfnet",
            published=Published(source="Table 2 of the first preprint, 1 convnet",
                top1_error="38.3", top5_error="16.4")),
        "zfnet_wide": Variant(Spec((96, 256, 512, 1024, 512)), params=107_627_624,
            params_10=103_571_594, macs=2_476_704_896, counted_in="pytorchcv:zfnetb",
            published=Published(source="Table 2, 1 convnet (b)", top1_error="37.5",
                top5_error="16.0"),
            note="512, 1024 and 512 maps in the last three convolutions"),
    },
)
# fmt: on
