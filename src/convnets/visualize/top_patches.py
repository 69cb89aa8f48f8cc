"""The strongest activations over a data set, as in Figure 2 of Zeiler and Fergus (2013).

For each unit of a layer: the patches of those images that excite it most, each as large as what the
unit sees of the image, beside its deconvnet projection. The patches show what it does not tell
apart, the projections what they have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convnets.analysis import profile
from convnets.analysis.grid import Field
from convnets.errors import UsageError
from convnets.visualize.arrays import Picture, as_array
from convnets.visualize.deconvnet import project
from convnets.visualize.layers import layer_maps, unit_of

# A field's edges are sums of fractions where a network resizes its maps.
ROUNDING = 1e-6
TILES = ("unit", "rank", "channel", "height", "width")


@dataclass(frozen=True)
class TopPatches:
    """The strongest activations of some units of a layer, from rank 0, the strongest, down.

    - ``strengths``: the activations, axes unit and rank
    - ``images``: (units, ranks), which image of the data set, counted from 0
    - ``positions``: (units, ranks, 2), row and column in the layer's map
    - ``boxes``: (units, ranks, 4), top, left, bottom and right of the receptive field in pixels,
      bottom and right not included, clipped at the image's edges
    - ``patches``: the images inside the boxes, axes unit, rank, channel, height and width
    - ``projections``: the deconvnet projections inside the same boxes, same axes

    All tiles are as large as the largest box. A box that is smaller, because the field reaches past
    an edge of the image, has zeros on that side.
    """

    layer: str
    units: tuple[int, ...]
    strengths: Picture
    images: NDArray[np.int64]
    positions: NDArray[np.int64]
    boxes: NDArray[np.int64]
    patches: Picture
    projections: Picture


def top_patches(
    network: nn.Module,
    batches_of_images: Iterable[Tensor],
    layer: str,
    units: Sequence[int],
    k: int = 9,
    *,
    once_per_image: bool = True,
    progress: Callable[[int], None] | None = None,
) -> TopPatches:
    """Find the ``k`` strongest activations of each of ``units`` over a data set, and what they saw.

    ``batches_of_images`` are tensors (batch, channels, height, width), normalised and all of one
    size. They are run through once and let go: what stays is at most ``k`` images a unit. After
    each batch ``progress`` is called with the number of images seen.

    ``once_per_image`` takes the strongest position of an image alone, since its neighbours see
    nearly the same patch; without it all positions compete. Of equal activations the first counts.
    Units and positions are those of ``deconvnet``. Where the units of a layer lie on no grid of the
    image (tokens, a forward pass that cannot be traced), the patch is the whole image.

    Raises ``UnknownName`` for a layer that the network lacks, and ``UsageError`` for a unit outside
    its map, ``k`` below 1, images of several sizes and none at all.
    """
    if k < 1:
        raise UsageError(f"k is {k}; it must be a positive whole number")
    if not units:
        raise UsageError("no units are named")
    size: torch.Size | None = None
    found: list[tuple[Tensor, Tensor]] = []
    images: dict[int, Tensor] = {}
    seen = 0
    for batch in batches_of_images:
        size = size or batch.shape[1:]
        if batch.shape[1:] != size:
            raise UsageError(f"images have shapes {tuple(size)} and {tuple(batch.shape[1:])}")
        maps = _unit_maps(network, batch, layer, units)
        found = [_strongest([*found, _candidates(maps, seen, 1 if once_per_image else k)], k)]
        _, places = found[0]
        images = {
            index: images[index] if index < seen else batch[index - seen].clone()
            for index in set(places[..., 0].flatten().tolist())
        }
        seen += len(batch)
        if progress is not None:
            progress(seen)
    if not seen:
        raise UsageError("there are no images to look through")
    strengths, places = found[0]
    return _with_pictures(network, layer, tuple(units), strengths, places, images)


def _unit_maps(network: nn.Module, images: Tensor, layer: str, units: Sequence[int]) -> Tensor:
    """The maps (units, batch, rows, columns) of the chosen units."""
    with torch.no_grad():
        maps = layer_maps(network, images, layer)
    return torch.stack([unit_of(maps, unit, layer) for unit in units])


def _candidates(maps: Tensor, seen: int, each: int) -> tuple[Tensor, Tensor]:
    """The ``each`` strongest activations of every image: strengths (units, found), and where.

    Where is (units, found, 3): image, row and column.
    """
    flat = maps.flatten(2)
    if each == 1:
        places = flat.argmax(2, keepdim=True)
    else:
        places = flat.argsort(stable=True, dim=2, descending=True)[..., :each]
    images = torch.arange(seen, seen + maps.shape[1], device=maps.device)[:, None]
    columns = maps.shape[-1]
    where = torch.stack((images.expand_as(places), places // columns, places % columns), -1)
    return flat.gather(2, places).flatten(1), where.flatten(1, 2)


def _strongest(found: Sequence[tuple[Tensor, Tensor]], k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` strongest of what was found, the earlier first where they are equal."""
    strengths, where = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
    order = strengths.argsort(stable=True, dim=1, descending=True)[:, :k]
    return strengths.gather(1, order), where.gather(1, order[..., None].expand(-1, -1, 3))


