"""Channel shuffle (Zhang, Zhou, Lin and Sun 2017, arXiv:1707.01083, Section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn


class ChannelShuffle(nn.Module):
    """Deal the channels of ``groups`` groups out, one of each in turn (Fig. 1c).

    Takes and returns (batch, channels, height, width); the channels divide by ``groups``.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        if self.groups == 1:
            return x
        return x.reshape(x.shape[0], self.groups, -1, *x.shape[2:]).transpose(1, 2).flatten(1, 2)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
