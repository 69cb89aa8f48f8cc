"""A network without memory, and the channels it takes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

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


def on_meta(module: nn.Module) -> nn.Module:
    """A copy whose every tensor is on the meta device; the tensors themselves are not copied."""
    twins: dict[int, Any] = {}
    for part in module.modules():
        held = (*part._parameters.values(), *part._buffers.values(), *vars(part).values())
        for tensor in held:
            if is_lazy(tensor):
                raise UsageError(
                    f"{type(part).__name__}: run the network once to give it its sizes"
                )
            if isinstance(tensor, Tensor) and id(tensor) not in twins:
                twin = torch.empty_like(tensor.detach(), device="meta")
                if isinstance(tensor, nn.Parameter):
                    twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
                twins[id(tensor)] = twin
    return copy.deepcopy(module, twins).eval()
