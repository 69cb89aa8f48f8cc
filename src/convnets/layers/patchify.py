"""What stands around the blocks of ConvNeXt (Liu et al. 2022, arXiv:2201.03545) and its successor.

Patches, stages with downsampling between them, and a head.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from convnets.layers.network import stack
from convnets.layers.norm import ChannelNorm
from convnets.layers.stochastic_depth import linear_decay

EPS = 1e-6
"""Of every norm."""


def patches(in_chans: int, width: int, side: int) -> nn.Sequential:
    """The stem: patches of ``side`` x ``side`` pixels that do not overlap, and a norm."""
    return stack(
        ("conv", nn.Conv2d(in_chans, width, side, stride=side)),
        ("norm", ChannelNorm(width, eps=EPS)),
    )


def downsample(in_channels: int, out_channels: int) -> nn.Sequential:
    """A norm and a 2x2 convolution of stride 2 between two stages (Section 2.6)."""
    return stack(
        ("norm", ChannelNorm(in_channels, eps=EPS)),
        ("conv", nn.Conv2d(in_channels, out_channels, 2, stride=2)),
    )


def trunk(
    stem: nn.Module,
    depths: tuple[int, ...],
    widths: tuple[int, ...],
    stochastic_depth: float,
    block: Callable[[int, float], nn.Module],
) -> nn.Sequential:
    """Stem and stages of ``block(width, survival)``; from the second on they begin ``downsample``.

    All maps are (batch, channels, height, width).
    """
    # Differs: the official code's survival starts from 1 at the first block; Eq. 4 of the
    # stochastic depth paper starts a step below.
    survivals = iter(linear_decay(sum(depths), 1 - stochastic_depth))
    features = stack(("stem", stem))
    channels = widths[0]
    for index, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
        stage = nn.Sequential()
        if index > 1:
            stage.add_module("downsample", downsample(channels, width))
        for number in range(1, depth + 1):
            stage.add_module(f"block{number}", block(width, next(survivals)))
        features.add_module(f"stage{index}", stage)
        channels = width
    return features


def normed_head(channels: int, num_classes: int) -> nn.Sequential:
    """Global average pooling, a norm and a linear classifier."""
    return stack(
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("norm", ChannelNorm(channels, eps=EPS)),
        ("flatten", nn.Flatten(1)),
        ("fc", nn.Linear(channels, num_classes)),
    )
