"""Inception modules as data: what each branch does, and the module that a table of it builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.catalog import Stem
from convnets.layers.conv import conv_bn

EPS = 1e-3  # of batch normalisation in the authors' code


@dataclass(frozen=True)
class Conv:
    """One convolution of a branch: its maps, and its kernel as a side or as rows and columns.

    ``valid`` is without padding; else an odd kernel of stride 1 keeps the size.
    """

    maps: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    valid: bool = False


@dataclass(frozen=True, init=False)
class Fork:
    """Branches that see the same map, and whose maps are concatenated in their order."""

    branches: tuple[Steps, ...]

    def __init__(self, *branches: Steps) -> None:
        object.__setattr__(self, "branches", branches)


# A function without arguments makes a pooling layer, which keeps the number of maps.
Step = Conv | Fork | Callable[[], nn.Module]
Steps = tuple[Step, ...]


def max_pool() -> nn.Module:
    """Maximum over 3x3, stride 2, without padding."""
    return nn.MaxPool2d(3, stride=2)


def max_pool_same() -> nn.Module:
    """Maximum over 3x3 that keeps the size."""
    return nn.MaxPool2d(3, stride=1, padding=1)


def average_pool() -> nn.Module:
    """Average over 3x3 that keeps the size; what lies beyond the edge does not count."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def average_pool_padded() -> nn.Module:
    """Average over 3x3 that keeps the size; beyond the edge lie zeros, which count."""
    return nn.AvgPool2d(3, stride=1, padding=1)


def first_convolutions(kind: Stem) -> Steps:
    """The first three convolutions since Inception v3; for small images padded, of stride 1."""
    paper = kind == "paper"
    return Conv(32, 3, stride=2 if paper else 1, valid=paper), Conv(32, 3, valid=paper), Conv(64, 3)


def reduction_a(reduced: int, middle: int, last: int, beside: int) -> Fork:
    """From 35x35 to 17x17 (arXiv:1602.07261, Fig. 7), with k, l, m and n of its Table 1."""
    return Fork(
        (Conv(beside, 3, stride=2, valid=True),),
        (Conv(reduced), Conv(middle, 3), Conv(last, 3, stride=2, valid=True)),
        (max_pool,),
    )


def inception_conv(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: int | None = None,
) -> nn.Module:
    """Convolution without bias, batch normalisation and ReLU."""
    return conv_bn(in_channels, out_channels, kernel, stride=stride, padding=padding, eps=EPS)


class Branches(nn.Module):
    """The module of a ``Fork``; children ``branch1``, ``branch2``, ...

    Takes (batch, in_channels, height, width) and returns ``out_channels`` maps. ``width``
    multiplies the maps of every convolution, and ``convolution(in_channels, out_channels, kernel,
    stride=..., padding=...)`` makes them.
    """

    def __init__(
        self,
        in_channels: int,
        fork: Fork,
        width: float = 1.0,
        convolution: Callable[..., nn.Module] = inception_conv,
    ) -> None:
        super().__init__()
        self.out_channels = 0
        for index, steps in enumerate(fork.branches, start=1):
            branch, channels = sequence(in_channels, steps, width, convolution)
            self.add_module(f"branch{index}", branch)
            self.out_channels += channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], 1)


def sequence(
    in_channels: int,
    steps: Steps,
    width: float = 1.0,
    convolution: Callable[..., nn.Module] = inception_conv,
) -> tuple[nn.Sequential, int]:
    """Return the layers of ``steps`` and the number of maps they give.

    Children are numbered by kind: ``conv1``, ``conv2``, ``pool1``, ``fork1``, ...
    """
    layers = nn.Sequential()
    counts = {"conv": 0, "fork": 0, "pool": 0}
    channels = in_channels
    for step in steps:
        layer: nn.Module
        if isinstance(step, Conv):
            kind = "conv"
            maps = max(1, round(step.maps * width))
            padding = 0 if step.valid else None
            layer = convolution(channels, maps, step.kernel, stride=step.stride, padding=padding)
            channels = maps
        elif isinstance(step, Fork):
            kind = "fork"
            branches = Branches(channels, step, width, convolution)
            layer, channels = branches, branches.out_channels
        else:
            kind, layer = "pool", step()
        counts[kind] += 1
        layers.add_module(f"{kind}{counts[kind]}", layer)
    return layers, channels
