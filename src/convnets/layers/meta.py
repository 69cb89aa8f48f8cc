"""A network without memory: shapes alone."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import FunctionType, NoneType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from convnets.errors import UsageError

Network = TypeVar("Network", bound=nn.Module)
FIXED = frozenset({bool, int, float, str, NoneType, FunctionType, type, torch.dtype})
"""Types whose values a copy shares."""


def on_meta(module: Network, *, hooks: bool = True) -> Network:
    """A copy whose every tensor is on the meta device; the tensors themselves are not copied.

    Without ``hooks``, whoever watches the module, a profiler for one, does not watch the copy.
    """
    # deepcopy takes what it finds in the memo for a copy already made.
    twins: dict[int, Any] = {}
    parts = list(module.modules())
    for part in parts:
        for value in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
            if isinstance(value, Tensor) and id(value) not in twins:
                if is_lazy(value):
                    kind = type(part).__name__
                    raise UsageError(f"{kind}: run the network once to give it its sizes")
                twins[id(value)] = _twin(value)
        if not hooks:
            for watching in (part._forward_hooks, part._forward_pre_hooks):
                twins[id(watching)] = OrderedDict()
    if all(map(_is_plain, parts)):
        _copy_parts(parts, twins)
    return copy.deepcopy(module, twins).eval()


def _twin(tensor: Tensor) -> Tensor:
    twin = tensor.detach().to("meta")
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin


def _is_plain(part: nn.Module) -> bool:
    """Whether a module has no way of its own to be copied, beyond what it says is its state."""
    kind = type(part)
    protocol = (kind.__reduce__, kind.__reduce_ex__)
    return protocol == (object.__reduce__, object.__reduce_ex__) and not hasattr(
        part, "__deepcopy__"
    )


def _copy_parts(parts: list[nn.Module], twins: dict[int, Any]) -> None:
    """What deepcopy does with modules, without its care for the many numbers and empty dicts."""
    states = []
    for part in parts:
        reduced: Any = part.__reduce_ex__(4)
        make, arguments, state = reduced[:3]
        twins[id(part)] = make(*arguments)
        states.append((twins[id(part)], state))
    for twin, state in reversed(states):
        twin.__setstate__(_copied(state, twins))


def _copied(value: Any, twins: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in FIXED or (kind is tuple and all(type(each) in FIXED for each in value)):
        return value
    if id(value) in twins:
        return twins[id(value)]
    if kind is dict or kind is OrderedDict:
        twin = twins[id(value)] = kind()
        for name, each in value.items():
            twin[name] = _copied(each, twins)
        return twin
    return set() if kind is set and not value else copy.deepcopy(value, twins)
