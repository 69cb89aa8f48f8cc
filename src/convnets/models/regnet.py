"""RegNet (Radosavovic, Kosaraju, Girshick, He and Dollár 2020, arXiv:2003.13678).

The widths of good networks follow a quantised line, so that a whole network is five numbers; the
rest is a ResNeXt bottleneck without a bottleneck (X), or with squeeze-and-excitation too (Y).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.residual import Bottleneck
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay

STEM_WIDTH = 32
Y = 4  # squeeze-and-excitation of a quarter of the width of a block's input (Section 4)


@dataclass(frozen=True)
class Spec:
    """The paper's d, w_0, w_a, w_m and g, and with ``squeeze=Y`` its Y block.

    ``least_share`` is 0.9 where torchvision rounds a width to whole groups in its own way, and so
    has another network. ``stochastic_depth`` is how often the last block is dropped.
    """

    depth: int
    initial_width: int
    slope: float
    multiplier: float
    group_width: int
    squeeze: int = 0
    least_share: float = 0.0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


@dataclass(frozen=True)
class Stage:
    """Blocks of one width and the width of their groups."""

    depth: int
    width: int
    group_width: int


def stages(spec: Spec) -> list[Stage]:
    """Divide the blocks into stages: those of one quantised width (Section 3.3)."""
    depths = Counter(quantised_width(spec, block) for block in range(spec.depth))
    found = []
    for width, depth in depths.items():
        group_width = min(spec.group_width, width)
        whole = whole_groups(width, group_width, spec.least_share)
        found.append(Stage(depth, whole, group_width))
    return found


def quantised_width(spec: Spec, block: int) -> int:
    """Width of the block with this index from 0: Eq. 2 to 4, and a multiple of 8."""
    linear = spec.initial_width + spec.slope * block
    steps = round(math.log(linear / spec.initial_width, spec.multiplier))
    return round(spec.initial_width * spec.multiplier**steps / 8) * 8


def whole_groups(width: int, group_width: int, least_share: float) -> int:
    """The multiple of ``group_width`` nearest to ``width``; halves go to the even one.

    With a ``least_share`` halves go up, and what falls below that share of ``width`` does too.
    """
    if not least_share:
        return round(width / group_width) * group_width
    nearest = (width + group_width // 2) // group_width * group_width
    return nearest if nearest >= least_share * width else nearest + group_width


def block(
    in_channels: int, stage: Stage, spec: Spec, *, stride: int, survival: float
) -> Bottleneck:
    """The X block, a residual bottleneck of ratio 1 with groups (Fig. 4), or the Y block."""
    gate = SqueezeExcite(stage.width, in_channels // spec.squeeze) if spec.squeeze else None
    return Bottleneck(
        in_channels,
        stage.width,
        stage.width,
        stride=stride,
        groups=stage.width // stage.group_width,
        gate=gate,
        drop=StochasticDepth(survival),
    )


class RegNet(ConvNet):
    """Stem, stages of stride 2, pooled head (Fig. 3)."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        survivals = iter(linear_decay(spec.depth, 1 - spec.stochastic_depth))
        stem = conv_bn(in_chans, STEM_WIDTH, 3, stride=1 if spec.stem == "small" else 2)
        self.features = stack(("stem", stem))
        channels = STEM_WIDTH
        for index, stage in enumerate(stages(spec), start=1):
            blocks = nn.Sequential()
            for position in range(1, stage.depth + 1):
                stride = 2 if position == 1 else 1
                each = block(channels, stage, spec, stride=stride, survival=next(survivals))
                blocks.add_module(f"block{position}", each)
                channels = stage.width
            self.features.add_module(f"stage{index}", blocks)
        self.head = pooled_head(channels, num_classes)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
