"""What a layer gives for images: its feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from convnets.visualize.arrays import Picture, as_array
from convnets.visualize.layers import layer_maps, unit_of


def feature_maps(
    network: nn.Module, images: Tensor, layer: str, units: Sequence[int] | None = None
) -> Picture:
    """The output of a named layer for images (batch, channels, height, width).

    The picture's axes are image, channel, height, width; ``units`` chooses among the channels and
    orders them. A linear layer's output is maps of one place, and tokens are laid out as the grid
    they come from, a class token left out. Of a module that runs more than once it is the last
    output. Raises ``UnknownName`` and ``UsageError``.
    """
    with torch.no_grad():
        maps = layer_maps(network, images, layer)
    if units is not None:
        maps = torch.stack([unit_of(maps, unit, layer) for unit in units], dim=1)
    axes = ("image", "channel", "height", "width")
    return Picture(as_array(maps), axes, f"feature maps of {layer}")
