"""Swin Transformer (Liu et al. 2021, arXiv:2103.14030), the comparator that ConvNeXt set out from.

Attention stays within small windows, whose grid is shifted in every second block, and the map is
halved from stage to stage: a transformer with the pyramid and the cost of a ConvNet.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.attention import Attention, feed_forward
from convnets.layers.initialise import initialise_truncated
from convnets.layers.network import ConvNet, stack
from convnets.layers.norm import ChannelNorm
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay

HEAD_WIDTH = 32
PATCH, WINDOW = 4, 7
SMALL_PATCH, SMALL_WINDOW = 2, 4


@dataclass(frozen=True)
class Spec:
    """What varies: blocks of each stage, C (Section 3.3), how often the last block is dropped."""

    depths: tuple[int, ...]
    width: int
    stochastic_depth: float
    stem: Stem = "paper"


class WindowAttention(nn.Module):
    """Attention within windows, after a cyclic shift of the map by ``shift`` pixels (Fig. 4).

    Takes and returns (batch, height, width, channels). Maps that the windows do not divide are
    padded below and to the right, and a map of one window is not shifted, as in the authors' code.
    """

    def __init__(self, channels: int, window: int, shift: int) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.attention = Attention(channels, channels // HEAD_WIDTH)
        # The table B-hat of Eq. 4: a bias for each offset of two pixels in a window, and each head.
        self.position_bias = nn.Parameter(
            torch.empty((2 * window - 1) ** 2, channels // HEAD_WIDTH)
        )
        nn.init.trunc_normal_(self.position_bias, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % self.window, 0, -height % self.window))
        sides = x.shape[1:3]
        shifts = [self.shift if side > self.window else 0 for side in sides]
        bias = self.bias()
        if any(shifts):
            x = x.roll([-shift for shift in shifts], (1, 2))
            bias = (bias + self.mask(sides, shifts)).repeat(x.shape[0], 1, 1, 1)
        x = joined(self.attention(split(x, self.window), bias), self.window, sides)
        if any(shifts):
            x = x.roll(shifts, (1, 2))
        return x[:, :height, :width]

    def bias(self) -> Tensor:
        """The bias of every two pixels of a window (1, heads, pixels, pixels)."""
        places = torch.arange(self.window, device=self.position_bias.device)
        offsets = places[:, None] - places + self.window - 1
        rows, columns = offsets[:, None, :, None], offsets[None, :, None, :]
        index = (rows * (2 * self.window - 1) + columns).flatten(2).flatten(0, 1)
        return self.position_bias[index].permute(2, 0, 1).unsqueeze(0)

    def mask(self, sides: torch.Size, shifts: list[int]) -> Tensor:
        """-inf for two pixels that only the cyclic shift made neighbours.

        Its shape is (windows, 1, pixels, pixels).
        """
        device = self.position_bias.device
        rows, columns = (
            torch.arange(side, device=device) >= side - shift
            for side, shift in zip(sides, shifts, strict=True)
        )
        regions = 2 * rows[:, None] + columns
        regions = split(regions[None, :, :, None], self.window)
        apart = regions != regions.transpose(1, 2)
        return torch.where(apart, -torch.inf, 0.0).unsqueeze(1)


def split(x: Tensor, window: int) -> Tensor:
    """Windows (batch * windows, pixels, channels) of a map (batch, height, width, channels)."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window**2, channels)


