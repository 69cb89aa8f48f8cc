"""The residual blocks of He et al. 2015 (arXiv:1512.03385), their shortcuts, stages and stem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from convnets.catalog import Stem
from convnets.layers.conv import conv_bn
from convnets.layers.network import stack
from convnets.layers.stochastic_depth import linear_decay

Shortcut = Literal["A", "B", "C"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (Fig. 5, left).

    ``squeeze`` and ``drop`` work on the branch, in this order, before the sum: squeeze-and-
    excitation and stochastic depth where a network has them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        shortcut: nn.Module | None = None,
        squeeze: nn.Module | None = None,
        drop: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = conv_bn(in_channels, out_channels, 3, stride=stride)
        self.conv2 = conv_bn(out_channels, out_channels, 3, act=None)
        self.squeeze = squeeze or nn.Identity()
        self.drop = drop or nn.Identity()
        self.shortcut = shortcut or projection(in_channels, out_channels, stride)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.drop(self.squeeze(self.conv2(self.conv1(x))))
        out: Tensor = self.act(branch + self.shortcut(x))
        return out


class Bottleneck(nn.Module):
    """1x1 to ``width``, 3x3 in ``groups``, 1x1 to ``out_channels`` (Fig. 5, right).

    ``strided`` names the convolution that has the stride: ``conv1`` in the paper, ``conv2`` in
    libraries today, which sees every pixel. ``first_width`` is for a first 1x1 that is thinner than
    the 3x3. ``gate`` works on the map between conv2 and conv3, ``squeeze`` and ``drop`` on the
    branch before the sum.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        *,
        stride: int = 1,
        groups: int = 1,
        first_width: int | None = None,
        strided: Literal["conv1", "conv2"] = "conv2",
        shortcut: nn.Module | None = None,
        gate: nn.Module | None = None,
        squeeze: nn.Module | None = None,
        drop: nn.Module | None = None,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if strided == "conv1" else (1, stride)
        first_width = first_width or width
        self.conv1 = conv_bn(in_channels, first_width, 1, stride=first)
        self.conv2 = conv_bn(first_width, width, 3, stride=second, groups=groups)
        self.gate = gate or nn.Identity()
        self.conv3 = conv_bn(width, out_channels, 1, act=None)
        self.squeeze = squeeze or nn.Identity()
        self.drop = drop or nn.Identity()
        self.shortcut = shortcut or projection(in_channels, out_channels, stride)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv3(self.gate(self.conv2(self.conv1(x))))
        out: Tensor = self.act(self.drop(self.squeeze(branch)) + self.shortcut(x))
        return out


class PaddedIdentity(nn.Module):
    """Every ``stride``-th pixel, and zeros for ``added`` channels: no parameters."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added = added
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        kept = x[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, 0, self.added))

    def extra_repr(self) -> str:
        return f"added={self.added}, stride={self.stride}"


def padded_identity(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Option A: identity, with zeros for the channels that are new (Section 3.3)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return PaddedIdentity(out_channels - in_channels, stride)


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Option B: identity where the shape stays, else a 1x1 convolution (Section 3.3)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return conv_bn(in_channels, out_channels, 1, stride=stride, act=None)


def projection_always(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Option C: a 1x1 convolution in every block (Section 4.1, Table 3)."""
    return conv_bn(in_channels, out_channels, 1, stride=stride, act=None)


SHORTCUTS: Mapping[Shortcut, Callable[[int, int, int], nn.Module]] = {
    "A": padded_identity,
    "B": projection,
    "C": projection_always,
}


@dataclass(frozen=True)
class Place:
    """Where a block stands: what it takes and gives, and how often it survives a training step."""

    in_channels: int
    out_channels: int
    stride: int
    survival: float
    opens_stage: bool


def residual_stages(
    block: Callable[[Place], nn.Module],
    depths: Sequence[int],
    *,
    in_channels: int,
    out_channels: int,
    stochastic_depth: float = 0.0,
) -> list[tuple[str, nn.Module]]:
    """``stage1``, ``stage2``, ... of ``block1``, ``block2``, ..., each made by ``block``.

    The first stage gives ``out_channels``; each later one halves the map in its first block and
    doubles the channels (Table 1). ``stochastic_depth`` is how often the last block is dropped.
    """
    survivals = iter(linear_decay(sum(depths), 1 - stochastic_depth))
    stages: list[tuple[str, nn.Module]] = []
    for stage, depth in enumerate(depths):
        blocks = []
        for index in range(depth):
            stride = 2 if stage and not index else 1
            place = Place(in_channels, out_channels, stride, next(survivals), not index)
            blocks.append((f"block{index + 1}", block(place)))
            in_channels = out_channels
        stages.append((f"stage{stage + 1}", stack(*blocks)))
        out_channels *= 2
    return stages


def residual_stem(in_chans: int, width: int, kind: Stem) -> nn.Sequential:
    """7x7 stride 2 and 3x3 pooling (Table 1), or for small images the 3x3 of Section 4.2."""
    if kind == "small":
        return stack(("conv", conv_bn(in_chans, width, 3)))
    return stack(
        ("conv", conv_bn(in_chans, width, 7, stride=2)),
        ("pool", nn.MaxPool2d(3, stride=2, padding=1)),
    )
