"""How each operation widens the receptive field: one rule for each kind that mixes units."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor
from typing import Any

from torch import Tensor

from convnets.analysis.counting import pair
from convnets.analysis.grid import OffGrid, Place, Places, collapse, union, window


def _mapped(places: Places, change: Callable[[Place, int], Place]) -> Places:
    """Apply ``change(place, dim)`` to the axes that lie along a dimension of their own."""
    for place in places:
        if place.dim is not None and place.step != 1:
            raise OffGrid
    return tuple(p if p.dim is None else change(p, p.dim) for p in places)


def _convolution(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    _, weight, _, strides, paddings, dilations, transposed = args[:7]
    axes = weight.ndim - 2
    options = [pair(value, axes) for value in (strides, paddings, dilations)]

    def change(place: Place, dim: int) -> Place:
        if dim < -axes:
            raise OffGrid
        stride, padding, dilation = (option[dim] for option in options)
        reach, count = (weight.shape[dim] - 1) * dilation, output.shape[dim]
        if not transposed:
            return window(place, reach + 1, stride, padding, count)
        kernel = reach // stride + 1
        left = (reach / 2 - padding) / stride + (kernel - 1) / 2
        return window(place, kernel, 1 / stride, left, count)

    # Where the kernel too is worked out from the image, every unit sees what the kernel saw.
    return union([_mapped(inputs[0], change), *map(collapse, inputs[1:])])


def _pool(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    axes = len(args[1])
    kernels = pair(args[1], axes)
    strides = pair(args[2], axes) if len(args) > 2 and args[2] else kernels
    paddings = pair(args[3], axes) if len(args) > 3 else (0,) * axes

    def change(place: Place, dim: int) -> Place:
        if dim < -axes:
            return place
        return window(place, kernels[dim], strides[dim], paddings[dim], output.shape[dim])

    return _mapped(inputs[0], change)


def _adaptive_pool(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    def change(place: Place, dim: int) -> Place:
        wide, narrow = place.units, output.shape[dim]
        kernel = max(
            ceil((i + 1) * wide / narrow) - floor(i * wide / narrow) for i in range(narrow)
        )
        left = (kernel - wide / narrow) / 2
        return window(place, kernel, wide / narrow, left, narrow)

    return _mapped(inputs[0], change)


def _upsample(taps: int) -> Callable[..., Places]:
    def rule(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
        def change(place: Place, dim: int) -> Place:
            shrink = place.units / output.shape[dim]
            left = (taps - shrink) / 2
            return window(place, taps, shrink, left, output.shape[dim])

        return _mapped(inputs[0], change)

    return rule


def _pad(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    def change(place: Place, dim: int) -> Place:
        index = 2 * (-dim - 1)
        left = args[1][index] if index < len(args[1]) else 0
        return window(place, 1, 1, left, output.shape[dim])

    return _mapped(inputs[0], change)


def _reduce(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    ndim = args[0].ndim
    given = args[1] if len(args) > 1 and args[1] is not None and args[1] != [] else range(ndim)
    dims = {_from_end(dim, ndim) for dim in ([given] if isinstance(given, int) else given)}
    places = collapse(inputs[0], dims)
    if output.ndim == ndim:
        return places
    return tuple(
        p if p.dim is None else p._replace(dim=p.dim + sum(d > p.dim for d in dims)) for p in places
    )


def _softmax(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    return union([inputs[0], collapse(inputs[0], {_from_end(args[1], output.ndim)})])


def _layer_norm(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    return union([inputs[0], collapse(inputs[0], {-1 - i for i in range(len(args[1]))})])


def _group_norm(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    return union([inputs[0], collapse(inputs[0])])


def _cat(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    joined = _from_end(args[1] if len(args) > 1 else 0, output.ndim)
    if any(place.dim == joined for places in inputs for place in places):
        raise OffGrid
    return union(inputs)


def _from_end(dim: int, ndim: int) -> int:
    return dim - ndim if dim >= 0 else dim


UNIT_BY_UNIT = frozenset({"_to_copy", "clone", "copy", "native_batch_norm"})
# Arguments, the places of each input that depends on the image, and the output.
RULES: dict[str, Callable[[tuple[Any, ...], list[Places], Tensor], Places]] = {
    "_adaptive_avg_pool2d": _adaptive_pool,
    "_safe_softmax": _softmax,
    "_softmax": _softmax,
    "adaptive_max_pool2d": _adaptive_pool,
    "amax": _reduce,
    "amin": _reduce,
    "avg_pool2d": _pool,
    "avg_pool3d": _pool,
    "cat": _cat,
    "constant_pad_nd": _pad,
    "convolution": _convolution,
    "linalg_vector_norm": lambda args, inputs, output: _reduce(
        (args[0], *args[2:]), inputs, output
    ),
    "max_pool2d_with_indices": _pool,
    "mean": _reduce,
    "native_group_norm": _group_norm,
    "native_layer_norm": _layer_norm,
    "sum": _reduce,
    "upsample_bicubic2d": _upsample(4),
    "upsample_bilinear2d": _upsample(2),
    "upsample_nearest2d": _upsample(1),
    "var_mean": _reduce,
}
