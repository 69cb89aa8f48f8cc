"""DenseNet for CIFAR (Huang, Liu, van der Maaten and Weinberger 2016, arXiv:1608.06993).

Three dense blocks of equal depth on maps of 32x32, 16x16 and 8x8. DenseNet-BC reads the many maps
through 1x1 bottlenecks and halves their number between blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from convnets.catalog import Family, Published, Stem, Variant
from convnets.errors import UsageError
from convnets.layers.conv import Convolution, pooled_head
from convnets.layers.dense_block import dense_stages
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack

BLOCKS = 3


@dataclass(frozen=True)
class Spec:
    """What varies: the depth L, the growth rate k, and the three figures that make a DenseNet-BC.

    ``depth`` counts every layer with weights, bottlenecks and transitions too.
    A plain DenseNet begins with 16 maps, a BC with 2k (the authors' code gives both 2k).
    ``bottleneck`` is the width of a bottleneck in units of k, 0 for none.
    """

    depth: int
    growth_rate: int
    stem_width: int = 16
    bottleneck: int = 0
    compression: float = 1.0
    stem: Stem = "paper"


def bc(depth: int, growth_rate: int) -> Spec:
    """DenseNet-BC: bottlenecks of 4k maps, and transitions that keep half of them (Section 3)."""
    return Spec(depth, growth_rate, stem_width=2 * growth_rate, bottleneck=4, compression=0.5)


class DenseNetCifar(ConvNet):
    """The networks of Section 3, "Implementation Details"; both stems are the published one."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 10) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        # The stem, the transitions and the classifier are not layers of a dense block.
        layers, left = divmod(spec.depth - BLOCKS - 1, BLOCKS * (2 if spec.bottleneck else 1))
        if left or layers < 1:
            raise UsageError(f"depth is {spec.depth!r}; three equal dense blocks cannot have it")
        stages, channels = dense_stages(
            spec.stem_width,
            (layers,) * BLOCKS,
            spec.growth_rate,
            bottleneck=spec.bottleneck,
            compression=spec.compression,
        )
        stem = Convolution(in_chans, spec.stem_width, 3, padding=1, bias=False)
        self.features = stack(("stem", stack(("conv", stem))), *stages)
        self.head = pooled_head(channels, num_classes)
        initialise_he2015(self)


# fmt: off
CIFAR_10 = "Table 2, CIFAR-10+"
REBUILT = "derived: the authors' densenet.lua, no bottleneck, no reduction, 16 first maps"
FAMILY = Family(
    name="densenet_cifar", title="DenseNet (CIFAR)", year=2016,
    paper="Densely Connected Convolutional Networks", url="https://arxiv.org/abs/1608.06993",
    network=DenseNetCifar, pocket=bc(10, growth_rate=8),
    variants={
        "densenet_40_k12": Variant(Spec(40, 12), params=1_019_722, params_10=1_019_722,
            macs=264_812_928, counted_in=REBUILT, input_size=32, num_classes=10,
            published=Published(source=CIFAR_10, params="1.0M", top1_error="5.24")),
        "densenet_100_k12": Variant(Spec(100, 12), params=6_979_642, params_10=6_979_642,
            macs=1_769_516_448, counted_in=REBUILT, input_size=32, num_classes=10,
            published=Published(source=CIFAR_10, params="7.0M", top1_error="4.10")),
        "densenet_100_k24": Variant(Spec(100, 24), params=27_249_082, params_10=27_249_082,
            macs=6_889_347_744, counted_in=REBUILT, input_size=32, num_classes=10,
            published=Published(source=CIFAR_10, params="27.2M", top1_error="3.74")),
        "densenet_bc_100_k12": Variant(bc(100, 12), params=769_162, params_10=769_162,
            macs=287_929_692, counted_in="pytorchcv:densenet100_k12_bc_cifar10", input_size=32,
            num_classes=10,
            published=Published(source=CIFAR_10, params="0.8M", top1_error="4.51")),
        "densenet_bc_250_k24": Variant(bc(250, 24), params=15_324_406, params_10=15_324_406,
            macs=5_418_785_724, counted_in="pytorchcv:densenet250_k24_bc_cifar10", input_size=32,
            num_classes=10,
            published=Published(source=CIFAR_10, params="15.3M", top1_error="3.62")),
        "densenet_bc_190_k40": Variant(bc(190, 40), params=25_624_430, params_10=25_624_430,
            macs=9_301_945_740, counted_in="pytorchcv:densenet190_k40_bc_cifar10", input_size=32,
            num_classes=10,
            published=Published(source=CIFAR_10, params="25.6M", top1_error="3.46")),
    },
)
# fmt: on
