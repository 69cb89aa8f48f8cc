"""What a layer gives: the feature maps of images, and one feature over the checkpoints of a run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from operator import length_hint
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convnets.data.batches import Batch
from convnets.errors import UsageError
from convnets.visualize.arrays import Picture
from convnets.visualize.deconvnet import evaluating, layer_output

AT_ONCE = 64

Tracker = Callable[[int, int], None]
"""Told how much is done and how much there is, 0 where that is not known."""

SomeImages = Tensor | Batch | Sequence[Any]
"""Images (batch, channels, height, width), or a batch that holds or begins with them."""


def feature_maps(
    network: nn.Module, images: Tensor, layer: str, units: Sequence[int] | None = None
) -> Picture:
    """The output of a named layer for images (batch, channels, height, width).

    The picture's axes are image, channel, height, width; ``units`` chooses among the channels and
    orders them. A linear layer's output is maps of one place, and tokens are laid out as the grid
    they come from, a class token left out. Of a module that runs more than once it is the last
    output. Raises ``UnknownName`` and ``UsageError``.
    """
    with torch.no_grad():
        maps = layer_maps(network, images, layer)
    if units is not None:
        maps = torch.stack([unit_of(maps, unit, layer) for unit in units], dim=1)
    axes = ("image", "channel", "height", "width")
    return Picture(as_array(maps), axes, f"feature maps of {layer}")


@dataclass(frozen=True, eq=False)
class Evolution:
    """A unit at each of ``steps``: the image it responds to most, how much, and its map there.

    ``maps`` has the axes step, height, width.
    """

    steps: tuple[int, ...]
    images: tuple[int, ...]
    responses: tuple[float, ...]
    maps: Picture


def evolution(
    network: nn.Module,
    checkpoints: Iterable[tuple[int, Mapping[str, Tensor]]],
    images: Tensor,
    layer: str,
    unit: int,
    *,
    progress: Tracker | None = None,
) -> Evolution:
    """Follow a unit's strongest response through training (Zeiler and Fergus 2013, Fig. 4).

    ``checkpoints`` are pairs of a step and a state dict of ``network``, taken one at a time: with
    a generator, memory holds one of them. The response is the largest value of the unit's map, and
    the image is chosen anew for each checkpoint, so that it may jump from one to the next.
    Raises ``UsageError`` for a state that does not fit the network.
    """
    twin = copy.deepcopy(network)
    found = []
    total = length_hint(checkpoints)
    for step, state in checkpoints:
        _load(twin, state, step)
        found.append((step, *_strongest(twin, images, layer, unit)))
        if progress is not None:
            progress(len(found), total)
    if not found:
        raise UsageError("there are no checkpoints")
    steps, chosen, responses, maps = zip(*found, strict=True)
    about = f"unit {unit} of {layer} over {len(steps)} checkpoints"
    picture = Picture(np.stack(maps), ("step", "height", "width"), about)
    return Evolution(steps, chosen, responses, picture)


def _load(network: nn.Module, state: Mapping[str, Tensor], step: int) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the checkpoint of step {step} does not fit: {reason}") from error


@torch.no_grad()
def _strongest(
    network: nn.Module, images: Tensor, layer: str, unit: int
) -> tuple[int, float, np.ndarray]:
    """The image with the largest value in a unit's map, that value, and the map."""
    if not len(images):
        raise UsageError("there are no images")
    best: tuple[int, float, np.ndarray] | None = None
    for start in range(0, len(images), AT_ONCE):
        part = images[start : start + AT_ONCE]
        maps = unit_of(layer_maps(network, part, layer), unit, layer)
        value, index = maps.flatten(1).amax(1).max(0)
        if best is None or value > best[1]:
            best = (start + int(index), float(value), as_array(maps[index]))
    assert best is not None
    return best


# What this module's neighbours share with it: a layer's maps, and the images of a batch.


def layer_maps(network: nn.Module, images: Tensor, layer: str) -> Tensor:
    """A layer's output in eval mode as maps (batch, channels, height, width); see ``as_maps``."""
    with evaluating(network):
        # A copy, since a network's first layer may work in place.
        output = layer_output(network, images.clone(), layer)
    return as_maps(output, network.get_submodule(layer), layer)


def as_maps(output: Tensor, module: nn.Module, layer: str) -> Tensor:
    """What goes in or out of a module as maps (batch, channels, height, width).

    Tokens (batch, tokens, channels) are a square grid, which a class token may come before. A
    linear layer has its channels last.
    """
    if output.ndim == 2:
        return output[:, :, None, None]
    if output.ndim == 3:
        tokens = output.shape[1]
        side = isqrt(tokens)
        if tokens not in (side**2, side**2 + 1):
            raise UsageError(f"{layer} has {tokens} tokens, which are no square grid")
        grid = output[:, tokens - side**2 :].transpose(1, 2)
        return grid.reshape(*grid.shape[:2], side, side)
    if output.ndim != 4:
        raise UsageError(f"{layer} has shape {tuple(output.shape)}, which are no feature maps")
    return output.movedim(-1, 1) if isinstance(module, nn.Linear) else output


def unit_of(maps: Tensor, unit: int, layer: str) -> Tensor:
    """One channel of maps, (batch, height, width); raises ``UsageError`` where there is none."""
    if not 0 <= unit < maps.shape[1]:
        raise UsageError(f"{layer} has units 0 to {maps.shape[1] - 1}; there is no {unit}")
    return maps[:, unit]


def images_of(batch: SomeImages, network: nn.Module) -> Tensor:
    """The images of a batch, on the network's device."""
    images = batch if isinstance(batch, Tensor) else getattr(batch, "images", None)
    if images is None and isinstance(batch, list | tuple) and isinstance(batch[0], Tensor):
        images = batch[0]
    if not isinstance(images, Tensor):
        raise UsageError(f"a batch is images, or begins with them; this is {type(batch).__name__}")
    weight = next(network.parameters(), None)
    return images if weight is None else images.to(weight.device)


def as_array(values: Tensor) -> np.ndarray:
    """A tensor's values as float32 in NumPy."""
    return values.detach().float().cpu().numpy()
