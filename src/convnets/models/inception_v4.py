"""Inception v4 (Szegedy, Ioffe, Vanhoucke and Alemi 2016, arXiv:1602.07261).

Three kinds of Inception module, each repeated at one size of map: more modules than v3 and fewer
exceptions, with every kernel above 3x3 split in two.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import pooled_head
from convnets.layers.inception import (
    Branches,
    Conv,
    Fork,
    Steps,
    average_pool,
    first_convolutions,
    max_pool,
    max_pool_same,
    reduction_a,
    sequence,
)
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack


@dataclass(frozen=True)
class Spec:
    """What varies: how often each module is repeated, and a multiplier of all widths."""

    depths: tuple[int, int, int] = (4, 7, 3)
    width: float = 1.0
    stem: Stem = "paper"


# fmt: off
INCEPTION_A = Fork(  # 35x35 (Fig. 4)
    (Conv(96),),
    (Conv(64), Conv(96, 3)),
    (Conv(64), Conv(96, 3), Conv(96, 3)),
    (average_pool, Conv(96)),
)
INCEPTION_B = Fork(  # 17x17 (Fig. 5)
    (Conv(384),),
    (Conv(192), Conv(224, (1, 7)), Conv(256, (7, 1))),
    (Conv(192), Conv(192, (7, 1)), Conv(224, (1, 7)), Conv(224, (7, 1)), Conv(256, (1, 7))),
    (average_pool, Conv(128)),
)
INCEPTION_C = Fork(  # 8x8 (Fig. 6)
    (Conv(256),),
    (Conv(384), Fork((Conv(256, (1, 3)),), (Conv(256, (3, 1)),))),
    (Conv(384), Conv(448, (3, 1)), Conv(512, (1, 3)),
        Fork((Conv(256, (1, 3)),), (Conv(256, (3, 1)),))),
    (average_pool, Conv(256)),
)
REDUCTION_A = reduction_a(192, 224, 256, 384)
REDUCTION_B = Fork(  # 17x17 to 8x8 (Fig. 8)
    (Conv(192), Conv(192, 3, stride=2, valid=True)),
    (Conv(256), Conv(256, (1, 7)), Conv(320, (7, 1)), Conv(320, 3, stride=2, valid=True)),
    (max_pool,),
)
# fmt: on
# What begins each stage, and what is repeated in it (Fig. 9).
STAGES = ((None, INCEPTION_A), (REDUCTION_A, INCEPTION_B), (REDUCTION_B, INCEPTION_C))


def stem(kind: Stem) -> Steps:
    """From 299x299 to 35x35 (Fig. 3); small images are padded, and halved once, at the end."""
    paper = kind == "paper"
    stride = 2 if paper else 1
    return (
        *first_convolutions(kind),
        Fork((max_pool if paper else max_pool_same,), (Conv(96, 3, stride, valid=paper),)),
        Fork(
            (Conv(64), Conv(96, 3, valid=paper)),
            (Conv(64), Conv(64, (1, 7)), Conv(64, (7, 1)), Conv(96, 3, valid=paper)),
        ),
        Fork((Conv(192, 3, stride=2, valid=True),), (max_pool,)),
    )


class InceptionV4(ConvNet):
    """The network of Fig. 9; a stage is its modules at one size of map, after the reduction."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first, channels = sequence(in_chans, stem(spec.stem), spec.width)
        self.features = stack(("stem", first))
        for index, (reduction, module) in enumerate(STAGES):
            stage = nn.Sequential()
            forks = {"reduction": reduction} if reduction else {}
            forks |= {f"block{block + 1}": module for block in range(spec.depths[index])}
            for name, fork in forks.items():
                branches = Branches(channels, fork, spec.width)
                stage.add_module(name, branches)
                channels = branches.out_channels
            self.features.add_module(f"stage{index + 1}", stage)
        self.head = pooled_head(channels, num_classes, dropout=0.2)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="inception_v4", title="Inception v4", year=2016,
    paper="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    url="https://arxiv.org/abs/1602.07261",
    network=InceptionV4, pocket=Spec((1, 1, 1), width=0.125, stem="small"),
    small_stem="all convolutions padded, the first two halvings of stride 1",
    variants={
        "inception_v4": Variant(Spec(), params=42_679_816, params_10=41_158_186,
            macs=12_253_974_624, counted_in="timm:inception_v4", input_size=299,
            published=Published(source="tensorflow/models, slim README", top1_error="19.8",
                top5_error="4.8")),
    },
)
# fmt: on
