"""Which input pixels a unit can see, followed through tensor operations rather than layer types.

A tensor's memory remembers its grid: for each image axis, how many units lie along it, how far
apart they are in memory, and which pixels they see. Views (permute, flatten, split, strided
slices) share memory, so the grid of a view follows from its strides. An operation that mixes units
widens the field; where paths meet, a unit sees the union; where a mixture spans an axis (global
pooling, a classifier, attention, group normalisation, squeeze-and-excitation), it sees all of it.
What breaks the grid (a class token among patches, shifted windows) has no receptive field: None.

Sizes and strides are those of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional
Neural Networks" (Distill, 2019); a field reaches past the image's edge where padding does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

import torch
from torch import Tensor

from convnets.analysis.counting import PRODUCTS, operation_name, pair


@dataclass(frozen=True)
class Axis:
    """Along one image axis, in pixels: what a unit sees, the step to the next, the first's centre."""

    size: float = 1
    stride: float = 1
    centre: float = 0


Field = tuple[Axis, ...]


@dataclass(frozen=True)
class Place:
    """An axis in a tensor: ``count`` units, ``step`` indices apart along dimension ``dim``.

    ``dim`` counts from the end (-1 is the last), and is None where the axis has one unit left.
    In memory rather than in a tensor, ``dim`` is not used and ``step`` is in elements.
    """

    axis: Axis
    count: int
    step: int
    dim: int | None = None


Places = tuple[Place, ...]


class OffGrid(Exception):
    """Units no longer lie on a grid of the image."""


class FieldTracker:
    """The grids of all memory that depends on the image."""

    def __init__(self, images: Tensor) -> None:
        # None marks memory whose units lie on no grid; memory that is absent is constant.
        self._grids: dict[int, Places | None] = {}
        axes = range(2, images.ndim)
        places = (Place(Axis(), images.shape[dim], 1, dim - images.ndim) for dim in axes)
        self._store(images, tuple(places))

    def field(self, tensor: Tensor) -> Field | None:
        """The receptive field of a tensor's units; None for a constant or off the grid."""
        try:
            places = self._places(tensor)
        except OffGrid:
            return None
        return tuple(place.axis for place in places) if places else None

    def follow(self, operation: Any, args: tuple[Any, ...], outputs: Sequence[Tensor]) -> None:
        """Work out the grid of new memory that ``operation`` wrote; views need nothing."""
        if operation.is_view or not outputs or not any(map(self._depends, _tensors(args))):
            return
        try:
            places = self._result(operation, args, outputs[0])
        except OffGrid:
            places = None
        for output in outputs:
            self._store(output, places if output.shape == outputs[0].shape else None)

    def _depends(self, tensor: Tensor) -> bool:
        return memory(tensor) in self._grids

    def _store(self, tensor: Tensor, places: Places | None) -> None:
        if places is not None:
            strides = tensor.stride()
            places = tuple(
                replace(p, step=p.step * strides[p.dim], dim=None) if p.dim is not None else p
                for p in places
            )
            whole = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
            if not whole and self._grids.get(memory(tensor), places) != places:
                places = None  # a part of the memory was overwritten by units of another field
        self._grids[memory(tensor)] = places

    def _places(self, tensor: Tensor) -> Places:
        """Where each axis lies in ``tensor``, from the grid of its memory and its strides."""
        grid = self._grids.get(memory(tensor), ())
        if grid is None:
            raise OffGrid
        return tuple(_seen_through(tensor, place) for place in grid)

    def _result(self, operation: Any, args: tuple[Any, ...], output: Tensor) -> Places:
        name = operation_name(operation)
        if name in PRODUCTS and name != "convolution":
            return self._product(name, args)
        tensors = [tensor for tensor in _tensors(args) if self._depends(tensor)]
        inputs = [self._places(tensor) for tensor in tensors]
        if all(place.dim is None for places in inputs for place in places):
            return union(inputs)
        if name in _RULES:
            return _RULES[name](args, inputs, output)
        same = all(tensor.ndim <= output.ndim for tensor in tensors)
        if same and (torch.Tag.pointwise in operation.tags or name in _UNIT_BY_UNIT):
            return union(inputs)
        raise OffGrid

    def _product(self, name: str, args: tuple[Any, ...]) -> Places:
        """Contracted axes are seen whole; so is all of the right side where both sides vary."""
        left, right = args[1:3] if name in ("addmm", "baddbmm", "addbmm", "addmv") else args[:2]
        rows, columns = self._places(left), self._places(right)
        if not rows:
            return collapse(columns, {-2} if right.ndim > 1 else {-1})
        rows = collapse(rows, {-1})
        return union([rows, collapse(columns)]) if columns else rows


def memory(tensor: Tensor) -> int:
    """Identity of the memory that a tensor looks at, for as long as that memory lives."""
    identity: int = tensor.untyped_storage()._cdata
    return identity