ZOO = "facebookresearch/pycls, MODEL_ZOO"
TORCHVISION = "torchvision, IMAGENET1K_V1"
OTHER = "torchvision's network of this name; the paper's is the _paper row"
FAMILY = Family(
    name="regnet", title="RegNet", year=2020,
    paper="Designing Network Design Spaces", url="https://arxiv.org/abs/2003.13678",
    network=RegNet, pocket=Spec(4, 16, 8.0, 2.0, 8, Y, stochastic_depth=0.1, stem="small"),
    small_stem="first convolution of stride 1",
    variants={
        "regnet_x_200mf": Variant(Spec(13, 24, 36.44, 2.49, 8), params=2_684_792,
            params_10=2_319_482, macs=199_039_872, counted_in="timm:regnetx_002",
            published=Published(source=ZOO, params="2.7M", macs="0.2G", top1_error="31.1")),
        "regnet_x_400mf_paper": Variant(Spec(22, 24, 24.48, 2.54, 16), params=5_157_512,
            params_10=4_776_362, macs=397_677_568, counted_in="timm:regnetx_004",
            published=Published(source=ZOO, params="5.2M", macs="0.4G", top1_error="27.3")),
        "regnet_x_400mf": Variant(Spec(22, 24, 24.48, 2.54, 16, least_share=0.9), params=5_495_976,
            params_10=5_098_986, macs=413_812_608, counted_in="torchvision:regnet_x_400mf",
            published=Published(source=TORCHVISION, macs="0.414G", top1_error="27.166",
                top5_error="9.050"),
            note=OTHER),
        "regnet_x_600mf": Variant(Spec(16, 48, 36.97, 2.24, 24), params=6_196_040,
            params_10=5_672_330, macs=600_890_112, counted_in="timm:regnetx_006",
            published=Published(source=ZOO, params="6.2M", macs="0.6G", top1_error="25.9")),
        "regnet_x_800mf": Variant(Spec(16, 56, 35.73, 2.28, 16), params=7_259_656,
            params_10=6_593_386, macs=799_699_712, counted_in="torchvision:regnet_x_800mf",
            published=Published(source=ZOO, params="7.3M", macs="0.8G", top1_error="24.8")),
        "regnet_x_1_6gf": Variant(Spec(18, 80, 34.01, 2.25, 24), params=9_190_136,
            params_10=8_286_266, macs=1_602_849_792, counted_in="torchvision:regnet_x_1_6gf",
            published=Published(source=ZOO, params="9.2M", macs="1.6G", top1_error="23.0")),
        "regnet_x_3_2gf": Variant(Spec(25, 88, 26.31, 2.25, 48), params=15_296_552,
            params_10=14_297_642, macs=3_176_621_952, counted_in="torchvision:regnet_x_3_2gf",
            published=Published(source=ZOO, params="15.3M", macs="3.2G", top1_error="21.7")),
        "regnet_x_4_0gf": Variant(Spec(23, 96, 38.65, 2.43, 40), params=22_118_248,
            params_10=20_770_858, macs=3_964_498_816, counted_in="timm:regnetx_040",
            published=Published(source=ZOO, params="22.1M", macs="4.0G", top1_error="21.4")),
        "regnet_x_6_4gf": Variant(Spec(17, 184, 60.83, 2.07, 56), params=26_209_256,
            params_10=24_600_506, macs=6_460_291_264, counted_in="timm:regnetx_064",
            published=Published(source=ZOO, params="26.2M", macs="6.5G", top1_error="20.8")),
        "regnet_x_8gf": Variant(Spec(23, 80, 49.56, 2.88, 120), params=39_572_648,
            params_10=37_670_858, macs=7_995_132_416, counted_in="torchvision:regnet_x_8gf",
            published=Published(source=ZOO, params="39.6M", macs="8.0G", top1_error="20.7")),
        "regnet_x_12gf": Variant(Spec(19, 168, 73.36, 2.37, 112), params=46_106_056,
            params_10=43_887_466, macs=12_086_678_016, counted_in="timm:regnetx_120",
            published=Published(source=ZOO, params="46.1M", macs="12.1G", top1_error="20.3")),
        "regnet_x_16gf": Variant(Spec(22, 216, 55.59, 2.1, 128), params=54_278_536,
            params_10=52_250_026, macs=15_940_755_456, counted_in="torchvision:regnet_x_16gf",
            published=Published(source=ZOO, params="54.3M", macs="15.9G", top1_error="20.0")),
        "regnet_x_32gf": Variant(Spec(23, 320, 69.86, 2.0, 168), params=107_811_560,
            params_10=105_315_770, macs=31_735_929_792, counted_in="torchvision:regnet_x_32gf",
            published=Published(source=ZOO, params="107.8M", macs="31.7G", top1_error="19.5")),
        "regnet_y_200mf": Variant(Spec(13, 24, 36.44, 2.49, 8, Y), params=3_162_996,
            params_10=2_797_686, macs=199_514_080, counted_in="timm:regnety_002",
            published=Published(source=ZOO, params="3.2M", macs="0.2G", top1_error="29.6")),
        "regnet_y_400mf": Variant(Spec(16, 48, 27.89, 2.09, 8, Y), params=4_344_144,
            params_10=3_907_554, macs=401_842_848, counted_in="torchvision:regnet_y_400mf",
            published=Published(source=ZOO, params="4.3M", macs="0.4G", top1_error="25.9")),
        "regnet_y_600mf": Variant(Spec(15, 48, 32.54, 2.32, 16, Y), params=6_055_160,
            params_10=5_452_250, macs=601_220_992, counted_in="timm:regnety_006",
            published=Published(source=ZOO, params="6.1M", macs="0.6G", top1_error="24.5")),
        "regnet_y_800mf_paper": Variant(Spec(14, 56, 38.84, 2.4, 16, Y), params=6_263_168,
            params_10=5_501_858, macs=797_176_832, counted_in="timm:regnety_008",
            published=Published(source=ZOO, params="6.3M", macs="0.8G", top1_error="23.7")),
        "regnet_y_800mf": Variant(Spec(14, 56, 38.84, 2.4, 16, Y, least_share=0.9),
            params=6_432_512, params_10=5_655_362, macs=833_856_256,
            counted_in="torchvision:regnet_y_800mf",
            published=Published(source=TORCHVISION, macs="0.834G", top1_error="23.580",
                top5_error="6.864"),
            note=OTHER),
        "regnet_y_1_6gf": Variant(Spec(27, 48, 20.71, 2.65, 24, Y), params=11_202_430,
            params_10=10_322_320, macs=1_612_076_160, counted_in="torchvision:regnet_y_1_6gf",
            published=Published(source=ZOO, params="11.2M", macs="1.6G", top1_error="22.0")),
        "regnet_y_3_2gf": Variant(Spec(21, 80, 42.63, 2.66, 24, Y), params=19_436_338,
            params_10=17_938_468, macs=3_176_482_752, counted_in="torchvision:regnet_y_3_2gf",
            published=Published(source=ZOO, params="19.4M", macs="3.2G", top1_error="21.0")),
        "regnet_y_4_0gf": Variant(Spec(22, 96, 31.41, 2.24, 64, Y), params=20_646_656,
            params_10=19_568_546, macs=3_973_288_448, counted_in="timm:regnety_040",
            published=Published(source=ZOO, params="20.6M", macs="4.0G", top1_error="20.6")),
        "regnet_y_6_4gf": Variant(Spec(25, 112, 33.22, 2.27, 72, Y), params=30_583_252,
            params_10=29_299_222, macs=6_355_204_992, counted_in="timm:regnety_064",
            published=Published(source=ZOO, params="30.6M", macs="6.4G", top1_error="20.1")),
        "regnet_y_8gf_paper": Variant(Spec(17, 192, 76.82, 2.19, 56, Y), params=39_180_068,
            params_10=37_183_238, macs=7_963_057_312, counted_in="timm:regnety_080",
            published=Published(source=ZOO, params="39.2M", macs="8.0G", top1_error="20.1")),
        "regnet_y_8gf": Variant(Spec(17, 192, 76.82, 2.19, 56, Y, least_share=0.9),
            params=39_381_472, params_10=37_384_642, macs=8_473_070_592,
            counted_in="torchvision:regnet_y_8gf",
            published=Published(source=TORCHVISION, macs="8.473G", top1_error="19.968",
                top5_error="4.952"),
            note=OTHER),
        "regnet_y_12gf": Variant(Spec(19, 168, 73.36, 2.37, 112, Y), params=51_822_544,
            params_10=49_603_954, macs=12_092_376_576, counted_in="timm:regnety_120",
            published=Published(source=ZOO, params="51.8M", macs="12.1G", top1_error="19.7")),
        "regnet_y_16gf": Variant(Spec(18, 200, 106.23, 2.48, 112, Y), params=83_590_140,
            params_10=80_595_390, macs=15_911_510_272, counted_in="torchvision:regnet_y_16gf",
            published=Published(source=ZOO, params="83.6M", macs="15.9G", top1_error="19.6")),
        "regnet_y_32gf": Variant(Spec(20, 232, 115.89, 2.53, 232, Y), params=145_046_770,
            params_10=141_370_900, macs=32_279_552_832, counted_in="torchvision:regnet_y_32gf",
            published=Published(source=ZOO, params="145.0M", macs="32.3G", top1_error="19.0")),
        "regnet_y_128gf": Variant(Spec(27, 456, 160.83, 2.52, 264, Y), params=644_812_894,
            params_10=637_493_824, macs=127_517_815_680, counted_in="torchvision:regnet_y_128gf",
            note="by the same rule, later than the paper; torchvision has SWAG weights"),
    },
)
# fmt: on
