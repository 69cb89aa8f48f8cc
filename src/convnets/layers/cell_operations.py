"""The operations of a searched cell, each by the name that a genotype calls it.

What the papers leave open is done as in the authors' code (tensorflow/models, ``slim/nets/nasnet``;
tensorflow/tpu, ``amoeba_net``): order, padding, and what follows a pooling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.layers.conv import SameConvolution, conv_bn
from convnets.layers.network import stack
from convnets.layers.separable import separable_conv

Operation = Literal[
    "identity",
    "average 3x3",
    "max 3x3",
    "separable 3x3",
    "separable 5x5",
    "separable 7x7",
    "1x7 7x1",
]
Kind = Literal["average", "max"]

EPS = 1e-3


def relu_conv(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
) -> nn.Sequential:
    """ReLU, convolution, batch normalisation: the order of all convolutions in a cell."""
    return stack(
        ("act", nn.ReLU()),
        ("conv", SameConvolution(in_channels, out_channels, kernel, stride=stride, bias=False)),
        # Differs: the authors keep 99.97 % of the running statistics, too much for a short run.
        ("norm", nn.BatchNorm2d(out_channels, eps=EPS)),
    )


def relu_separable(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    """ReLU, a depthwise and a pointwise convolution, batch normalisation."""
    conv = separable_conv(
        in_channels, out_channels, kernel, stride=stride, convolution=SameConvolution
    )
    return stack(
        ("act", nn.ReLU()),
        *conv.named_children(),
        ("norm", nn.BatchNorm2d(out_channels, eps=EPS)),
    )


def separable(in_channels: int, width: int, stride: int, *, kernel: int) -> nn.Module:
    """A separable convolution, which the search space applies twice."""
    return stack(
        ("conv1", relu_separable(in_channels, width, kernel, stride)),
        ("conv2", relu_separable(width, width, kernel, 1)),
    )


def row_and_column(in_channels: int, width: int, stride: int) -> nn.Module:
    """1x7 and 7x1 convolutions on a quarter of the width."""
    quarter = max(1, width // 4)
    return stack(
        ("reduce", relu_conv(in_channels, quarter)),
        ("row", relu_conv(quarter, quarter, (1, 7), (1, stride))),
        ("column", relu_conv(quarter, quarter, (7, 1), (stride, 1))),
        ("expand", relu_conv(quarter, width)),
    )


def identity(in_channels: int, width: int, stride: int) -> nn.Module:
    """The map itself, or a 1x1 convolution where its shape has to change."""
    if stride == 1 and in_channels == width:
        return nn.Identity()
    return relu_conv(in_channels, width, (1, 1), (stride, stride))


class Pool(nn.Module):
    """3x3 pooling that keeps the size at stride 1, and halves it, rounded up, at stride 2.

    Padded as TensorFlow's ``SAME``: the padding takes no part in a maximum or an average, and what
    is odd of it goes to the right and below.
    """

    def __init__(self, kind: Kind, stride: int) -> None:
        super().__init__()
        self.kind = kind
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        # At stride 2 an even side has padding at its end alone: there the last window is cut short.
        rows, columns = (1 if self.stride == 1 else side % 2 for side in x.shape[-2:])
        padding = (rows, columns)
        if self.kind == "max":
            highest: Tensor = F.max_pool2d(x, 3, self.stride, padding, ceil_mode=True)
            return highest
        return F.avg_pool2d(x, 3, self.stride, padding, ceil_mode=True, count_include_pad=False)

    def extra_repr(self) -> str:
        return f"{self.kind}, stride={self.stride}"


def pooling(in_channels: int, width: int, stride: int, *, kind: Kind) -> nn.Module:
    """A pooling, and a 1x1 convolution where the channels have to change."""
    pool = Pool(kind, stride)
    if in_channels == width:
        return pool
    change = conv_bn(in_channels, width, 1, eps=EPS, act=None)
    return stack(("pool", pool), *change.named_children())


OPERATIONS: Mapping[Operation, Callable[[int, int, int], nn.Module]] = {
    "identity": identity,
    "average 3x3": partial(pooling, kind="average"),
    "max 3x3": partial(pooling, kind="max"),
    "separable 3x3": partial(separable, kernel=3),
    "separable 5x5": partial(separable, kernel=5),
    "separable 7x7": partial(separable, kernel=7),
    "1x7 7x1": row_and_column,
}


class FactorizedReduction(nn.Module):
    """Halve a map and still look at its odd places.

    Two 1x1 convolutions of stride 2, the second one pixel further down and right, each give half
    of the channels.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.path1 = nn.Conv2d(in_channels, half, 1, stride=2, bias=False)
        self.path2 = nn.Conv2d(in_channels, out_channels - half, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        further = F.pad(x, (-1, 1, -1, 1))
        out: Tensor = self.norm(torch.cat([self.path1(x), self.path2(further)], dim=1))
        return out
