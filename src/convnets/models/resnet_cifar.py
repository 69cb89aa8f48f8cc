"""ResNet for CIFAR (He, Zhang, Ren and Sun 2015, arXiv:1512.03385, Section 4.2).

The same residual blocks in three thin stages of 2n layers each show what depth alone does: 6n+2
layers, up to 1202. Shortcuts have no parameters (option A). With stochastic depth (Huang, Sun, Liu,
Sedra and Weinberger 2016, arXiv:1603.09382) whole blocks sleep in training, later ones more often.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.residual import (
    SHORTCUTS,
    BasicBlock,
    Place,
    Shortcut,
    residual_stages,
    residual_stem,
)
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth

STAGES = 3


@dataclass(frozen=True)
class Spec:
    """What varies: the blocks of a stage (n), the first width and the shortcut (Section 3.3).

    ``shortcut`` A pads the identity with zeros, B projects where the shape changes, C always
    projects. ``squeeze`` is the reduction of squeeze-and-excitation, 0 for none;
    ``stochastic_depth`` is how often the last block is dropped (1 - p_L).
    """

    blocks: int
    width: int = 16
    shortcut: Shortcut = "A"
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


def residual_block(spec: Spec, place: Place) -> BasicBlock:
    """Two 3x3 convolutions beside the shortcut of the spec."""
    return BasicBlock(
        place.in_channels,
        place.out_channels,
        stride=place.stride,
        shortcut=SHORTCUTS[spec.shortcut](place.in_channels, place.out_channels, place.stride),
        squeeze=squeeze_by(spec.squeeze, place.out_channels),
        drop=StochasticDepth(place.survival),
    )


class CifarResNet(ConvNet):
    """The network of Section 4.2: maps of 32, 16 and 8 pixels, 16, 32 and 64 channels."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 10) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        self.features = stack(
            ("stem", residual_stem(in_chans, spec.width, "small")),
            *residual_stages(
                partial(residual_block, spec),
                (spec.blocks,) * STAGES,
                in_channels=spec.width,
                out_channels=spec.width,
                stochastic_depth=spec.stochastic_depth,
            ),
        )
        self.head = pooled_head(spec.width * 2 ** (STAGES - 1), num_classes)
        initialise_he2015(self)


# fmt: off
TABLE_6 = "Table 6, error on CIFAR-10"
HUANG = "Huang et al. 2016, error on CIFAR-10"
AKAMASTER = "akamaster/pytorch_resnet_cifar10"
FAMILY = Family(
    name="resnet_cifar", title="ResNet for CIFAR", year=2015,
    paper="Deep Residual Learning for Image Recognition", url="https://arxiv.org/abs/1512.03385",
    network=CifarResNet,
    pocket=Spec(1, width=8, squeeze=2, stochastic_depth=0.1, stem="small"),
    variants={
        "resnet20": Variant(Spec(3), params=269_722, params_10=269_722, macs=40_551_040,
            counted_in=f"{AKAMASTER}:resnet20", input_size=32, num_classes=10,
            published=Published(source=TABLE_6, params="0.27M", top1_error="8.75")),
        "resnet32": Variant(Spec(5), params=464_154, params_10=464_154, macs=68_862_592,
            counted_in=f"{AKAMASTER}:resnet32", input_size=32, num_classes=10,
            published=Published(source=TABLE_6, params="0.46M", top1_error="7.51")),
        "resnet44": Variant(Spec(7), params=658_586, params_10=658_586, macs=97_174_144,
            counted_in=f"{AKAMASTER}:resnet44", input_size=32, num_classes=10,
            published=Published(source=TABLE_6, params="0.66M", top1_error="7.17")),
        "resnet56": Variant(Spec(9), params=853_018, params_10=853_018, macs=125_485_696,
            counted_in=f"{AKAMASTER}:resnet56", input_size=32, num_classes=10,
            published=Published(source=TABLE_6, params="0.85M", top1_error="6.97")),
        "resnet110": Variant(Spec(18), params=1_727_962, params_10=1_727_962, macs=252_887_680,
            counted_in=f"{AKAMASTER}:resnet110", input_size=32, num_classes=10,
            published=Published(source=TABLE_6, params="1.7M", top1_error="6.43")),
        "resnet110_stochastic_depth": Variant(Spec(18, stochastic_depth=0.5), params=1_727_962,
            params_10=1_727_962, macs=252_887_680, counted_in=f"{AKAMASTER}:resnet110",
            input_size=32, num_classes=10,
            published=Published(source=f"{HUANG}, yueatsprograms/Stochastic_Depth",
                top1_error="5.23"),
            note="p_L = 0.5; counts are of the whole network, as at test"),
        "resnet1202": Variant(Spec(200), params=19_421_274, params_10=19_421_274,
            macs=2_829_238_912, counted_in=f"{AKAMASTER}:resnet1202", input_size=32,
            num_classes=10,
            published=Published(source=TABLE_6, params="19.4M", top1_error="7.93")),
        "resnet1202_stochastic_depth": Variant(Spec(200, stochastic_depth=0.5),
            params=19_421_274, params_10=19_421_274, macs=2_829_238_912,
            counted_in=f"{AKAMASTER}:resnet1202", input_size=32, num_classes=10,
            published=Published(source=f"{HUANG}, abstract", top1_error="4.91"),
            note="p_L = 0.5; counts are of the whole network, as at test"),
    },
)
# fmt: on
