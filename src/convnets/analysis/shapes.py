"""The shapes of common operations' results, worked out quickly on the meta device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _alike(tensor: Tensor) -> Tensor:
    return tensor.new_empty_strided(tensor.shape, tensor.stride())


def _batch_norm(images: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _alike(images), images.new_empty(0), images.new_empty(0)


def _layer_norm(images: Tensor, shape: list[int], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    statistics = images.new_empty((*images.shape[: -len(shape)], *[1] * len(shape)))
    return images.new_empty(images.shape), statistics, _alike(statistics)


def _convolution(images: Tensor, weight: Tensor, bias: Any, *geometry: Any) -> Any:
    stride, padding, dilation, transposed, _, groups = geometry
    kernel = weight.shape[2:]
    fits = images.ndim == weight.ndim and images.shape[1] == weight.shape[1] * groups
    sides = [
        (side + 2 * pad - spread * (taps - 1) - 1) // step + 1
        for side, taps, step, pad, spread in zip(
            images.shape[2:], kernel, stride, padding, dilation, strict=False
        )
    ]
    if transposed or not fits or not images.is_contiguous() or min(sides, default=0) < 1:
        return torch.ops.aten.convolution.default(images, weight, bias, *geometry)
    return images.new_empty((images.shape[0], weight.shape[0], *sides))


def _add(left: Any, right: Any) -> Any:
    tensors = isinstance(left, Tensor) and isinstance(right, Tensor)
    alike = tensors and left.shape == right.shape and left.dtype == right.dtype
    if alike and left.is_contiguous() and right.is_contiguous():
        return left.new_empty(left.shape)
    return torch.ops.aten.add.Tensor(left, right)


def _mean(values: Tensor, axes: list[int] | None, keepdim: bool = False) -> Tensor:
    gone = {axis % values.ndim for axis in axes or range(values.ndim)}
    sides = [1 if axis in gone else side for axis, side in enumerate(values.shape)]
    left = sides if keepdim else [side for axis, side in enumerate(sides) if axis not in gone]
    return values.new_empty(left)


def _addmm(_bias: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return left.new_empty((left.shape[0], right.shape[1]))


def _max_pool(
    images: Tensor,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: list[int] | int = 0,
    dilation: list[int] | int = 1,
    ceil_mode: bool = False,
) -> Any:
    geometry = (kernel, stride or kernel, padding, dilation)
    pairs = [(part, part) if isinstance(part, int) else (part * 2)[:2] for part in geometry]
    sides = []
    for side, taps, step, pad, spread in zip(images.shape[-2:], *pairs, strict=True):
        room = side + 2 * pad - spread * (taps - 1) - 1
        count = (-(-room // step) if ceil_mode else room // step) + 1
        # A window that ceil_mode adds must begin inside the image or its padding on the left.
        sides.append(count - (ceil_mode and (count - 1) * step >= side + pad))
    if not images.is_contiguous() or min(sides) < 1:
        return torch.ops.aten.max_pool2d_with_indices.default(
            images, kernel, stride or [], padding, dilation, ceil_mode
        )
    shape = (*images.shape[:-2], *sides)
    return images.new_empty(shape), images.new_empty(shape, dtype=torch.int64)


# On the meta device torch works these out step by step in Python, which is slow, imports its
# compiler for that, and lets batch normalisation keep statistics that eval mode does not compute.
STAND_INS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.convolution.default: _convolution,
    torch.ops.aten.add.Tensor: _add,
    torch.ops.aten.mean.dim: _mean,
    torch.ops.aten.native_batch_norm.default: _batch_norm,
    torch.ops.aten.native_layer_norm.default: _layer_norm,
    torch.ops.aten.addmm.default: _addmm,
    torch.ops.aten.max_pool2d_with_indices.default: _max_pool,
}
