"""The channels that a module takes."""

from __future__ import annotations

from torch import nn

from convnets.errors import UsageError


def input_channels(module: nn.Module) -> int:
    """The module's own ``in_chans``, else those of its first convolution or linear layer."""
    stated = getattr(module, "in_chans", None)
    if isinstance(stated, int):
        return stated
    linear = None
    for part in module.modules():
        if isinstance(part, nn.modules.conv._ConvNd):
            return part.in_channels
        if linear is None and isinstance(part, nn.Linear):
            linear = part.in_features
    if linear is None:
        raise UsageError(f"{type(module).__name__}: say how many channels its input has: in_chans")
    return linear
