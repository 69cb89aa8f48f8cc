"""The gradient of rectifiers, changed for as long as a ``with`` block lasts.

Three rules differ only in what a ReLU hands back (Springenberg et al. 2015, arXiv:1412.6806,
Section 3.4): back-propagation what arrives where the input was positive, the deconvnet of Zeiler
and Fergus what arrives if it is positive, guided back-propagation what passes both.

The block watches torch's functions and not modules, so ``F.relu(x)`` in a forward pass is met like
``nn.ReLU``. What runs out of torch's sight keeps its own gradient: TorchScript, compiled networks,
threads. So does every activation that is no rectifier: GELU, SiLU, hard-swish, sigmoid, tanh, leaky
and parametric ReLU, whose negative half these rules say nothing of. An activation that a network
writes out in parts, as ``x * F.relu6(x + 3) / 6``, is met in its parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from convnets.errors import UnknownName

Rule = Literal["deconvnet", "guided"]
RULES = ("deconvnet", "guided")


def gradient_rule(rule: Rule) -> TorchFunctionMode:
    """A context in which rectifiers have the gradient of ``"deconvnet"`` or ``"guided"``.

    It is for the forward pass; the backward pass may come after it. Rectifiers are ReLU, ReLU6, and
    hardtanh and clamp with a lower bound of 0, as functions, methods or modules, in place or not.
    Values are never changed. Raises ``UnknownName`` for another rule.

    >>> x = torch.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    >>> with gradient_rule("guided"):
    ...     y = x.relu()
    >>> torch.autograd.grad(y, x, torch.tensor([5.0, 6.0, -7.0]))
    (tensor([0., 6., 0.]),)
    """
    if rule not in RULES:
        raise UnknownName("gradient rule", rule, RULES)
    return _Rectifying(rule)


def changed_gradient(
    x: Tensor, compute: Callable[[], Tensor], change: Callable[[Tensor], Tensor]
) -> Tensor:
    """What ``compute`` makes of ``x``, with a gradient that is ``change`` of the one that arrives.

    ``compute`` may write its result into ``x``.
    """
    output: Tensor = _Changed.apply(x, compute, change)  # type: ignore[no-untyped-call]
    return output


class _Changed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        compute: Callable[[], Tensor],
        change: Callable[[Tensor], Tensor],
    ) -> Tensor:
        ctx.change = change
        output = compute()
        if output is x:
            ctx.mark_dirty(x)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.change(gradients[0]), None, None


class _Rectifying(TorchFunctionMode):
    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self._rule = rule

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}

        def compute() -> Any:
            return func(*args, **kwargs)

        if func not in _RECTIFIERS or not torch.is_grad_enabled():
            return compute()
        x, low, high = _RECTIFIERS[func](*args, **kwargs)
        if not _is_rectifier(low, high) or not x.requires_grad:
            return compute()
        if self._rule == "deconvnet":
            return changed_gradient(x, compute, lambda gradient: gradient.clamp(min=0))
        # An activation in place overwrites its input: what passes is settled before.
        passes = (x > 0) & (x < high)
        return changed_gradient(x, compute, lambda gradient: gradient.clamp(min=0) * passes)


def _is_rectifier(low: Any, high: Any) -> bool:
    """Whether bounds, which may be tensors or missing, cut off exactly what is negative."""
    return isinstance(low, int | float) and low == 0 and isinstance(high, int | float) and high > 0


# Each function's own parameters, and what they mean: the input and the bounds of the output.
def _relu(input: Tensor, inplace: bool = False) -> tuple[Tensor, Any, Any]:
    return input, 0, math.inf


def _relu6(input: Tensor, inplace: bool = False) -> tuple[Tensor, Any, Any]:
    return input, 0, 6


def _hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> tuple[Tensor, Any, Any]:
    return input, min_val, max_val


def _clamp(
    input: Tensor, min: Any = None, max: Any = None, *, out: Any = None
) -> tuple[Tensor, Any, Any]:
    # A result that is written into a tensor of the caller's has no gradient.
    low = None if out is not None else min
    return input, low, math.inf if max is None else max


_RECTIFIERS: dict[Any, Callable[..., tuple[Tensor, Any, Any]]] = {
    F.relu: _relu,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
    F.hardtanh_: _hardtanh,
    **{getattr(torch, name): _relu for name in ("relu", "relu_")},
    **{getattr(Tensor, name): _relu for name in ("relu", "relu_")},
    **{
        getattr(owner, name): _clamp
        for owner in (torch, Tensor)
        for name in ("clamp", "clamp_", "clamp_min", "clamp_min_", "clip", "clip_")
    },
}
