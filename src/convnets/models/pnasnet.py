"""PNASNet-5 (Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang and Murphy 2017,
arXiv:1712.00559).

The search grows cells from simple to complex, and a model that predicts their accuracy chooses
which to train; one cell serves both to keep and to halve the size.
"""

from __future__ import annotations

from dataclasses import dataclass

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.cell import Genotype, Step, cell_features
from convnets.layers.conv import pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet


@dataclass(frozen=True)
class Spec:
    """What varies: N cells a stage, the width F of the first stage's cells, and the stem.

    ``stem_width`` is that of the ImageNet stem; None is the CIFAR stem, which has its width from F.
    """

    depth: int
    width: int
    stem_width: int | None = 32
    stem: Stem = "paper"


# Fig. 1, left.
PNASNET_5 = Genotype(
    rows=(
        ("separable 5x5", 1, "max 3x3", 1),
        ("separable 7x7", 0, "max 3x3", 0),
        ("separable 5x5", 0, "separable 3x3", 0),
        ("separable 3x3", 4, "max 3x3", 0),
        ("separable 3x3", 1, "identity", 0),
    ),
    joined=(2, 3, 4, 5, 6),
)


class PNASNet(ConvNet):
    """Three stages of one cell, of which the first has stride 2 and twice the width (Fig. 1)."""

    # Differs: of training, neither the auxiliary head nor the scheduled drop path is here.

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        stem_width = None if spec.stem == "small" else spec.stem_width
        stages = [
            {
                f"block{block + 1}": Step(
                    PNASNET_5, spec.width * 2**stage, stride=2 if stage and not block else 1
                )
                for block in range(spec.depth)
            }
            for stage in range(3)
        ]
        features = cell_features(in_chans, spec.width, stem_width, PNASNET_5, stages)
        self.features = features
        dropout = 0.0 if stem_width is None else 0.5
        self.head = pooled_head(features.channels, num_classes, dropout=dropout)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="pnasnet", title="PNASNet", year=2017,
    paper="Progressive Neural Architecture Search", url="https://arxiv.org/abs/1712.00559",
    network=PNASNet, pocket=Spec(1, 4, stem_width=None),
    small_stem="3x3 convolution of stride 1 and 3 F channels, no stem cells (the CIFAR network's)",
    variants={
        "pnasnet5_large": Variant(Spec(4, 216, stem_width=96), params=86_057_668,
            params_10=81_779_878, macs=24_937_395_792, input_size=331,
            counted_in="timm:pnasnet5large",
            published=Published(source="arXiv:1802.01548, Table 2", params="86.1M", macs="25.0G",
                top1_error="17.1", top5_error="3.8")),
    },
)
# fmt: on
