"""Whether a picture means anything: what becomes of it, and what becomes of the network.

A picture that explains a network must change when the network's weights are lost (Adebayo et al.
2018), and the pixels it points at must matter to the network (Petsiuk et al. 2018). Each check
returns a record with its numbers and whether it is passed; ``str`` of one is a line.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet
from convnets.visualize.arrays import Picture, Tracker
from convnets.visualize.attribution import AT_ONCE, filled
from convnets.visualize.methods import Method
from convnets.visualize.scores import Target, class_logits, predicted, probability_of

ALIKE = 0.5


@dataclass(frozen=True)
class Randomisation:
    """How alike a picture stays as layers lose their weights, from the last to the first.

    ``correlations`` (Spearman's, of magnitudes) and ``overlaps`` (the share of the picture that
    lies where it lay) are means over images, one for each of ``layers``: with it and those before
    it in the list randomised.
    """

    about: str
    layers: tuple[str, ...]
    correlations: tuple[float, ...]
    overlaps: tuple[float, ...]
    limit: float

    @property
    def correlation(self) -> float:
        """The mean of ``correlations``."""
        return sum(self.correlations) / len(self.correlations)

    @property
    def passed(self) -> bool:
        """Whether the picture depends on the weights: it is less alike than ``limit`` at the end,
        and on the way there on average."""
        return max(self.correlation, self.correlations[-1]) < self.limit

    def __str__(self) -> str:
        return (
            f"{_verdict(self.passed)} randomisation: rank correlation {self.correlations[0]:.2f} "
            f"without the weights of {self.layers[0] or 'the network'}, "
            f"{self.correlations[-1]:.2f} at the end, {self.correlation:.2f} on average; "
            f"the limit is {self.limit:.2f}"
        )


@dataclass(frozen=True)
class PixelCheck:
    """A class's probability as pixels are deleted or inserted in the order of a picture.

    ``curve`` has the mean probability over images at each of ``shares``, the parts of the pixels
    that are changed. ``area`` lies under it; ``random`` are the areas for random orders.
    """

    kind: Literal["deletion", "insertion"]
    about: str
    shares: tuple[float, ...]
    curve: tuple[float, ...]
    area: float
    random: tuple[float, ...]

    @property
    def passed(self) -> bool:
        """Whether the picture does better than every random order: less area for deletion, more
        for insertion."""
        if self.kind == "deletion":
            return self.area < min(self.random)
        return self.area > max(self.random)

    def __str__(self) -> str:
        return (
            f"{_verdict(self.passed)} {self.kind}: area {self.area:.3f}, "
            f"in random order {min(self.random):.3f} to {max(self.random):.3f}"
        )


def randomisation_check(
    network: nn.Module,
    images: Tensor,
    method: Method,
    *,
    target: Target = None,
    layers: Sequence[str] | None = None,
    limit: float = ALIKE,
    seed: int = 0,
    progress: Tracker | None = None,
) -> Randomisation:
    """Compare a method's picture with those of a network that loses its weights layer by layer.

    Cascading randomisation (Adebayo et al. 2018, arXiv:1810.03292), from the last layer to the
    first, on a copy. Every parameter is drawn anew from a normal distribution of its
    own mean and deviation, so that signals keep their scale; statistics of normalisation stay.
    ``layers`` are module paths in the order in which they lose their weights: by default the head
    and the stages of our networks, of others every module with parameters of its own. The target
    is that of the network as it was. ``limit`` is ours; the paper sets none.
    """
    classes = predicted(network, images, target)
    names = _cascade(network) if layers is None else tuple(layers)
    modules = dict(network.named_modules())
    if unknown := [name for name in names if name not in modules]:
        raise UnknownName("layer", unknown[0], (name for name in modules if name))
    if not names:
        raise UsageError("the network has no parameters to randomise")
    before = method(network, images, target=classes)
    twin = copy.deepcopy(network)
    draw = torch.Generator().manual_seed(seed)
    correlations, overlaps = [], []
    for done, name in enumerate(names, start=1):
        _draw_anew(twin.get_submodule(name), draw)
        after = method(twin, images, target=classes)
        pairs = list(zip(magnitudes(before), magnitudes(after), strict=True))
        correlations.append(float(np.mean([rank_correlation(*pair) for pair in pairs])))
        overlaps.append(float(np.mean([overlap(*pair) for pair in pairs])))
        if progress is not None:
            progress(done, len(names))
    return Randomisation(before.about, names, tuple(correlations), tuple(overlaps), limit)


def deletion(
    network: nn.Module,
    images: Tensor,
    picture: Picture,
    *,
    target: Target = None,
    steps: int = 50,
    fill: float | Tensor = 0.0,
    random_orders: int = 5,
    seed: int = 0,
) -> PixelCheck:
    """The probability as pixels go, the most important first (Petsiuk et al. 2018,
    arXiv:1806.07421): it should fall soon, and the area be small.

    ``picture`` is of these images, at their size. Pixels rank by its values, with channels by the
    largest magnitude of them, and are replaced by ``fill`` in ``steps`` equal parts. Equal values
    rank at random. The area is by the trapezoid rule. Random orders, drawn from ``seed``, are what
    a picture of nothing gets.
    """
    classes = predicted(network, images, target)
    ends = images.detach(), filled(images, fill)
    orders = _orders(picture, images, random_orders, seed)
    return _pixel_check("deletion", picture.about, network, ends, classes, orders, steps)


def insertion(
    network: nn.Module,
    images: Tensor,
    picture: Picture,
    *,
    target: Target = None,
    steps: int = 50,
    fill: float | Tensor = 0.0,
    random_orders: int = 5,
    seed: int = 0,
) -> PixelCheck:
    """The probability as pixels come, the most important first: it should rise soon.

    As ``deletion``, the other way round. The paper begins with a blurred image, which brings fewer
    sharp edges than one colour: give it as ``fill``.
    """
    classes = predicted(network, images, target)
    ends = filled(images, fill), images.detach()
    orders = _orders(picture, images, random_orders, seed)
    return _pixel_check("insertion", picture.about, network, ends, classes, orders, steps)


def magnitudes(picture: Picture) -> np.ndarray:
    """How much each pixel counts either way, (image, height, width): of channels the largest."""
    sizes = np.abs(picture.values)
    return sizes.max(axis=picture.axis("channel")) if "channel" in picture.axes else sizes


def rank_correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Spearman's: the correlation of ranks, of equal values their mean rank.

    A constant is unlike anything, with a correlation of 0, but for another constant, with 1.
    """
    ranks = [_ranks(each.ravel()) for each in (left, right)]
    first, second = (each - each.mean() for each in ranks)
    sizes = np.linalg.norm(first), np.linalg.norm(second)
    if not all(sizes):
        return float(not any(sizes))
    return float(first @ second / (sizes[0] * sizes[1]))