def _with_pictures(
    network: nn.Module,
    layer: str,
    units: tuple[int, ...],
    strengths: Tensor,
    where: Tensor,
    images: dict[int, Tensor],
) -> TopPatches:
    example = next(iter(images.values()))
    field = _receptive_field(network, layer, example)
    sides = (example.shape[-2], example.shape[-1])
    places = where.cpu().numpy()
    boxes = np.array([[_box(field, place[1:], sides) for place in ranks] for ranks in places])
    patches, projections = [], []
    for unit, ranks, unit_boxes in zip(units, where, boxes, strict=True):
        shown = torch.stack([images[index] for index in ranks[:, 0].tolist()])
        projection = _projection(network, shown, layer, unit, ranks)
        patches.append(_tiles(shown, unit_boxes, boxes))
        projections.append(_tiles(projection, unit_boxes, boxes))
    of = f"the strongest activations of units of {layer}"
    return TopPatches(
        layer,
        units,
        strengths=Picture(as_array(strengths), ("unit", "rank"), of),
        images=places[..., 0],
        positions=places[..., 1:],
        boxes=boxes,
        patches=Picture(np.stack(patches), TILES, f"image patches of {of}"),
        projections=Picture(np.stack(projections), TILES, f"deconvnet projections of {of}"),
    )


def _projection(network: nn.Module, images: Tensor, layer: str, unit: int, where: Tensor) -> Tensor:
    """Each image's projection from the position in it that ``where`` (images, 3) names."""

    def choose(maps: Tensor) -> Tensor:
        mask = torch.zeros_like(maps, dtype=torch.bool)
        mask[torch.arange(len(maps)), unit, where[:, 1], where[:, 2]] = True
        return mask

    return project(network, images, layer, choose)


def _receptive_field(network: nn.Module, layer: str, image: Tensor) -> Field | None:
    """What the layer's units see of an image; None where they lie on no grid, or it is unknown."""
    channels, *sides = image.shape
    try:
        rows = profile(network, tuple(sides), in_chans=channels).layers
    except UsageError:
        return None
    *_, last = (row for row in rows if row.name == layer)
    # The rows and columns of tokens are one axis of their tensor.
    return None if len(last.output_shape) == 3 else last.field


def _box(
    field: Field | None, position: Sequence[int], sides: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what a unit sees inside an image of ``sides``."""
    if field is None:
        return 0, 0, *sides
    edges = []
    for axis, place, side in zip(field, position, sides, strict=True):
        first = axis.centre + int(place) * axis.stride - (axis.size - 1) / 2
        start, end = floor(first + ROUNDING), ceil(first + axis.size - ROUNDING)
        edges.append((min(max(start, 0), side), min(max(end, 0), side)))
    (top, bottom), (left, right) = edges
    return top, left, bottom, right


def _tiles(
    images: Tensor, boxes: NDArray[np.int64], all_boxes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Cut each image at its box, and lay it into a tile of the largest box there is."""
    height, width = (all_boxes[..., 2:] - all_boxes[..., :2]).max((0, 1))
    tiles = np.zeros((*images.shape[:2], height, width), np.float32)
    values = as_array(images)
    for tile, image, (top, left, bottom, right) in zip(tiles, values, boxes, strict=True):
        # What the field lost at the top or left edge is missing there in the tile, too.
        below = 0 if top else height - bottom
        beside = 0 if left else width - right
        tile[:, below : below + bottom - top, beside : beside + right - left] = image[
            :, top:bottom, left:right
        ]
    return tiles