def joined(x: Tensor, window: int, sides: torch.Size) -> Tensor:
    """The map (batch, height, width, channels) that ``split`` took apart."""
    rows, columns = (side // window for side in sides)
    x = x.reshape(-1, rows, columns, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, *sides, x.shape[-1])


class Block(nn.Module):
    """Attention in windows, then two linear layers at each pixel (Fig. 3b).

    Maps are (batch, channels, height, width), in memory channels last.
    """

    def __init__(self, channels: int, window: int, shift: int, survival: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, window, shift)
        self.norm2 = nn.LayerNorm(channels)
        self.feed_forward = feed_forward(channels)
        self.drop = StochasticDepth(survival)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.permute(0, 2, 3, 1)
        pixels = pixels + self.drop(self.attention(self.norm1(pixels)))
        out: Tensor = pixels + self.drop(self.feed_forward(self.norm2(pixels)))
        return out.permute(0, 3, 1, 2)


class PatchMerging(nn.Module):
    """The 2x2 neighbours of each pixel stacked depth-wise, and combined to twice the channels.

    Takes maps (batch, channels, height, width), returns half of each side, rounded up.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        batch, channels, height, width = x.shape
        x = x.reshape(batch, channels, height // 2, 2, width // 2, 2)
        # The authors stack the left two pixels first.
        x = x.permute(0, 2, 4, 5, 3, 1)
        out: Tensor = self.reduce(self.norm(x.flatten(3)))
        return out.permute(0, 3, 1, 2)


class SwinTransformer(ConvNet):
    """The network of Fig. 3a; stages 2 to 4 begin with their ``merging``."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        small = spec.stem == "small"
        patch, window = (SMALL_PATCH, SMALL_WINDOW) if small else (PATCH, WINDOW)
        # Differs: the official code's survival starts from 1 at the first block; Eq. 4 of the
        # stochastic depth paper starts a step below.
        survivals = iter(linear_decay(sum(spec.depths), 1 - spec.stochastic_depth))
        channels = spec.width
        embedding = stack(
            ("conv", nn.Conv2d(in_chans, channels, patch, stride=patch)),
            ("norm", ChannelNorm(channels)),
        )
        self.features = stack(("stem", embedding))
        for index, depth in enumerate(spec.depths, start=1):
            stage = nn.Sequential()
            if index > 1:
                stage.add_module("merging", PatchMerging(channels))
                channels *= 2
            for block in range(depth):
                shift = window // 2 if block % 2 else 0
                each = Block(channels, window, shift, next(survivals))
                stage.add_module(f"block{block + 1}", each)
            self.features.add_module(f"stage{index}", stage)
        self.head = stack(
            ("norm", ChannelNorm(channels)),
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten(1)),
            ("fc", nn.Linear(channels, num_classes)),
        )
        initialise_truncated(self)


# fmt: off
README = "microsoft/Swin-Transformer README"
FAMILY = Family(
    name="swin", title="Swin", year=2021,
    paper="Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
    url="https://arxiv.org/abs/2103.14030",
    network=SwinTransformer, pocket=Spec((2, 1), 32, stochastic_depth=0.1, stem="small"),
    small_stem="patches of 2x2 pixels, windows of 4x4 of them",
    variants={
        "swin_t": Variant(Spec((2, 2, 6, 2), 96, 0.2), params=28_288_354, params_10=27_527_044,
            macs=4_490_566_656, counted_in="torchvision:swin_t",
            published=Published(source=README, params="28M", macs="4.5G", top1_error="18.8",
                top5_error="4.5")),
        "swin_s": Variant(Spec((2, 2, 18, 2), 96, 0.3), params=49_606_258, params_10=48_844_948,
            macs=8_740_875_264, counted_in="torchvision:swin_s",
            published=Published(source=README, params="50M", macs="8.7G", top1_error="16.8",
                top5_error="3.8")),
        "swin_b": Variant(Spec((2, 2, 18, 2), 128, 0.5), params=87_768_224, params_10=86_753_474,
            macs=15_430_946_816, counted_in="torchvision:swin_b",
            published=Published(source=README, params="88M", macs="15.4G", top1_error="16.5",
                top5_error="3.5")),
        "swin_l": Variant(Spec((2, 2, 18, 2), 192, 0.2), params=196_532_476, params_10=195_010_846,
            macs=34_475_759_616, counted_in="timm:swin_large_patch4_window7_224",
            published=Published(source=README, params="197M", macs="34.5G", top1_error="13.7",
                top5_error="2.1"),
            note="the errors are after training on ImageNet-22k"),
    },
)
# fmt: on
