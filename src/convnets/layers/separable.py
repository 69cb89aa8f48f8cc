"""The depthwise separable convolution (Sifre 2014; Chollet 2016, arXiv:1610.02357)."""

from __future__ import annotations

from torch import nn

from convnets.layers.conv import Convolution
from convnets.layers.network import stack


def separable_conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    convolution: type[Convolution] = Convolution,
) -> nn.Sequential:
    """One filter a channel, then a 1x1 across channels, with nothing between and no bias.

    Keeps the size at stride 1. Children: ``depthwise``, ``pointwise``.
    """
    return stack(
        (
            "depthwise",
            convolution(
                in_channels,
                in_channels,
                kernel,
                stride=stride,
                padding=kernel // 2,
                groups=in_channels,
                bias=False,
            ),
        ),
        ("pointwise", Convolution(in_channels, out_channels, 1, bias=False)),
    )
