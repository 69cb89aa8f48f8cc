"""Dense connectivity (Huang, Liu, van der Maaten and Weinberger 2016, arXiv:1608.06993)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convnets.layers.network import stack
from convnets.layers.preactivation import activated_convolution, activation


class DenseLayer(nn.Module):
    """A 3x3 convolution whose ``growth_rate`` new maps are put behind all it was given (Eq. 2).

    ``bottleneck`` times the growth rate is the width of a 1x1 convolution before it, which makes
    a DenseNet-B; with 0 there is none.
    """

    def __init__(self, in_channels: int, growth_rate: int, bottleneck: int) -> None:
        super().__init__()
        width = bottleneck * growth_rate
        self.bottleneck = activated_convolution(in_channels, width, 1) if width else nn.Identity()
        self.conv = activated_convolution(width or in_channels, growth_rate, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.conv(self.bottleneck(x))), dim=1)


def dense_stages(
    channels: int,
    depths: tuple[int, ...],
    growth_rate: int,
    *,
    bottleneck: int,
    compression: float,
) -> tuple[list[tuple[str, nn.Module]], int]:
    """Return the dense blocks behind a stem of ``channels`` maps, and how many maps leave them.

    A stage is one dense block of ``depths`` layers: ``layer1``, ``layer2``, ... The transition to
    it, a 1x1 convolution that keeps ``compression`` of the maps and a 2x2 average pooling, is its
    first child. ``final`` is the normalisation and ReLU before the classifier.
    """
    stages: list[tuple[str, nn.Module]] = []
    for index, depth in enumerate(depths, start=1):
        stage = nn.Sequential()
        if index > 1:
            kept = int(channels * compression)
            transition = stack(
                ("conv", activated_convolution(channels, kept, 1)),
                ("pool", nn.AvgPool2d(2, stride=2)),
            )
            stage.add_module("transition", transition)
            channels = kept
        for layer in range(1, depth + 1):
            stage.add_module(f"layer{layer}", DenseLayer(channels, growth_rate, bottleneck))
            channels += growth_rate
        stages.append((f"stage{index}", stage))
    return [*stages, ("final", activation(channels))], channels
