"""NASNet-A (Zoph, Vasudevan, Shlens and Le 2017, arXiv:1707.07012).

A controller searches on CIFAR-10 for two small cells instead of a network, and the best ones are
stacked, wider and deeper, for ImageNet.
"""

from __future__ import annotations

from dataclasses import dataclass

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.cell import Cells, Genotype, Numbers, alternating_stages, cell_features, spelt
from convnets.layers.conv import pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet


@dataclass(frozen=True)
class Spec:
    """What varies: N cells a stage, the width F of the first stage's cells, and the stem.

    ``stem_width`` is that of the ImageNet stem; None is the CIFAR stem, which has its width from F.
    ``keeps_older``: the cell after a reduction looks past the reduction's newer input. ``normal``
    and ``reduction`` are other cells than NASNet-A's, in the numbers of a search (``spelt``).
    """

    depth: int
    width: int
    stem_width: int | None = 32
    keeps_older: bool = False
    normal: tuple[Numbers, ...] | None = None
    reduction: tuple[Numbers, ...] | None = None
    stem: Stem = "paper"


# Fig. 4. The authors' code also joins maps 1 and 3, though other maps are made of them.
NASNET_A = Cells(
    normal=Genotype(
        rows=(
            ("separable 5x5", 0, "separable 3x3", 1),
            ("separable 5x5", 1, "separable 3x3", 1),
            ("average 3x3", 0, "identity", 1),
            ("average 3x3", 1, "average 3x3", 1),
            ("separable 3x3", 0, "identity", 0),
        ),
        joined=(1, 2, 3, 4, 5, 6),
    ),
    reduction=Genotype(
        rows=(
            ("separable 5x5", 0, "separable 7x7", 1),
            ("max 3x3", 0, "separable 7x7", 1),
            ("average 3x3", 0, "separable 5x5", 1),
            ("identity", 3, "average 3x3", 2),
            ("separable 3x3", 2, "max 3x3", 0),
        ),
        joined=(3, 4, 5, 6),
    ),
)


class NASNet(ConvNet):
    """Three stages of normal cells, a reduction cell before the second and the third (Fig. 2)."""

    # Differs: of training, neither the auxiliary head nor the scheduled drop path is here.

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        stem_width = None if spec.stem == "small" else spec.stem_width
        cells = Cells(
            normal=NASNET_A.normal if spec.normal is None else spelt(spec.normal),
            reduction=NASNET_A.reduction if spec.reduction is None else spelt(spec.reduction),
        )
        stages = alternating_stages(cells, spec.depth, spec.width, keeps_older=spec.keeps_older)
        features = cell_features(in_chans, spec.width, stem_width, cells.reduction, stages)
        self.features = features
        dropout = 0.0 if stem_width is None else 0.5
        self.head = pooled_head(features.channels, num_classes, dropout=dropout)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
DERIVED = "derived: from the cells of tensorflow/models, slim/nets/nasnet"
README = "tensorflow/models, slim/nets/nasnet README"
FAMILY = Family(
    name="nasnet", title="NASNet", year=2017,
    paper="Learning Transferable Architectures for Scalable Image Recognition",
    url="https://arxiv.org/abs/1707.07012",
    network=NASNet, pocket=Spec(1, 4, stem_width=None),
    small_stem="3x3 convolution of stride 1 and 3 F channels, no stem cells (the CIFAR network's)",
    variants={
        "nasnet_a_mobile": Variant(Spec(4, 44), params=5_289_978, params_10=4_243_548,
            macs=563_638_816,
            counted_in="pytorchcv:nasnet_4a1056; multiply-adds " + DERIVED,
            published=Published(source=README, params="5.3M", macs="564M", top1_error="26.0",
                top5_error="8.4"),
            note="NASNet-A (4 @ 1056); pytorchcv has 568,234,858 multiply-adds, some of them for "
                "rows and columns that it pads and then cuts off"),
        "nasnet_a_large": Variant(Spec(6, 168, stem_width=96, keeps_older=True),
            params=88_753_150, params_10=84_760_480, macs=23_783_414_658, input_size=331,
            counted_in="timm:nasnetalarge",
            published=Published(source=README, macs="23.8G", top1_error="17.3", top5_error="3.8"),
            note="NASNet-A (6 @ 4032); the 88.9M parameters of the README count the running "
                "statistics of batch normalisation"),
        "nasnet_a_cifar": Variant(Spec(6, 32, stem_width=None), params=3_346_538,
            params_10=3_346_538, macs=544_333_312, input_size=32, num_classes=10,
            counted_in=DERIVED,
            published=Published(source="Table 1, CIFAR-10", params="3.3M", top1_error="3.41"),
            note="NASNet-A (6 @ 768)"),
    },
)
# fmt: on
