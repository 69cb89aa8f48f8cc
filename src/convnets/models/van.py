"""VAN, Visual Attention Network (Guo, Lu, Liu, Cheng and Hu 2022, arXiv:2202.09741).

What attention does, each place weighs what it takes from far away, a large kernel can do too: it is
decomposed into three small convolutions, and what they give multiplies the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import Convolution, pooled_head
from convnets.layers.network import ConvNet, stack
from convnets.layers.norm import ChannelNorm
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay

KERNEL, DILATION = 21, 3
"""The kernel that is decomposed, K and d (Section 3.1)."""
EXPANSIONS = (8, 8, 4, 4)
"""How much wider the feed-forward part is between, by stage."""
LAYER_SCALE = 1e-2


@dataclass(frozen=True)
class Spec:
    """What varies: depth and width of each stage, and how often the last block is dropped."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stochastic_depth: float
    stem: Stem = "paper"


class LargeKernelAttention(nn.Module):
    """A ``kernel`` x ``kernel`` convolution in three parts, whose result gates its input (Fig. 2).

    Depthwise (2d - 1) x (2d - 1) sees near, depthwise K/d x K/d of dilation d sees far, and 1x1
    mixes channels (Section 3.1, Eq. 1 and 2).
    """

    def __init__(self, width: int, kernel: int = KERNEL, dilation: int = DILATION) -> None:
        super().__init__()
        near, far = 2 * dilation - 1, -(-kernel // dilation)
        self.local = Convolution(width, width, near, padding=near // 2, groups=width)
        self.long_range = nn.Conv2d(
            width, width, far, padding=far // 2 * dilation, dilation=dilation, groups=width
        )
        self.channel = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        attention: Tensor = self.channel(self.long_range(self.local(x)))
        return x * attention


class Attention(nn.Module):
    """LKA between two 1x1 convolutions, beside a shortcut of its own (Section 3.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, width, 1)
        self.act = nn.GELU()
        self.attention = LargeKernelAttention(width)
        self.leave = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.leave(self.attention(self.act(self.enter(x))))
        return x + out


class FeedForward(nn.Module):
    """The convolutional feed-forward network: 1x1 wider, depthwise 3x3, 1x1 back."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, hidden, 1)
        self.depthwise = Convolution(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = nn.GELU()
        self.project = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.act(self.depthwise(self.expand(x))))
        return out


class Scale(nn.Module):
    """LayerScale: a factor for each channel of a branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((width, 1, 1), LAYER_SCALE))

    def forward(self, branch: Tensor) -> Tensor:
        return branch * self.scale


class Block(nn.Module):
    """Two residual branches, each behind a batch norm: attention, and feed-forward."""

    def __init__(self, width: int, expansion: int, survival: float) -> None:
        super().__init__()
        self.attend = stack(
            ("norm", nn.BatchNorm2d(width)),
            ("attention", Attention(width)),
            ("scale", Scale(width)),
            ("drop", StochasticDepth(survival)),
        )
        self.feed = stack(
            ("norm", nn.BatchNorm2d(width)),
            ("feed_forward", FeedForward(width, expansion * width)),
            ("scale", Scale(width)),
            ("drop", StochasticDepth(survival)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        out: Tensor = x + self.feed(x)
        return out


def overlapping(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    """Patches that overlap: a strided convolution, wider than its stride, and a norm."""
    return stack(
        (
            "conv",
            Convolution(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2),
        ),
        ("norm", nn.BatchNorm2d(out_channels)),
    )


class VAN(ConvNet):
    """The network of Section 3.2; stages begin with a ``downsample`` and end with a ``norm``."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        # Differs: the official code's survival starts from 1 at the first block; Eq. 4 of the
        # stochastic depth paper starts a step below.
        survivals = iter(linear_decay(sum(spec.depths), 1 - spec.stochastic_depth))
        channels = spec.widths[0]
        stem = overlapping(in_chans, channels, 7, 2 if spec.stem == "small" else 4)
        self.features = stack(("stem", stem))
        rows = zip(spec.depths, spec.widths, EXPANSIONS, strict=False)
        for index, (depth, width, expansion) in enumerate(rows, start=1):
            stage = nn.Sequential()
            if index > 1:
                stage.add_module("downsample", overlapping(channels, width, 3, 2))
            for number in range(1, depth + 1):
                stage.add_module(f"block{number}", Block(width, expansion, next(survivals)))
            stage.add_module("norm", ChannelNorm(width, eps=1e-6))
            self.features.add_module(f"stage{index}", stage)
            channels = width
        self.head = pooled_head(channels, num_classes)
        initialise_van(self)


def initialise_van(network: nn.Module) -> None:
    """Normal convolutions of variance 2 / fan-out, a small linear layer, biases 0: as officially.

    A depthwise kernel's fan-out is its own taps.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            rows, columns = module.kernel_size
            fan_out = rows * columns * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
        elif isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
        else:
            continue
        assert module.bias is not None
        nn.init.zeros_(module.bias)


# fmt: off
README = "Visual-Attention-Network/VAN-Classification README"
OFFICIAL = "Visual-Attention-Network/VAN-Classification:"
NARROW, WIDE = (32, 64, 160, 256), (64, 128, 320, 512)
# Stochastic depth: README (B0 to B3), and LGYoung/VAN-Classification's finetune.sh (B4 to B6).
FAMILY = Family(
    name="van", title="VAN", year=2022,
    paper="Visual Attention Network", url="https://arxiv.org/abs/2202.09741",
    network=VAN, pocket=Spec((1, 1), (8, 16), stochastic_depth=0.1, stem="small"),
    small_stem="first convolution of stride 2",
    variants={
        "van_b0": Variant(Spec((3, 3, 5, 2), NARROW, 0.1),
            params=4_105_800, params_10=3_851_370, macs=864_224_000,
            counted_in=f"{OFFICIAL}van_b0",
            published=Published(source=README, params="4.1M", macs="0.9G", top1_error="24.6")),
        "van_b1": Variant(Spec((2, 2, 4, 2), WIDE, 0.1),
            params=13_861_800, params_10=13_353_930, macs=2_495_262_720,
            counted_in=f"{OFFICIAL}van_b1",
            published=Published(source=README, params="13.9M", macs="2.5G", top1_error="18.9")),
        "van_b2": Variant(Spec((3, 3, 12, 3), WIDE, 0.1),
            params=26_578_472, params_10=26_070_602, macs=4_992_773_120,
            counted_in=f"{OFFICIAL}van_b2",
            published=Published(source=README, params="26.6M", macs="5.0G", top1_error="17.2")),
        "van_b3": Variant(Spec((3, 5, 27, 3), WIDE, 0.2),
            params=44_765_608, params_10=44_257_738, macs=8_925_292_032,
            counted_in=f"{OFFICIAL}van_b3",
            published=Published(source=README, params="44.8M", macs="9.0G", top1_error="16.1")),
        "van_b4": Variant(Spec((3, 6, 40, 3), WIDE, 0.2),
            params=60_283_176, params_10=59_775_306, macs=12_143_756_288,
            counted_in=f"{OFFICIAL}van_b4",
            published=Published(source="mmpretrain, VAN", params="60.28M", top1_error="15.87",
                top5_error="3.14"),
            note="mmpretrain prints 12.22G multiply-adds"),
        "van_b5": Variant(Spec((3, 3, 24, 3), (96, 192, 480, 768), 0.2),
            params=89_967_688, params_10=89_206_378, macs=17_129_123_328,
            counted_in=f"{OFFICIAL}van_b5"),
        "van_b6": Variant(Spec((6, 6, 90, 6), (96, 192, 384, 768), 0.3),
            params=199_829_416, params_10=199_068_106, macs=38_710_096_896,
            counted_in=f"{OFFICIAL}van_b6",
            published=Published(source="abstract: pre-trained on ImageNet-22K",
                top1_error="12.2"),
            note="published with 38.4G multiply-adds; the accuracy is at 384 pixels"),
    },
)
# fmt: on
