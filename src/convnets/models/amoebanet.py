"""AmoebaNet (Real, Aggarwal, Huang and Le 2018, arXiv:1802.01548).

Evolution searches NASNet's space as well as a controller does, if in each round the oldest network
dies and not the worst one.
"""

from __future__ import annotations

from dataclasses import dataclass

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.cell import Cells, Genotype, alternating_stages, cell_features
from convnets.layers.conv import pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet


@dataclass(frozen=True)
class Spec:
    """What varies: the cells, how many a stage has (N), the first stage's width (F), and the stem.

    ``stem_width`` is that of the ImageNet stem; None is the CIFAR stem, which has its width from F.
    """

    cells: Cells
    depth: int
    width: int
    stem_width: int | None = 32
    stem: Stem = "paper"


# From the authors' code (tensorflow/tpu, amoeba_net/model_specs.py). It also joins some maps that
# other maps are made of.
AMOEBANET_A = Cells(
    normal=Genotype(
        rows=(
            ("average 3x3", 0, "max 3x3", 0),
            ("separable 3x3", 1, "identity", 1),
            ("identity", 0, "average 3x3", 1),
            ("separable 3x3", 0, "separable 5x5", 2),
            ("average 3x3", 5, "separable 3x3", 0),
        ),
        joined=(1, 3, 4, 6),
    ),
    reduction=Genotype(
        rows=(
            ("separable 3x3", 1, "average 3x3", 0),
            ("max 3x3", 0, "separable 7x7", 2),
            ("max 3x3", 1, "max 3x3", 0),
            ("separable 3x3", 4, "1x7 7x1", 0),
            ("average 3x3", 1, "separable 7x7", 0),
        ),
        joined=(2, 3, 4, 5, 6),
    ),
)
AMOEBANET_C = Cells(
    normal=Genotype(
        rows=(
            ("average 3x3", 0, "separable 3x3", 0),
            ("identity", 0, "separable 3x3", 0),
            ("average 3x3", 2, "separable 3x3", 1),
            ("identity", 0, "separable 3x3", 1),
            ("average 3x3", 3, "separable 3x3", 0),
        ),
        joined=(1, 2, 4, 5, 6),
    ),
    reduction=Genotype(
        rows=(
            ("max 3x3", 0, "max 3x3", 0),
            ("separable 7x7", 2, "separable 3x3", 0),
            ("separable 7x7", 0, "max 3x3", 1),
            ("separable 5x5", 4, "separable 5x5", 4),
            ("max 3x3", 1, "separable 3x3", 1),
        ),
        joined=(0, 2, 3, 4, 5, 6),
    ),
)


class AmoebaNet(ConvNet):
    """NASNet's outer structure around evolved cells (Fig. 1)."""

    # Differs: of training, neither the auxiliary head nor the scheduled drop path is here.

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        stem_width = None if spec.stem == "small" else spec.stem_width
        stages = alternating_stages(spec.cells, spec.depth, spec.width)
        features = cell_features(in_chans, spec.width, stem_width, spec.cells.reduction, stages)
        self.features = features
        dropout = 0.0 if stem_width is None else 0.5
        self.head = pooled_head(features.channels, num_classes, dropout=dropout)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
DERIVED = "derived: from the cells of tensorflow/tpu, amoeba_net"
TABLE_1 = "Table 1, CIFAR-10"
TABLE_2 = "Table 2"
DARTS = "arXiv:1806.09055, Table 3"
FAMILY = Family(
    name="amoebanet", title="AmoebaNet", year=2018,
    paper="Regularized Evolution for Image Classifier Architecture Search",
    url="https://arxiv.org/abs/1802.01548",
    network=AmoebaNet, pocket=Spec(AMOEBANET_A, 1, 4, stem_width=None),
    small_stem="3x3 convolution of stride 1 and 3 F channels, no stem cells (the CIFAR network's)",
    variants={
        "amoebanet_a_n6_f190": Variant(Spec(AMOEBANET_A, 6, 190), params=86_718_797,
            params_10=83_708_207, macs=23_133_663_507, input_size=331, counted_in=DERIVED,
            published=Published(source=TABLE_2, params="86.7M", macs="23.1G", top1_error="17.2",
                top5_error="3.9"),
            note="the stem's cells are 47 and 95 wide; half of an odd width is rounded down in the "
                "first path of a factorized reduction, up in the second"),
        "amoebanet_a_n6_f448": Variant(Spec(AMOEBANET_A, 6, 448), params=468_151_184,
            params_10=461_053_874, macs=126_520_757_776, input_size=331, counted_in=DERIVED,
            published=Published(source=TABLE_2, params="469M", top1_error="16.1",
                top5_error="3.4"),
            note="the 104G multiply-adds of Table 2 are those of 299 pixels: 103,887,693,968"),
        "amoebanet_a_mobile_n4_f50": Variant(Spec(AMOEBANET_A, 4, 50), params=5_086_930,
            params_10=4_293_940, macs=554_687_204, counted_in=DERIVED,
            published=Published(source=DARTS, params="5.1M", macs="555M", top1_error="25.5",
                top5_error="8.0")),
        "amoebanet_c_mobile_n4_f50": Variant(Spec(AMOEBANET_C, 4, 50), params=6_353_815,
            params_10=5_362_825, macs=676_936_592, counted_in=DERIVED,
            published=Published(source=DARTS, params="6.4M", top1_error="24.3",
                top5_error="7.6"),
            note="multiply-adds are unconfirmed: 570M are printed, the cells give 677M; the same "
                "cells at N=6, F=228 give the 155M and 41G of arXiv:1905.11946, Table 2"),
        "amoebanet_a_cifar_n6_f32": Variant(Spec(AMOEBANET_A, 6, 32, stem_width=None),
            params=2_567_754, params_10=2_567_754, macs=407_671_808, input_size=32,
            num_classes=10, counted_in=DERIVED,
            published=Published(source=TABLE_1, params="2.6M", top1_error="3.40"),
            note="3 F channels in the stem are NASNet's; this paper does not say"),
        "amoebanet_a_cifar_n6_f36": Variant(Spec(AMOEBANET_A, 6, 36, stem_width=None),
            params=3_218_266, params_10=3_218_266, macs=509_668_992, input_size=32,
            num_classes=10, counted_in=DERIVED,
            published=Published(source=TABLE_1, params="3.2M", top1_error="3.34"),
            note="3 F channels in the stem are NASNet's; this paper does not say"),
    },
)
# fmt: on