def overlap(left: np.ndarray, right: np.ndarray) -> float:
    """The share of two pictures without negative values that lies in the same place, whatever
    their scales: 1 if they are proportional, 0 if they nowhere meet or one is empty."""
    totals = left.sum(), right.sum()
    if not all(totals):
        return float(not any(totals))
    return float(np.minimum(left / totals[0], right / totals[1]).sum())


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks: np.ndarray = counts.cumsum() - (counts - 1) / 2
    return mean_ranks[places]


def _cascade(network: nn.Module) -> tuple[str, ...]:
    """The modules that lose their weights, from the last to the first."""
    ours = isinstance(network, ConvNet)
    if isinstance(network, ConvNet):
        stages = {f"features.{name}": stage for name, stage in network.features.named_children()}
        modules = {**stages, "head": network.head}
    else:
        modules = dict(network.named_modules())
    owners = [
        name for name, module in modules.items() if any(True for _ in module.parameters(ours))
    ]
    return tuple(reversed(owners))


@torch.no_grad()
def _draw_anew(module: nn.Module, draw: torch.Generator) -> None:
    for parameter in module.parameters():
        if parameter.is_floating_point() and parameter.numel() > 1:
            noise = torch.randn(parameter.shape, generator=draw).to(parameter)
            parameter.copy_(parameter.mean() + parameter.std() * noise)


def _orders(picture: Picture, images: Tensor, random_orders: int, seed: int) -> list[Tensor]:
    """Each pixel's place (image, height, width) in the picture's order, then in random ones."""
    importance = magnitudes(picture) if "channel" in picture.axes else picture.values
    shape = (len(images), *images.shape[-2:])
    if importance.shape != shape:
        raise UsageError(f"the picture is {importance.shape}; the images are {shape}")
    if random_orders < 1:
        raise UsageError(f"random_orders is {random_orders}; it must be a positive whole number")
    draw = np.random.default_rng(seed)
    chance = draw.random((random_orders + 1, shape[0], shape[1] * shape[2]))
    keys = [(chance[0], -importance.reshape(chance.shape[1:])), *((each,) for each in chance[1:])]
    places = [np.lexsort(each, axis=-1).argsort(axis=-1).reshape(shape) for each in keys]
    return [torch.from_numpy(each).to(images.device) for each in places]


def _pixel_check(
    kind: Literal["deletion", "insertion"],
    about: str,
    network: nn.Module,
    ends: tuple[Tensor, Tensor],
    classes: Tensor,
    orders: Sequence[Tensor],
    steps: int,
) -> PixelCheck:
    """Follow the way between two batches of images in each of the orders, the picture's first."""
    pixels = ends[0][0, 0].numel()
    if steps < 1:
        raise UsageError(f"steps is {steps}; it must be a positive whole number")
    steps = min(steps, pixels)
    changed = [round(step * pixels / steps) for step in range(steps + 1)]
    shares = np.array(changed) / pixels
    curves = [_curve(network, ends, classes, order, changed) for order in orders]
    area, *random = (float(np.trapezoid(curve, shares)) for curve in curves)
    return PixelCheck(
        kind, about, tuple(shares.tolist()), tuple(curves[0].tolist()), area, tuple(random)
    )


@torch.no_grad()
def _curve(
    network: nn.Module,
    ends: tuple[Tensor, Tensor],
    classes: Tensor,
    order: Tensor,
    changed: Sequence[int],
) -> np.ndarray:
    """The mean probability over images with so many pixels of the second end, in order."""
    total = np.zeros(len(changed))
    counts = torch.tensor(changed, device=order.device)[:, None, None, None]
    for before, after, place, label in zip(*ends, order, classes, strict=True):
        for start in range(0, len(changed), AT_ONCE):
            some = counts[start : start + AT_ONCE]
            logits = class_logits(network, torch.where(place < some, after, before))
            probability = probability_of(logits, label.expand(len(some)))
            total[start : start + AT_ONCE] += probability.double().cpu().numpy()
    return total / len(order)


def _verdict(passed: bool) -> str:
    return "passed" if passed else "failed"
