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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from torch import Tensor

from convnets.analysis.counting import PRODUCTS, Operation
from convnets.analysis.grid import Axis, Field, OffGrid, Place, Places, collapse, union
from convnets.analysis.mixing import RULES, UNIT_BY_UNIT


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the axes lie in some memory, and in the views of it that were asked for."""

    places: Places
    views: dict[Any, Places] = field(default_factory=dict)


class FieldTracker:
    """The grids of all memory that depends on the image."""

    def __init__(self, images: Tensor) -> None:
        # None marks memory whose units lie on no grid; memory that is absent is constant.
        self._grids: dict[int, Grid | None] = {}
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

    def follow(
        self,
        operation: Operation,
        args: tuple[Any, ...],
        inputs: Iterable[Tensor],
        outputs: Sequence[Tensor],
    ) -> None:
        """Work out the grid of new memory that ``operation`` wrote; views need nothing.

        ``inputs`` are the tensors among ``args``.
        """
        if operation.shares_memory:
            return
        varying = [tensor for tensor in inputs if memory(tensor) in self._grids]
        if not varying or not outputs:
            return
        try:
            places = self._result(operation, args, varying, outputs[0])
        except OffGrid:
            places = None
        for output in outputs:
            self._store(output, places if output.shape == outputs[0].shape else None)

    def _store(self, tensor: Tensor, places: Places | None) -> None:
        key = memory(tensor)
        if places is not None:
            strides = tensor.stride()
            places = tuple(
                p if p.dim is None else Place(p.axis, p.units, p.step * strides[p.dim])
                for p in places
            )
            whole = tensor.nbytes == tensor.untyped_storage().nbytes()
            known = self._grids.get(key)
            if not whole and key in self._grids and (known is None or known.places != places):
                places = None  # a part of the memory was overwritten by units of another field
        self._grids[key] = None if places is None else Grid(places)

    def _places(self, tensor: Tensor) -> Places:
        """Where each axis lies in ``tensor``, from the grid of its memory and its strides."""
        key = memory(tensor)
        if key not in self._grids:
            return ()
        grid = self._grids[key]
        if grid is None:
            raise OffGrid
        view = (int(tensor.storage_offset()), tensor.shape, tensor.stride())
        places = grid.views.get(view)
        if places is None:
            places = tuple([_seen_through(place, *view) for place in grid.places])
            grid.views[view] = places
        return places

    def _result(
        self, operation: Operation, args: tuple[Any, ...], varying: list[Tensor], output: Tensor
    ) -> Places:
        name = operation.name
        if name in PRODUCTS and name != "convolution":
            return self._product(name, args)
        inputs = [self._places(tensor) for tensor in varying]
        if all(place.dim is None for places in inputs for place in places):
            return union(inputs)
        if name in RULES:
            return RULES[name](args, inputs, output)
        same = all(tensor.ndim <= output.ndim for tensor in varying)
        if same and (operation.elementwise or name in UNIT_BY_UNIT):
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


def tensors(nest: Any) -> list[Tensor]:
    """The tensors in a nest of lists, tuples and dicts, in order."""
    if isinstance(nest, Tensor):
        return [nest]
    found: list[Tensor] = []
    if isinstance(nest, dict):
        nest = nest.values()
    elif not isinstance(nest, list | tuple):
        return found
    for part in nest:
        if isinstance(part, Tensor):
            found.append(part)
        elif isinstance(part, list | tuple | dict):
            found.extend(tensors(part))
    return found


def _seen_through(
    place: Place, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Place:
    """``place`` in memory, as seen through the strides of one view of it."""
    axis, count, step, _ = place
    if count == 1:
        return place
    shift = offset // step % count
    if shift:
        axis = axis._replace(centre=axis.centre + shift * axis.stride)
    walking = [
        (dim - len(shape), length, stride)
        for dim, (length, stride) in enumerate(zip(shape, strides, strict=True))
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
    thinned = axis._replace(stride=axis.stride * (stride // step))
    return Place(thinned, length, 1, dim)
