"""A network without memory: shapes alone."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from convnets.errors import UsageError

Network = TypeVar("Network", bound=nn.Module)


def on_meta(module: Network, *, hooks: bool = True) -> Network:
    """A copy whose every tensor is on the meta device; the tensors themselves are not copied.

    Without ``hooks``, whoever watches the module, a profiler for one, does not watch the copy.
    """
    # deepcopy takes what it finds in the memo for a copy already made.
    twins: dict[int, Any] = {}
    for part in module.modules():
        held = (*part._parameters.values(), *part._buffers.values(), *vars(part).values())
        for tensor in held:
            if is_lazy(tensor):
                raise UsageError(
                    f"{type(part).__name__}: run the network once to give it its sizes"
                )
            if isinstance(tensor, Tensor) and id(tensor) not in twins:
                twin = tensor.detach().to("meta")
                if isinstance(tensor, nn.Parameter):
                    twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
                twins[id(tensor)] = twin
        # Most of a module is empty dicts of hooks, which deepcopy is slow to copy.
        for each in vars(part).values():
            if isinstance(each, dict) and not each:
                twins[id(each)] = type(each)()
        if not hooks:
            for watching in (part._forward_hooks, part._forward_pre_hooks):
                twins[id(watching)] = OrderedDict()
    return copy.deepcopy(module, twins).eval()
