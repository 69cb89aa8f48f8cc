"""Units of a feature map on the grid of the image: where they lie, what they see, how they join."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Axis(NamedTuple):
    """Along one image axis: pixels a unit sees, pixels to the next, centre of the first one's."""

    size: float = 1
    stride: float = 1
    centre: float = 0


Field = tuple[Axis, ...]


class Place(NamedTuple):
    """An axis in a tensor: ``units`` of them, ``step`` indices apart along dimension ``dim``.

    ``dim`` counts from the end (-1 is the last), and is None where the axis has one unit left.
    In memory rather than in a tensor, ``dim`` is not used and ``step`` is in elements.
    """

    axis: Axis
    units: int
    step: int
    dim: int | None = None


Places = tuple[Place, ...]


class OffGrid(Exception):
    """Units no longer lie on a grid of the image."""


def union(inputs: Sequence[Places]) -> Places:
    """Each axis as units see it that combine one unit of every input, aligned at the last dim."""
    varying = [places for places in inputs if places]
    return varying[0] if len(varying) == 1 else tuple(map(_union, zip(*varying, strict=True)))


def _union(places: tuple[Place, ...]) -> Place:
    spread = [place for place in places if place.dim is not None]
    model = spread[0] if spread else places[0]
    for place in spread:
        if place.dim != model.dim or place.units != model.units or place.step != model.step:
            raise OffGrid
    stride = max(place.axis.stride for place in spread or places)
    # Where strides differ (a global value joins a map), the field is that of the middle unit.
    low, high = float("inf"), -float("inf")
    for place in places:
        axis = place.axis
        middle = axis.centre + (place.units - 1) / 2 * axis.stride
        low, high = min(low, middle - axis.size / 2), max(high, middle + axis.size / 2)
    first = (low + high) / 2 - (model.units - 1) / 2 * stride
    return model._replace(axis=Axis(high - low, stride, first))


def collapse(places: Places, dims: set[int] | None = None) -> Places:
    """Replace the axes along ``dims`` (all by default) by one unit that sees all of them."""
    return tuple(
        window(place, place.units, place.units, 0, 1)
        if place.dim is not None and (dims is None or place.dim in dims)
        else place
        for place in places
    )


def window(place: Place, kernel: int, stride: float, left: float, count: int) -> Place:
    """Slide a window of ``kernel`` units; the first begins ``left`` units before the first unit."""
    axis = place.axis
    first = axis.centre + ((kernel - 1) / 2 - left) * axis.stride
    size = axis.size + (kernel - 1) * axis.stride
    slid = Place(Axis(size, axis.stride * stride, first), count, place.step, place.dim)
    return slid if count > 1 else slid._replace(step=0, dim=None)