def _tensors(args: Sequence[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for arg in args:
        if isinstance(arg, Tensor):
            found.append(arg)
        elif isinstance(arg, list | tuple):
            found.extend(_tensors(arg))
    return found


def _seen_through(tensor: Tensor, place: Place) -> Place:
    """``place`` in memory, as seen through the strides of one view of it."""
    axis, count, step = place.axis, place.count, place.step
    if count == 1:
        return place
    shift = tensor.storage_offset() // step % count
    axis = replace(axis, centre=axis.centre + shift * axis.stride)
    walking = [
        (dim - tensor.ndim, length, stride)
        for dim, (length, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True))
        if 0 < stride <= step * (count - 1) and (length - 1) * stride >= step
    ]
    if not walking:
        return Place(axis, 1, 0)
    if len(walking) > 1:
        raise OffGrid
    dim, length, stride = walking[0]
    if stride <= step:
        # The dimension may hold other axes too, flattened together: whole turns of this one.
        turns, rest = divmod(length * stride, step * count)
        if step % stride or (turns and rest):
            raise OffGrid
        return Place(axis, min(count, ceil(length * stride / step)), step // stride, dim)
    if stride % step or (length - 1) * stride >= step * count:
        raise OffGrid
    thinned = replace(axis, stride=axis.stride * (stride // step))
    return Place(thinned, length, 1, dim)


def union(inputs: Sequence[Places]) -> Places:
    """Each axis as units see it that combine one unit of every input, aligned at the last dim."""
    return tuple(_union(places) for places in zip(*filter(None, inputs), strict=True))


def _union(places: Sequence[Place]) -> Place:
    spread = [place for place in places if place.dim is not None]
    if len({(place.dim, place.count, place.step) for place in spread}) > 1:
        raise OffGrid
    model = spread[0] if spread else places[0]
    stride = max(place.axis.stride for place in spread or places)
    # Where strides differ (a global value joins a map), the field is that of the middle unit.
    low = min(_middle(place) - place.axis.size / 2 for place in places)
    high = max(_middle(place) + place.axis.size / 2 for place in places)
    first = (low + high) / 2 - (model.count - 1) / 2 * stride
    return replace(model, axis=Axis(high - low, stride, first))


def _middle(place: Place) -> float:
    return place.axis.centre + (place.count - 1) / 2 * place.axis.stride


def collapse(places: Places, dims: set[int] | None = None) -> Places:
    """Replace the axes along ``dims`` (all by default) by one unit that sees all of them."""
    return tuple(
        _window(place, place.count, place.count, 0, 1)
        if place.dim is not None and (dims is None or place.dim in dims)
        else place
        for place in places
    )


def _window(place: Place, kernel: int, stride: float, left: float, count: int) -> Place:
    """Slide a window of ``kernel`` units; the first begins ``left`` units before the first unit."""
    axis = place.axis
    first = axis.centre + ((kernel - 1) / 2 - left) * axis.stride
    size = axis.size + (kernel - 1) * axis.stride
    slid = Place(Axis(size, axis.stride * stride, first), count, place.step, place.dim)
    return slid if count > 1 else replace(slid, step=0, dim=None)


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
            return _window(place, reach + 1, stride, padding, count)
        kernel = reach // stride + 1
        left = (reach / 2 - padding) / stride + (kernel - 1) / 2
        return _window(place, kernel, 1 / stride, left, count)

    return _mapped(inputs[0], change)


def _pool(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    axes = len(args[1])
    kernels = pair(args[1], axes)
    strides = pair(args[2], axes) if len(args) > 2 and args[2] else kernels
    paddings = pair(args[3], axes) if len(args) > 3 else (0,) * axes

    def change(place: Place, dim: int) -> Place:
        if dim < -axes:
            return place
        return _window(place, kernels[dim], strides[dim], paddings[dim], output.shape[dim])

    return _mapped(inputs[0], change)


def _adaptive_pool(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    def change(place: Place, dim: int) -> Place:
        wide, narrow = place.count, output.shape[dim]
        kernel = max(
            ceil((i + 1) * wide / narrow) - floor(i * wide / narrow) for i in range(narrow)
        )
        left = (kernel - wide / narrow) / 2
        return _window(place, kernel, wide / narrow, left, narrow)

    return _mapped(inputs[0], change)


def _upsample(taps: int) -> Callable[..., Places]:
    def rule(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
        def change(place: Place, dim: int) -> Place:
            shrink = place.count / output.shape[dim]
            left = (taps - shrink) / 2
            return _window(place, taps, shrink, left, output.shape[dim])

        return _mapped(inputs[0], change)

    return rule


def _pad(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    def change(place: Place, dim: int) -> Place:
        index = 2 * (-dim - 1)
        left = args[1][index] if index < len(args[1]) else 0
        return _window(place, 1, 1, left, output.shape[dim])

    return _mapped(inputs[0], change)


def _reduce(args: tuple[Any, ...], inputs: list[Places], output: Tensor) -> Places:
    ndim = args[0].ndim
    given = args[1] if len(args) > 1 and args[1] is not None and args[1] != [] else range(ndim)
    dims = {_from_end(dim, ndim) for dim in ([given] if isinstance(given, int) else given)}
    places = collapse(inputs[0], dims)
    if output.ndim == ndim:
        return places
    return tuple(
        p if p.dim is None else replace(p, dim=p.dim + sum(d > p.dim for d in dims)) for p in places
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


_UNIT_BY_UNIT = frozenset({"_to_copy", "_unsafe_view", "clone", "copy", "native_batch_norm"})
_RULES: dict[str, Callable[[tuple[Any, ...], list[Places], Tensor], Places]] = {
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
