"""Activation maximisation: the image that a unit responds to most, found by gradient ascent.

Erhan, Bengio, Courville and Vincent (2009) climb the unit's activation over images of one norm;
Simonyan, Vedaldi and Zisserman (2013, arXiv:1312.6034) a class's logit less the squared norm of the
image; Yosinski et al. (2015, arXiv:1506.06579, Section 3) step and then regularise, by L2 decay and
by a Gaussian blur every few steps. Jitter, which evaluates each step on a shifted image, is
Mordvintsev, Olah and Tyka's (2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UsageError
from convnets.visualize.arrays import Picture, Tracker, as_array
from convnets.visualize.layers import as_maps, evaluating, layer_maps, unit_of

BLUR_REACH = 4
START = 0.1


@dataclass(frozen=True)
class Ascent:
    """How to climb; sizes are in units of the normalised image.

    A step adds ``rate`` times the gradient scaled to a root mean square of 1, then takes the share
    ``decay`` from the image, blurs it every ``blur_every`` steps (0 is never) by a Gaussian of
    ``blur_width`` pixels, and scales it to the Euclidean norm ``norm`` if there is one. The
    gradient is taken with the image shifted by up to ``jitter`` pixels either way.
    """

    steps: int = 200
    rate: float = 0.1
    decay: float = 1e-4
    blur_every: int = 4
    blur_width: float = 0.5
    jitter: int = 2
    norm: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"steps is {self.steps}; it must be a positive whole number")
        for name in ("rate", "decay", "blur_every", "blur_width", "jitter"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must not be negative")


@dataclass(frozen=True, eq=False)
class Maximised:
    """An image (axes channel, height, width), normalised as the network's input is, and the
    unit's activation before each step and at the end (axis step, one more than steps)."""

    image: Picture
    scores: Picture


def maximise(
    network: nn.Module,
    shape: tuple[int, int, int],
    unit: int,
    *,
    layer: str | None = None,
    position: tuple[int, int] | None = None,
    ascent: Ascent | None = None,
    seed: int = 0,
    progress: Tracker | None = None,
) -> Maximised:
    """Climb from noise to an image of ``shape`` (channels, height, width) for one unit.

    ``unit`` is a class, whose logit is climbed, or with ``layer`` a channel of that layer:
    at ``position`` (row, column) of its map, else the map's mean. A logit shows more than a
    probability, which also climbs by lowering the other classes (Simonyan et al., Section 2).
    A unit behind a ReLU that starts at 0 has no gradient and stays there: name the layer before
    the ReLU. Raises ``UnknownName`` and ``UsageError``.
    """
    ascent = ascent or Ascent()
    weight = next(network.parameters(), torch.empty(0))
    draw = torch.Generator().manual_seed(seed)
    image = (START * torch.randn(1, *shape, generator=draw)).to(weight)

    def score(shifted: Tensor) -> Tensor:
        return _activation(network, shifted, unit, layer, position)

    scores = []
    for step in range(1, ascent.steps + 1):
        down, right = torch.randint(-ascent.jitter, ascent.jitter + 1, (2,), generator=draw)
        value, gradient = _climb(score, image, (int(down), int(right)))
        scores.append(value)
        image = regularised(image + ascent.rate * gradient, step, ascent)
        if progress is not None:
            progress(step, ascent.steps)
    with torch.no_grad():
        scores.append(float(score(image)))
    name = f"class {unit}" if layer is None else f"unit {unit} of {layer}"
    return Maximised(
        image=Picture(as_array(image[0]), ("channel", "height", "width"), f"{name}, maximised"),
        scores=Picture(np.array(scores, dtype=np.float32), ("step",), f"activation of {name}"),
    )


def _activation(
    network: nn.Module,
    image: Tensor,
    unit: int,
    layer: str | None,
    position: tuple[int, int] | None,
) -> Tensor:
    name = layer or "the network"
    if layer is None:
        with evaluating(network):
            maps = as_maps(network(image.clone()), name)
    else:
        maps = layer_maps(network, image, layer)
    unit_map = unit_of(maps, unit, name)[0]
    if position is None:
        return unit_map.mean()
    row, column = position
    if not (0 <= row < unit_map.shape[0] and 0 <= column < unit_map.shape[1]):
        raise UsageError(f"the map is {tuple(unit_map.shape)}; there is no position {position}")
    return unit_map[row, column]


def _climb(
    score: Callable[[Tensor], Tensor], image: Tensor, across: tuple[int, int]
) -> tuple[float, Tensor]:
    """The score of an image shifted ``across``, and its gradient scaled to a mean square of 1.

    Pixels that leave at one edge come back at the other, so that the shift can be undone.
    """
    with torch.enable_grad():
        pixels = image.detach().requires_grad_()
        value = score(pixels.roll(across, (2, 3)))
        (gradient,) = torch.autograd.grad(value, pixels)
    size = gradient.square().mean().sqrt()
    return value.item(), gradient / size if size > 0 else gradient


@torch.no_grad()
def regularised(image: Tensor, step: int, ascent: Ascent) -> Tensor:
    """The image (1, channels, height, width) after a step, as ``Ascent`` describes it."""
    image = image * (1 - ascent.decay)
    if ascent.blur_every and step % ascent.blur_every == 0:
        image = blurred(image, ascent.blur_width)
    if ascent.norm is not None:
        image = image * (ascent.norm / image.norm())
    return image


def blurred(images: Tensor, width: float) -> Tensor:
    """Images (batch, channels, height, width) blurred by a Gaussian of ``width`` pixels.

    The kernel ends after four deviations; at an edge the outermost pixels are repeated.
    """
    reach = ceil(BLUR_REACH * width)
    if not reach:
        return images
    distance = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (distance / width) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    pixels = F.pad(images.flatten(0, 1).unsqueeze(1), (reach,) * 4, mode="replicate")
    smooth = F.conv2d(F.conv2d(pixels, kernel), kernel.mT)
    return smooth.view_as(images)
