"""MobileNet (Howard et al. 2017, arXiv:1704.04861).

A convolution is split in two, one filter a channel and then a 1x1 across channels, at an eighth to
a ninth of the cost; one multiplier thins every layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack

STEM_WIDTH = 32
# Channels and number of blocks between two halvings of the map (Table 1).
STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))


@dataclass(frozen=True)
class Spec:
    """What varies: the width multiplier, and the stages for networks of other sizes."""

    width: float = 1.0
    stages: tuple[tuple[int, int], ...] = STAGES
    stem: Stem = "paper"


def separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Depthwise 3x3 and pointwise 1x1, each with batch normalisation and ReLU (Fig. 3, right)."""
    return stack(
        ("depthwise", conv_bn(in_channels, in_channels, 3, stride=stride, groups=in_channels)),
        ("pointwise", conv_bn(in_channels, out_channels, 1)),
    )


class MobileNetV1(ConvNet):
    """The network of Table 1; ``stem`` is its one full convolution."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        channels = int(STEM_WIDTH * spec.width)
        stem = conv_bn(in_chans, channels, 3, stride=1 if spec.stem == "small" else 2)
        self.features = stack(("stem", stem))
        for index, (width, depth) in enumerate(spec.stages):
            stage = nn.Sequential()
            out_channels = int(width * spec.width)
            for block in range(depth):
                # Differs: Table 1 prints a stride of 2 at the last block too, whose map stays 7x7.
                stride = 2 if index and not block else 1
                stage.add_module(f"block{block + 1}", separable(channels, out_channels, stride))
                channels = out_channels
            self.features.add_module(f"stage{index + 1}", stage)
        self.head = pooled_head(channels, num_classes)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="mobilenet_v1", title="MobileNet", year=2017,
    paper="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    url="https://arxiv.org/abs/1704.04861",
    network=MobileNetV1, pocket=Spec(0.25, stages=((32, 1), (64, 2)), stem="small"),
    small_stem="first convolution of stride 1",
    variants={
        "mobilenet_v1": Variant(Spec(), params=4_231_976, params_10=3_217_226,
            macs=568_740_352, counted_in="pytorchcv:mobilenet_w1",
            published=Published(source="Table 6", params="4.2M", macs="569M", top1_error="29.4")),
        "mobilenet_v1_075": Variant(Spec(0.75), params=2_585_560, params_10=1_824_250,
            macs=325_400_448, counted_in="pytorchcv:mobilenet_w3d4",
            published=Published(source="Table 6", params="2.6M", macs="325M", top1_error="31.6")),
        "mobilenet_v1_05": Variant(Spec(0.5), params=1_331_592, params_10=823_722,
            macs=149_497_088, counted_in="pytorchcv:mobilenet_wd2",
            published=Published(source="Table 6", params="1.3M", macs="149M", top1_error="36.3")),
        "mobilenet_v1_025": Variant(Spec(0.25), params=470_072, params_10=215_642,
            macs=41_030_272, counted_in="pytorchcv:mobilenet_wd4",
            published=Published(source="Table 6", params="0.5M", macs="41M", top1_error="49.4")),
    },
)
# fmt: on
