"""Inception v3 (Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2015, arXiv:1512.00567).

Wide kernels are factorised, 7x7 into 1x7 and 7x1, and maps are halved by convolution and pooling
side by side, so that deeper modules cost no more. The layers are those of the authors' released
network, which Table 1 sketches. ``inception_v3_aux`` has the auxiliary classifier on the last
17x17 map; a loss on it acts as a regulariser (Section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.auxiliary import AuxiliaryConvNet, AuxiliaryPool
from convnets.layers.conv import pooled_head
from convnets.layers.inception import (
    Branches,
    Conv,
    Fork,
    Steps,
    average_pool_padded,
    first_convolutions,
    inception_conv,
    max_pool,
    max_pool_same,
    reduction_a,
    sequence,
)
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import stack


def figure_5(pooled: int) -> Fork:
    """A module of the 35x35 maps."""
    return Fork(
        (Conv(64),),
        # Differs: Fig. 5 has 3x3 here; the released network kept the 5x5.
        (Conv(48), Conv(64, 5)),
        (Conv(64), Conv(96, 3), Conv(96, 3)),
        (average_pool_padded, Conv(pooled)),
    )


def figure_6(maps: int) -> Fork:
    """A module of the 17x17 maps: 7x7 kernels as rows and columns."""
    row, column = Conv(maps, (1, 7)), Conv(maps, (7, 1))
    return Fork(
        (Conv(192),),
        (Conv(maps), row, Conv(192, (7, 1))),
        (Conv(maps), column, row, column, Conv(192, (1, 7))),
        (average_pool_padded, Conv(192)),
    )


# fmt: off
REDUCTION_35 = reduction_a(64, 96, 96, 384)  # Fig. 10
REDUCTION_17 = Fork(
    (Conv(192), Conv(320, 3, stride=2, valid=True)),
    (Conv(192), Conv(192, (1, 7)), Conv(192, (7, 1)), Conv(192, 3, stride=2, valid=True)),
    (max_pool,),
)
ROW_AND_COLUMN = Fork((Conv(384, (1, 3)),), (Conv(384, (3, 1)),))
FIGURE_7 = Fork(  # a module of the 8x8 maps, with expanded outputs
    (Conv(320),),
    (Conv(384), ROW_AND_COLUMN),
    (Conv(448), Conv(384, 3), ROW_AND_COLUMN),
    (average_pool_padded, Conv(192)),
)
STAGES = (
    (figure_5(32), figure_5(64), figure_5(64)),
    (REDUCTION_35, figure_6(128), figure_6(160), figure_6(160), figure_6(192)),
    (REDUCTION_17, FIGURE_7, FIGURE_7),
)
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: the modules of each stage, a multiplier of all widths, and the classifier.

    ``auxiliary`` is the width of the auxiliary classifier, 0 for none.
    """

    stages: tuple[tuple[Fork, ...], ...] = STAGES
    width: float = 1.0
    auxiliary: int = 0
    stem: Stem = "paper"


def stem(kind: Stem) -> Steps:
    """From 299x299 to 35x35 (Table 1); small images are padded, and halved in the last step."""
    paper = kind == "paper"
    return (
        *first_convolutions(kind),
        max_pool if paper else max_pool_same,
        Conv(80),
        Conv(192, 3, valid=paper),
        max_pool,
    )


def auxiliary_head(in_channels: int, width: int, num_classes: int) -> nn.Sequential:
    """The classifier beside the network (Fig. 8), with batch normalisation throughout."""
    return stack(
        ("pool", AuxiliaryPool(5)),
        ("conv1", inception_conv(in_channels, 128, 1)),
        ("conv2", inception_conv(128, width, 5, padding=0)),
        ("flatten", nn.Flatten(1)),
        ("fc", nn.Linear(width, num_classes)),
    )


class InceptionV3(AuxiliaryConvNet):
    """The network of Table 1; a stage is its modules at one size of map, the reduction first."""

    taps: ClassVar = {"stage2": "features.stage2"}

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        first, channels = sequence(in_chans, stem(spec.stem), spec.width)
        self.features = stack(("stem", first))
        widths = []
        for index, forks in enumerate(spec.stages, start=1):
            stage = nn.Sequential()
            for block, fork in enumerate(forks, start=1):
                branches = Branches(channels, fork, spec.width)
                stage.add_module(f"block{block}", branches)
                channels = branches.out_channels
            self.features.add_module(f"stage{index}", stage)
            widths.append(channels)
        self.head = pooled_head(channels, num_classes, dropout=0.5)
        # The paper does not say how its weights start.
        initialise_he2015(self)
        if spec.auxiliary:
            head = auxiliary_head(widths[1], spec.auxiliary, num_classes)
            self.add_auxiliary({"stage2": head})


# fmt: off
PUBLISHED = Published(source="abstract, trained with the auxiliary classifier", macs="5G",
    top1_error="21.2", top5_error="5.6")
FAMILY = Family(
    name="inception_v3", title="Inception v3", year=2015,
    paper="Rethinking the Inception Architecture for Computer Vision",
    url="https://arxiv.org/abs/1512.00567",
    network=InceptionV3,
    pocket=Spec(
        ((figure_5(32),), (REDUCTION_35, figure_6(128)), (REDUCTION_17, FIGURE_7)),
        width=0.125, auxiliary=32, stem="small"),
    small_stem="all convolutions padded and of stride 1, halved in the last pooling alone",
    variants={
        "inception_v3": Variant(Spec(), params=23_834_568, params_10=21_806_058,
            macs=5_713_216_096, counted_in="torchvision:inception_v3(aux_logits=False)",
            input_size=299, published=PUBLISHED,
            note="without the auxiliary classifier"),
        "inception_v3_aux": Variant(Spec(auxiliary=768), params=27_161_264,
            params_10=24_371_444, macs=5_713_216_096,
            counted_in="torchvision:inception_v3(aux_logits=True)", input_size=299,
            published=PUBLISHED,
            note="the abstract counts less than 25M parameters, without the auxiliary classifier"),
    },
)
# fmt: on
