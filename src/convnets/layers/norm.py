"""Layer normalisation of feature maps."""

from __future__ import annotations

from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation across the channels of each pixel; maps are (batch, channels, h, w).

    The result lies in memory channels last, and so does every map after it: the two permutations
    move no data from the first norm on.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
