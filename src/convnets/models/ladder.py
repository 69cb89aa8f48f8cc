"""The way from ResNet to ConvNeXt, a network for every step (Liu, Mao, Wu, Feichtenhofer, Darrell
and Xie 2022, arXiv:2201.03545, Section 2).

Each design of the Swin Transformer that a ConvNet can have is taken over by itself, so that a table
says what it is worth. One ladder leads from ResNet-50 to ConvNeXt-T, one from ResNet-200 to
ConvNeXt-B.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from functools import partial

from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import Convolution, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.norm import ChannelNorm
from convnets.layers.patchify import EPS
from convnets.layers.residual import Bottleneck, Place, residual_stages, residual_stem
from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import convnext


class Step(IntEnum):
    """The rows of Tables 10 and 11. What a step changes stays, but for the kernels tried."""

    change: str

    def __new__(cls, number: int, change: str) -> Step:
        step = int.__new__(cls, number)
        step._value_ = number
        step.change = change
        return step

    RESNET = 0, "with the recipe of its time"
    MODERN_RECIPE = 1, "AdamW, 300 epochs, more augmentation, stochastic depth"
    STAGE_RATIO = 2, "blocks in Swin's ratio; on the way to B also wider"
    PATCHIFY_STEM = 3, "4x4 patches for the 7x7 convolution and the pooling"
    DEPTHWISE_CONV = 4, "depthwise 3x3 convolutions"
    INCREASE_WIDTH = 5, "as wide as Swin"
    INVERTING_DIMENSIONS = 6, "blocks wide within and thin at their ends"
    MOVE_UP_DEPTHWISE_CONV = 7, "the depthwise convolution first in its block"
    KERNEL_SIZE_5 = 8, "depthwise 5x5"
    KERNEL_SIZE_7 = 9, "depthwise 7x7"
    KERNEL_SIZE_9 = 10, "depthwise 9x9"
    KERNEL_SIZE_11 = 11, "depthwise 11x11"
    RELU_TO_GELU = 12, "GELU for ReLU; depthwise 7x7 from here on"
    FEWER_ACTIVATIONS = 13, "one activation a block"
    FEWER_NORMS = 14, "one norm a block"
    BN_TO_LN = 15, "layer norm for batch norm"
    SEPARATE_DOWNSAMPLING_CONV = 16, "a norm and a 2x2 convolution between stages: ConvNeXt"


KERNELS = {Step.KERNEL_SIZE_5: 5, Step.KERNEL_SIZE_9: 9, Step.KERNEL_SIZE_11: 11}


@dataclass(frozen=True)
class Spec:
    """How far the network has come, and its blocks, first width and stochastic depth."""

    step: Step
    depths: tuple[int, ...]
    width: int
    stochastic_depth: float
    stem: Stem = "paper"

    @property
    def kernel(self) -> int:
        """Side of the depthwise kernel."""
        return KERNELS.get(self.step, 3 if self.step < Step.KERNEL_SIZE_5 else 7)

    def act(self) -> nn.Module:
        """Return a new activation."""
        return nn.GELU() if self.step >= Step.RELU_TO_GELU else nn.ReLU(inplace=True)

    def norm(self, channels: int) -> nn.Module:
        """Return a new norm."""
        if self.step >= Step.BN_TO_LN:
            return ChannelNorm(channels, eps=EPS)
        return nn.BatchNorm2d(channels)


class Block(nn.Module):
    """Depthwise, 1x1 to four times the width, 1x1 back (Fig. 3c): the block from step 7 on.

    Until the last step the depthwise convolution has the stride, and the shortcut a 1x1 with it.
    """

    def __init__(self, spec: Spec, place: Place) -> None:
        super().__init__()
        before, after, side = place.in_channels, place.out_channels, spec.kernel
        all_act = spec.step < Step.FEWER_ACTIVATIONS
        all_normed = spec.step < Step.FEWER_NORMS
        # The paper does not say whether a convolution that loses its norm gets a bias: not here.
        depthwise = Convolution(
            before, before, side, place.stride, side // 2, groups=before, bias=False
        )
        expand = nn.Conv2d(before, 4 * after, 1, bias=False)
        project = nn.Conv2d(4 * after, after, 1, bias=False)
        self.depthwise = layer(depthwise, spec.norm(before), spec.act() if all_act else None)
        self.expand = layer(expand, spec.norm(4 * after) if all_normed else None, spec.act())
        self.project = layer(project, spec.norm(after) if all_normed else None)
        self.drop = StochasticDepth(place.survival)
        self.shortcut: nn.Module = nn.Identity()
        if place.stride > 1 or before != after:
            pointwise = nn.Conv2d(before, after, 1, place.stride, bias=False)
            self.shortcut = layer(pointwise, spec.norm(after))
        self.act = spec.act() if all_act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.drop(self.project(self.expand(self.depthwise(x))))
        out: Tensor = self.act(branch + self.shortcut(x))
        return out


def layer(
    conv: nn.Module, norm: nn.Module | None = None, act: nn.Module | None = None
) -> nn.Sequential:
    """A convolution with what follows it, if anything; children ``conv``, ``norm``, ``act``."""
    parts = (("conv", conv), ("norm", norm), ("act", act))
    return stack(*((name, part) for name, part in parts if part is not None))


def stem(in_chans: int, spec: Spec) -> nn.Sequential:
    """ResNet's; from step 3 on patches of 4x4 pixels, or for small images of 2x2."""
    if spec.step < Step.PATCHIFY_STEM:
        return residual_stem(in_chans, spec.width, spec.stem)
    side = 2 if spec.stem == "small" else 4
    conv = nn.Conv2d(in_chans, spec.width, side, side, bias=False)
    # Swin has no activation here, and this one goes with those of the blocks.
    acts = spec.step < Step.FEWER_ACTIVATIONS
    return layer(conv, spec.norm(spec.width), spec.act() if acts else None)


