"""The shapes of common operations' results, worked out quickly on the meta device.

torch works many of them out step by step in Python there, which is slow and imports its compiler,
and lets batch normalisation keep statistics that eval mode does not compute. A stand-in takes an
operation's arguments and returns None for those that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
Pair = int | Sequence[int]
OPTION = (int, float, str, NoneType)


def _new(shape: Sequence[int], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=META)


def _alike(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)


def _elementwise(*operands: Any) -> Tensor | None:
    """The result of numbers and tensors, one of which has its shape and order in memory."""
    whole = max((each for each in operands if isinstance(each, Tensor)), key=Tensor.numel)
    return _alike(whole) if _all_fit(operands, whole) else None


def _in_place(*operands: Any) -> Tensor | None:
    target: Tensor = operands[0]
    return target if _all_fit(operands, target) else None


def _all_fit(operands: Sequence[Any], whole: Tensor) -> bool:
    dense = whole.is_contiguous() or whole.is_contiguous(memory_format=torch.channels_last)
    return (
        dense
        and whole.is_floating_point()
        and all(isinstance(each, OPTION) or _fits(each, whole) for each in operands)
    )


def _fits(operand: Any, whole: Tensor) -> bool:
    """Whether ``operand``, repeated along axes, has the shape of another, and its order."""
    if not isinstance(operand, Tensor) or operand.dtype != whole.dtype:
        return False
    if operand.shape == whole.shape:
        return operand.stride() == whole.stride()
    pairs = zip(reversed(operand.shape), reversed(whole.shape), strict=False)
    if operand.ndim > whole.ndim or any(side not in (1, full) for side, full in pairs):
        return False
    is_line = operand.numel() == max(operand.shape, default=1)
    return is_line or (operand.is_contiguous() and whole.is_contiguous())


def _batch_norm(images: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _alike(images), _new((0,), images), _new((0,), images)


def _layer_norm(
    images: Tensor, shape: Sequence[int], *_: Any
) -> tuple[Tensor, Tensor, Tensor] | None:
    if list(images.shape[-len(shape) :]) != list(shape):
        return None
    statistics = (*images.shape[: -len(shape)], *[1] * len(shape))
    return _new(images.shape, images), _new(statistics, images), _new(statistics, images)


def _convolution(images: Tensor, weight: Tensor, _bias: Any, *geometry: Any) -> Tensor | None:
    stride, padding, dilation, transposed, _, groups = geometry
    fits = images.ndim == weight.ndim and images.shape[1] == weight.shape[1] * groups
    if transposed or not fits or not images.is_contiguous():
        return None
    sides = [
        (side + 2 * pad - spread * (taps - 1) - 1) // step + 1
        for side, taps, step, pad, spread in zip(
            images.shape[2:], weight.shape[2:], stride, padding, dilation, strict=False
        )
    ]
    if min(sides, default=0) < 1:
        return None
    return _new((images.shape[0], weight.shape[0], *sides), images)


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0]
    sides, total, kind = list(first.shape), 0, first.dtype
    if not -len(sides) <= dim < len(sides):
        return None
    for tensor in tensors:
        shape = list(tensor.shape)
        if len(shape) != len(sides) or tensor.dtype != kind or not tensor.is_contiguous():
            return None
        total += shape[dim]
        shape[dim] = sides[dim]
        if shape != sides:
            return None
    sides[dim] = total
    return _new(sides, first)


def _softmax(values: Tensor, *_: Any) -> Tensor:
    return _new(values.shape, values)


def _mean(values: Tensor, axes: Sequence[int] | None, keepdim: bool = False) -> Tensor:
    gone = {axis % values.ndim for axis in axes or range(values.ndim)}
    sides = [1 if axis in gone else side for axis, side in enumerate(values.shape)]
    left = sides if keepdim else [side for axis, side in enumerate(sides) if axis not in gone]
    return _new(left, values)


def _addmm(bias: Tensor, left: Tensor, right: Tensor) -> Tensor | None:
    if bias.shape != right.shape[1:] or left.shape[1] != right.shape[0]:
        return None
    return _new((left.shape[0], right.shape[1]), left)


def _max_pool(
    images: Tensor,
    kernel: Pair,
    stride: Pair = (),
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor] | None:
    shape = _pooled(images, kernel, stride, padding, dilation, ceil_mode)
    if shape is None:
        return None
    return _new(shape, images), torch.empty(shape, dtype=torch.int64, device=META)


def _average_pool(
    images: Tensor,
    kernel: Pair,
    stride: Pair = (),
    padding: Pair = 0,
    ceil_mode: bool = False,
    *_: Any,
) -> Tensor | None:
    shape = _pooled(images, kernel, stride, padding, 1, ceil_mode)
    return None if shape is None else _new(shape, images)


def _pooled(images: Tensor, kernel: Pair, stride: Pair, *options: Any) -> tuple[int, ...] | None:
    *geometry, ceil_mode = (kernel, stride or kernel, *options)
    pairs = [(part, part) if isinstance(part, int) else (*part, *part)[:2] for part in geometry]
    sides = []
    for side, taps, step, pad, spread in zip(images.shape[-2:], *pairs, strict=True):
        room = side + 2 * pad - spread * (taps - 1) - 1
        count = (-(-room // step) if ceil_mode else room // step) + 1
        # A window that ceil_mode adds must begin inside the image or its padding on the left.
        sides.append(count - (ceil_mode and (count - 1) * step >= side + pad))
    return (*images.shape[:-2], *sides) if images.is_contiguous() and min(sides) > 0 else None


aten = torch.ops.aten
# fmt: off
STAND_INS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((
        aten.add.Tensor, aten.div.Tensor, aten.gelu.default, aten.hardsigmoid.default,
        aten.hardswish.default, aten.hardtanh.default, aten.mul.Tensor, aten.relu.default,
        aten.sigmoid.default, aten.silu.default, aten.sub.Tensor, aten.tanh.default,
    ), _elementwise),
    **dict.fromkeys((
        aten.add_.Tensor, aten.hardsigmoid_.default, aten.hardswish_.default,
        aten.hardtanh_.default, aten.mul_.Tensor, aten.relu_.default, aten.silu_.default,
    ), _in_place),
    aten._safe_softmax.default: _softmax,
    aten._softmax.default: _softmax,
    aten.addmm.default: _addmm,
    aten.avg_pool2d.default: _average_pool,
    aten.cat.default: _cat,
    aten.convolution.default: _convolution,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.mean.dim: _mean,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_layer_norm.default: _layer_norm,
}
# fmt: on


def result(operation: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> Any:
    """What an operation makes of arguments that are on the meta device."""
    made = None
    if not kwargs and operation in STAND_INS:
        made = STAND_INS[operation](*args)
    return operation(*args, **(kwargs or {})) if made is None else made


class QuickShapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, a network on the meta device runs on stand-ins."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled under it; to guard against that would import the compiler."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return result(func, args, kwargs)
