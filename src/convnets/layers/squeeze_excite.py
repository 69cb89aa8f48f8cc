"""Squeeze-and-excitation (Hu, Shen, Albanie, Sun and Wu 2017, arXiv:1709.01507)."""

from __future__ import annotations

from torch import Tensor, nn

from convnets.errors import UsageError


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate that has seen the whole map (Fig. 1, Eq. 2 to 4).

    Takes and returns (batch, channels, height, width). ``hidden`` is the width between the two
    fully connected layers, C / r in the paper. ``act`` and ``gate`` are ReLU and the sigmoid there;
    later papers put others in their place.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        act: type[nn.Module] = nn.ReLU,
        gate: type[nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        # A 1x1 convolution of one pixel is the fully connected layer of the paper.
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.act = act()
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * scale


def squeeze_by(reduction: int, channels: int) -> nn.Module:
    """Squeeze-and-excitation with ``channels`` / ``reduction`` hidden units; none where it is 0.

    Raises ``UsageError`` where that would leave no hidden unit.
    """
    if not reduction:
        return nn.Identity()
    if not 0 < reduction <= channels:
        raise UsageError(f"squeeze is {reduction!r}; it must be from 0 to {channels}")
    return SqueezeExcite(channels, channels // reduction)
