"""ResNet (He, Zhang, Ren and Sun 2015, arXiv:1512.03385).

Each block learns a residual that is added to its input, so that depth no longer hurts training.
These are the ImageNet networks of Table 1. The rows ``_v1`` have the stride of a bottleneck in its
first 1x1 convolution, as the authors' models do; the others have it in the 3x3 ("v1.5"), as people
run them today. Shortcuts are projections where the shape changes (option B) unless the spec says
otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.residual import (
    SHORTCUTS,
    BasicBlock,
    Bottleneck,
    Place,
    Shortcut,
    residual_stages,
    residual_stem,
)
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth

EXPANSION = {"basic": 1, "bottleneck": 4}


@dataclass(frozen=True)
class Spec:
    """What varies: the block, how many of them a stage has, the stem, and the first width.

    ``strided`` is the convolution of a bottleneck that has the stride. ``shortcut`` is the option
    of Section 3.3: A pads the identity with zeros, B projects where the shape changes, C always
    projects. ``squeeze`` is the reduction of squeeze-and-excitation, 0 for none, and
    ``stochastic_depth`` how often the last block is dropped; the paper has neither.
    """

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    width: int = 64
    strided: Literal["conv1", "conv2"] = "conv2"
    shortcut: Shortcut = "B"
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


def residual_block(spec: Spec, place: Place) -> nn.Module:
    """Two 3x3 convolutions, or 1x1, 3x3 and a 1x1 that is four times as wide (Fig. 5)."""
    shortcut = SHORTCUTS[spec.shortcut](place.in_channels, place.out_channels, place.stride)
    squeeze = squeeze_by(spec.squeeze, place.out_channels)
    drop = StochasticDepth(place.survival)
    if spec.block == "basic":
        return BasicBlock(
            place.in_channels,
            place.out_channels,
            stride=place.stride,
            shortcut=shortcut,
            squeeze=squeeze,
            drop=drop,
        )
    return Bottleneck(
        place.in_channels,
        place.out_channels // EXPANSION["bottleneck"],
        place.out_channels,
        stride=place.stride,
        strided=spec.strided,
        shortcut=shortcut,
        squeeze=squeeze,
        drop=drop,
    )


class ResNet(ConvNet):
    """The network of Table 1."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        channels = spec.width * EXPANSION[spec.block]
        self.features = stack(
            ("stem", residual_stem(in_chans, spec.width, spec.stem)),
            *residual_stages(
                partial(residual_block, spec),
                spec.depths,
                in_channels=spec.width,
                out_channels=channels,
                stochastic_depth=spec.stochastic_depth,
            ),
        )
        self.head = pooled_head(channels * 2 ** (len(spec.depths) - 1), num_classes)
        initialise_he2015(self)


# fmt: off
ONE_CROP = "KaimingHe/deep-residual-networks, 1 crop"
V15_ONE_CROP = "facebook/fb.resnet.torch, 1 crop"
WIDE = "Wide ResNet (arXiv:1605.07146), Table 8, 1 crop"
FAMILY = Family(
    name="resnet", title="ResNet", year=2015,
    paper="Deep Residual Learning for Image Recognition", url="https://arxiv.org/abs/1512.03385",
    network=ResNet, pocket=Spec("basic", (1, 1), width=8, stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling (the paper's CIFAR stem, Section 4.2)",
    variants={
        "resnet18": Variant(Spec("basic", (2, 2, 2, 2)), params=11_689_512, params_10=11_181_642,
            macs=1_814_073_344, counted_in="torchvision:resnet18",
            published=Published(source=f"Table 1; {V15_ONE_CROP}", macs="1.8G",
                top1_error="30.43", top5_error="10.76")),
        "resnet34": Variant(Spec("basic", (3, 4, 6, 3)), params=21_797_672, params_10=21_289_802,
            macs=3_663_761_408, counted_in="torchvision:resnet34",
            published=Published(source=f"Table 1; {V15_ONE_CROP}", macs="3.6G",
                top1_error="26.73", top5_error="8.74")),
        "resnet50": Variant(Spec("bottleneck", (3, 4, 6, 3)), params=25_557_032,
            params_10=23_528_522, macs=4_089_184_256, counted_in="torchvision:resnet50",
            published=Published(source=V15_ONE_CROP, top1_error="24.01", top5_error="7.02"),
            note="v1.5; the paper's figures are those of resnet50_v1"),
        "resnet50_v1": Variant(Spec("bottleneck", (3, 4, 6, 3), strided="conv1"),
            params=25_557_032, params_10=23_528_522, macs=3_857_973_248,
            counted_in="pytorchcv:resnet50",
            published=Published(source=f"Table 1; {ONE_CROP}", macs="3.8G",
                top1_error="24.7", top5_error="7.8")),
        "resnet101": Variant(Spec("bottleneck", (3, 4, 23, 3)), params=44_549_160,
            params_10=42_520_650, macs=7_801_405_440, counted_in="torchvision:resnet101",
            published=Published(source=V15_ONE_CROP, top1_error="22.44", top5_error="6.21"),
            note="v1.5; the paper's figures are those of resnet101_v1"),
        "resnet101_v1": Variant(Spec("bottleneck", (3, 4, 23, 3), strided="conv1"),
            params=44_549_160, params_10=42_520_650, macs=7_570_194_432,
            counted_in="pytorchcv:resnet101",
            published=Published(source=f"Table 1; {ONE_CROP}", macs="7.6G",
                top1_error="23.6", top5_error="7.1")),
        "resnet152": Variant(Spec("bottleneck", (3, 8, 36, 3)), params=60_192_808,
            params_10=58_164_298, macs=11_513_626_624, counted_in="torchvision:resnet152",
            published=Published(source=WIDE, params="60.2M",
                top1_error="22.16", top5_error="6.16"),
            note="v1.5; the paper's figures are those of resnet152_v1"),
        "resnet152_v1": Variant(Spec("bottleneck", (3, 8, 36, 3), strided="conv1"),
            params=60_192_808, params_10=58_164_298, macs=11_282_415_616,
            counted_in="pytorchcv:resnet152",
            published=Published(source=f"Table 1; {ONE_CROP}", macs="11.3G",
                top1_error="23.0", top5_error="6.7")),
        "resnet200": Variant(Spec("bottleneck", (3, 24, 36, 3)), params=64_673_832,
            params_10=62_645_322, macs=15_007_481_856, counted_in="timm:resnet200",
            published=Published(source="ConvNeXt (arXiv:2201.03545), Table 11", macs="15.01G",
                top1_error="21.8"),
            note="v1.5; the depths of the pre-activation ResNet-200 in the blocks of this paper"),
    },
)
# fmt: on
