"""The inverted residual block (Sandler et al. 2018, arXiv:1801.04381) and its rule for widths.

MobileNetV2 and V3, MnasNet and both EfficientNets are made of it; the later ones call it MBConv.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from convnets.layers.conv import conv_bn


class InvertedResidual(nn.Module):
    """1x1 to ``hidden`` channels, depthwise, linear 1x1 back; input added where the shape stays.

    Fig. 4d. There is no first convolution where ``hidden`` is the width of the input. ``conv`` is
    ``conv_bn`` with what the network settles for all of its convolutions: activation, statistics,
    padding. ``squeeze`` works on the wide map before the last convolution (squeeze-and-excitation
    of MnasNet and after), ``drop`` on the branch before the sum (stochastic depth).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int,
        kernel: int = 3,
        stride: int = 1,
        conv: Callable[..., nn.Module] = conv_bn,
        squeeze: nn.Module | None = None,
        drop: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.expand = nn.Identity() if hidden == in_channels else conv(in_channels, hidden, 1)
        self.depthwise = conv(hidden, hidden, kernel, stride=stride, groups=hidden)
        self.squeeze = squeeze or nn.Identity()
        self.project = conv(hidden, out_channels, 1, act=None)
        self.drop = drop or nn.Identity()
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + self.drop(out) if self.residual else out


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, or the next one where that would lose more than a tenth.

    The rule is in the code of MobileNetV2's authors (tensorflow/models, ``make_divisible``), not in
    a paper.
    """
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