def residual_block(spec: Spec, place: Place) -> nn.Module:
    """The block of a step: a bottleneck thin within, then wide within, then ``Block``."""
    if spec.step >= Step.MOVE_UP_DEPTHWISE_CONV:
        return Block(spec, place)
    inverted = spec.step >= Step.INVERTING_DIMENSIONS
    width = place.out_channels * 4 if inverted else place.out_channels // 4
    return Bottleneck(
        place.in_channels,
        width,
        place.out_channels,
        stride=place.stride,
        groups=width if spec.step >= Step.DEPTHWISE_CONV else 1,
        drop=StochasticDepth(place.survival),
    )


class Ladder(ConvNet):
    """The network of any step but the last."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        inverted = spec.step >= Step.INVERTING_DIMENSIONS
        channels = spec.width if inverted else 4 * spec.width
        self.features = stack(
            ("stem", stem(in_chans, spec)),
            *residual_stages(
                partial(residual_block, spec),
                spec.depths,
                in_channels=spec.width,
                out_channels=channels,
                stochastic_depth=spec.stochastic_depth,
            ),
        )
        self.head = pooled_head(channels * 2 ** (len(spec.depths) - 1), num_classes)
        # The paper does not say how the networks between start.
        initialise_he2015(self)


def network(spec: Spec | convnext.Spec, *, in_chans: int = 3, num_classes: int = 1000) -> ConvNet:
    """Build the network of any step; that of the last is a ``ConvNeXt``."""
    if isinstance(spec, convnext.Spec):
        return convnext.ConvNeXt(spec, in_chans=in_chans, num_classes=num_classes)
    return Ladder(spec, in_chans=in_chans, num_classes=num_classes)


@dataclass(frozen=True)
class Rung:
    """A row of Table 10 or 11: a network, its exact costs, and GFLOPs and accuracy as printed."""

    model: str
    spec: Spec | convnext.Spec
    params: int
    params_10: int
    macs: int
    gflops: str
    top1: str

    @property
    def step(self) -> Step:
        """Which step it is."""
        return self.spec.step if isinstance(self.spec, Spec) else Step.SEPARATE_DOWNSAMPLING_CONV

    def variant(self, table: str) -> Variant:
        """The network as a row of the zoo."""
        error = str(100 - Decimal(self.top1.split()[0]))
        macs = None if self.gflops in MISPRINTS else f"{self.gflops}G"
        note = "" if macs else f"{table} prints {self.gflops}G multiply-adds"
        published = Published(table, macs=macs, top1_error=error)
        costs = (self.params, self.params_10, self.macs, COUNTED)
        return Variant(self.spec, *costs, published=published, note=note)


# fmt: off
COUNTED = "derived: sum over the layers of Section 2"
CONVNEXT = convnext.FAMILY.variants
TINY, BASE = (3, 3, 9, 3), (3, 3, 27, 3)
# Layer norm adds no multiply-adds, and ConvNeXt-T has 4.46G.
MISPRINTS = ("4.46", "4.49")
# The stochastic depth is that of the ConvNeXt at the top.
TO_TINY = (
    Rung("ladder_t_00_resnet50", Spec(Step.RESNET, (3, 4, 6, 3), 64, 0.1),
        25_557_032, 23_528_522, 4_089_184_256, "4.09", "76.13"),
    Rung("ladder_t_00_resnet50", Spec(Step.MODERN_RECIPE, (3, 4, 6, 3), 64, 0.1),
        25_557_032, 23_528_522, 4_089_184_256, "4.09", "78.82 ± 0.07"),
    Rung("ladder_t_02_stage_ratio", Spec(Step.STAGE_RATIO, TINY, 64, 0.1),
        28_628_520, 26_600_010, 4_525_916_160, "4.53", "79.36 ± 0.07"),
    Rung("ladder_t_03_patchify_stem", Spec(Step.PATCHIFY_STEM, TINY, 64, 0.1),
        28_622_184, 26_593_674, 4_417_536_000, "4.42", "79.51 ± 0.18"),
    Rung("ladder_t_04_depthwise_conv", Spec(Step.DEPTHWISE_CONV, TINY, 64, 0.1),
        15_722_664, 13_694_154, 2_349_507_072, "2.35", "78.28 ± 0.08"),
    Rung("ladder_t_05_increase_width", Spec(Step.INCREASE_WIDTH, TINY, 96, 0.1),
        33_761_032, 30_718_762, 5_267_976_960, "5.27", "80.50 ± 0.02"),
    Rung("ladder_t_06_inverting_dimensions", Spec(Step.INVERTING_DIMENSIONS, TINY, 96, 0.1),
        25_851_496, 25_090_186, 4_644_406_272, "4.64", "80.64 ± 0.03"),
    Rung("ladder_t_07_move_up_depthwise_conv", Spec(Step.MOVE_UP_DEPTHWISE_CONV, TINY, 96, 0.1),
        25_625_512, 24_864_202, 4_065_080_448, "4.07", "79.92 ± 0.08"),
    Rung("ladder_t_08_kernel_size_5", Spec(Step.KERNEL_SIZE_5, TINY, 96, 0.1),
        25_720_744, 24_959_434, 4_097_293_440, "4.10", "80.35 ± 0.08"),
    Rung("ladder_t_09_kernel_size_7", Spec(Step.KERNEL_SIZE_7, TINY, 96, 0.1),
        25_863_592, 25_102_282, 4_145_612_928, "4.15", "80.57 ± 0.14"),
    Rung("ladder_t_10_kernel_size_9", Spec(Step.KERNEL_SIZE_9, TINY, 96, 0.1),
        26_054_056, 25_292_746, 4_210_038_912, "4.21", "80.57 ± 0.06"),
    Rung("ladder_t_11_kernel_size_11", Spec(Step.KERNEL_SIZE_11, TINY, 96, 0.1),
        26_292_136, 25_530_826, 4_290_571_392, "4.29", "80.47 ± 0.11"),
    Rung("ladder_t_12_relu_to_gelu", Spec(Step.RELU_TO_GELU, TINY, 96, 0.1),
        25_863_592, 25_102_282, 4_145_612_928, "4.15", "80.62 ± 0.14"),
    Rung("ladder_t_13_fewer_activations", Spec(Step.FEWER_ACTIVATIONS, TINY, 96, 0.1),
        25_863_592, 25_102_282, 4_145_612_928, "4.15", "81.27 ± 0.06"),
    Rung("ladder_t_14_fewer_norms", Spec(Step.FEWER_NORMS, TINY, 96, 0.1),
        25_797_352, 25_036_042, 4_145_612_928, "4.15", "81.41 ± 0.09"),
    Rung("ladder_t_15_bn_to_ln", Spec(Step.BN_TO_LN, TINY, 96, 0.1),
        25_797_352, 25_036_042, 4_145_612_928, "4.46", "81.47 ± 0.09"),
    Rung("ladder_t_16_separate_downsampling_conv", CONVNEXT["convnext_tiny"].spec,
        28_589_128, 27_827_818, 4_455_531_264, "4.49", "81.97 ± 0.06"),
)
TO_BASE = (
    Rung("ladder_b_00_resnet200", Spec(Step.RESNET, (3, 24, 36, 3), 64, 0.5),
        64_673_832, 62_645_322, 15_007_481_856, "15.01", "78.20"),
    Rung("ladder_b_00_resnet200", Spec(Step.MODERN_RECIPE, (3, 24, 36, 3), 64, 0.5),
        64_673_832, 62_645_322, 15_007_481_856, "15.01", "81.14"),
    Rung("ladder_b_02_stage_ratio_and_increase_width", Spec(Step.STAGE_RATIO, BASE, 84, 0.5),
        83_066_332, 80_404_222, 14_518_404_096, "14.52", "81.33"),
    Rung("ladder_b_03_patchify_stem", Spec(Step.PATCHIFY_STEM, BASE, 84, 0.5),
        83_058_016, 80_395_906, 14_376_155_136, "14.38", "81.59"),
    Rung("ladder_b_04_depthwise_conv", Spec(Step.DEPTHWISE_CONV, BASE, 84, 0.5),
        42_585_556, 39_923_446, 7_234_368_288, "7.23", "80.54"),
    Rung("ladder_b_05_increase_width", Spec(Step.INCREASE_WIDTH, BASE, 128, 0.5),
        96_526_696, 92_470_666, 16_763_933_696, "16.76", "81.85"),
    Rung("ladder_b_06_inverting_dimensions", Spec(Step.INVERTING_DIMENSIONS, BASE, 128, 0.5),
        83_700_200, 82_685_450, 15_679_418_368, "15.68", "82.64"),
    Rung("ladder_b_07_move_up_depthwise_conv", Spec(Step.MOVE_UP_DEPTHWISE_CONV, BASE, 128, 0.5),
        83_094_760, 82_080_010, 14_627_001_856, "14.63", "82.04"),
    Rung("ladder_b_08_kernel_size_5", Spec(Step.KERNEL_SIZE_5, BASE, 128, 0.5),
        83_369_192, 82_354_442, 14_698_853_888, "14.70", "82.32"),
    Rung("ladder_b_09_kernel_size_7", Spec(Step.KERNEL_SIZE_7, BASE, 128, 0.5),
        83_780_840, 82_766_090, 14_806_631_936, "14.81", "82.30"),
    Rung("ladder_b_10_kernel_size_9", Spec(Step.KERNEL_SIZE_9, BASE, 128, 0.5),
        84_329_704, 83_314_954, 14_950_336_000, "14.95", "82.27"),
    Rung("ladder_b_11_kernel_size_11", Spec(Step.KERNEL_SIZE_11, BASE, 128, 0.5),
        85_015_784, 84_001_034, 15_129_966_080, "15.13", "82.18"),
    Rung("ladder_b_12_relu_to_gelu", Spec(Step.RELU_TO_GELU, BASE, 128, 0.5),
        83_780_840, 82_766_090, 14_806_631_936, "14.81", "82.19"),
    Rung("ladder_b_13_fewer_activations", Spec(Step.FEWER_ACTIVATIONS, BASE, 128, 0.5),
        83_780_840, 82_766_090, 14_806_631_936, "14.81", "82.71"),
    Rung("ladder_b_14_fewer_norms", Spec(Step.FEWER_NORMS, BASE, 128, 0.5),
        83_600_360, 82_585_610, 14_806_631_936, "14.81", "83.17"),
    Rung("ladder_b_15_bn_to_ln", Spec(Step.BN_TO_LN, BASE, 128, 0.5),
        83_600_360, 82_585_610, 14_806_631_936, "14.81", "83.35"),
    Rung("ladder_b_16_separate_downsampling_conv", CONVNEXT["convnext_base"].spec,
        88_591_464, 87_576_714, 15_354_729_472, "15.35", "83.60"),
)
LADDERS = {"Table 10": TO_TINY, "Table 11": TO_BASE}
# Both rows of step 0 and 1 are one network, which counts with the modern recipe's accuracy.
FAMILY = Family(
    name="ladder", title="ResNet to ConvNeXt", year=2022,
    paper="A ConvNet for the 2020s", url="https://arxiv.org/abs/2201.03545",
    network=network, pocket=Spec(Step.BN_TO_LN, (1, 1), 8, 0.1, stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling; from step 3 on patches of 2x2 pixels",
    variants={rung.model: rung.variant(table) for table, way in LADDERS.items() for rung in way},
)
# fmt: on
