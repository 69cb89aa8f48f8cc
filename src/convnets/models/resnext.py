"""ResNeXt (Xie, Girshick, Dollár, Tu and He 2016, arXiv:1611.05431).

A block sums many narrow transformations of one shape, which a grouped convolution does at once:
their number, the cardinality, is a dimension beside depth and width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.residual import Bottleneck, Place, residual_stages, residual_stem
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth

EXPANSION = 4


@dataclass(frozen=True)
class Spec:
    """What varies: depth of each stage, cardinality, and the width of one path in the first stage.

    ``width`` is that of the stem; the first stage gives four times as many channels. The networks
    for ``cifar`` have a 3x3 stem as published. ``squeeze`` is the reduction of
    squeeze-and-excitation, 0 for none, and ``stochastic_depth`` how often the last block is
    dropped; the paper has neither.
    """

    depths: tuple[int, ...]
    cardinality: int
    path_width: int
    width: int = 64
    cifar: bool = False
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


def aggregated_block(spec: Spec, place: Place) -> Bottleneck:
    """1x1, 3x3 in as many groups as there are paths, 1x1 (Fig. 3c)."""
    doublings = place.out_channels // (spec.width * EXPANSION)
    return Bottleneck(
        place.in_channels,
        spec.cardinality * spec.path_width * doublings,
        place.out_channels,
        stride=place.stride,
        groups=spec.cardinality,
        squeeze=squeeze_by(spec.squeeze, place.out_channels),
        drop=StochasticDepth(place.survival),
    )


class ResNeXt(ConvNet):
    """The network of Table 1, or of Section 5.3 for CIFAR."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        channels = spec.width * EXPANSION
        self.features = stack(
            ("stem", residual_stem(in_chans, spec.width, "small" if spec.cifar else spec.stem)),
            *residual_stages(
                partial(aggregated_block, spec),
                spec.depths,
                in_channels=spec.width,
                out_channels=channels,
                stochastic_depth=spec.stochastic_depth,
            ),
        )
        self.head = pooled_head(channels * 2 ** (len(spec.depths) - 1), num_classes)
        initialise_he2015(self)


# fmt: off
README = "facebookresearch/ResNeXt README"
TABLE_7 = "Table 7, error on CIFAR-10"
FAMILY = Family(
    name="resnext", title="ResNeXt", year=2016,
    paper="Aggregated Residual Transformations for Deep Neural Networks",
    url="https://arxiv.org/abs/1611.05431",
    network=ResNeXt, pocket=Spec((1, 1), 4, 4, width=8, stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling (the paper's CIFAR stem, Section 5.3)",
    variants={
        "resnext50_32x4d": Variant(Spec((3, 4, 6, 3), 32, 4), params=25_028_904,
            params_10=23_000_394, macs=4_230_479_872, counted_in="torchvision:resnext50_32x4d",
            published=Published(source=README, top1_error="22.2"),
            note="the README prints about 4.1e9 multiply-adds"),
        "resnext101_32x4d": Variant(Spec((3, 4, 23, 3), 32, 4), params=44_177_704,
            params_10=42_149_194, macs=7_969_996_800, counted_in="timm:resnext101_32x4d",
            published=Published(source=README, top1_error="21.2"),
            note="the README prints about 7.8e9 multiply-adds"),
        "resnext101_32x8d": Variant(Spec((3, 4, 23, 3), 32, 8), params=88_791_336,
            params_10=86_762_826, macs=16_414_015_488, counted_in="torchvision:resnext101_32x8d",
            note="not in the paper"),
        "resnext101_64x4d": Variant(Spec((3, 4, 23, 3), 64, 4), params=83_455_272,
            params_10=81_426_762, macs=15_460_270_080, counted_in="torchvision:resnext101_64x4d",
            published=Published(source=README, top1_error="20.4"),
            note="the README prints about 15.6e9 multiply-adds"),
        "resnext29_8x64d_cifar": Variant(Spec((3, 3, 3), 8, 64, cifar=True), params=34_426_698,
            params_10=34_426_698, macs=5_387_266_048,
            counted_in="pytorchcv:get_resnext_cifar(29, 8, 64)", input_size=32, num_classes=10,
            published=Published(source=TABLE_7, params="34.4M", top1_error="3.65")),
        "resnext29_16x64d_cifar": Variant(Spec((3, 3, 3), 16, 64, cifar=True), params=68_155_210,
            params_10=68_155_210, macs=10_688_866_304,
            counted_in="pytorchcv:get_resnext_cifar(29, 16, 64)", input_size=32, num_classes=10,
            published=Published(source=TABLE_7, params="68.1M", top1_error="3.58")),
    },
)
# fmt: on
