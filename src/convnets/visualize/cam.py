"""Class activation maps: where in a layer's maps the evidence for a class lies.

A layer's maps are weighted by what their gradients say of their importance and summed. The layer is
the last that still has places: deeper maps mean more, and a map of one place shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet
from convnets.visualize.arrays import Picture
from convnets.visualize.maps import as_array, as_maps
from convnets.visualize.scores import Target, class_logits, classes_of, pixels_of, score_of

Weigh = Callable[[Tensor, Tensor], Tensor]
"""Takes maps and their gradients; returns weights that broadcast to (batch, channels, 1, 1)."""


def grad_cam(
    network: nn.Module,
    images: Tensor,
    *,
    target: Target = None,
    layer: str | None = None,
    upsampled: bool = True,
) -> Picture:
    """Grad-CAM (Selvaraju et al. 2016, arXiv:1610.02391, Eq. 1 and 2): axes image, height, width.

    A map's weight is the mean of the class logit's gradient over its places; of the weighted sum,
    what is positive is kept. Without ``layer`` it is the last module whose output is a map larger
    than 1x1, in our networks the last such child of ``features``; ``about`` names it.
    ``upsampled`` to the image bilinearly, or at the layer's own size. Raises ``UnknownName`` for a
    layer that is not there and ``UsageError`` for one that gives no maps.
    """
    return _cam("Grad-CAM", _mean_gradient, network, images, target, layer, upsampled)


def grad_cam_plus_plus(
    network: nn.Module,
    images: Tensor,
    *,
    target: Target = None,
    layer: str | None = None,
    upsampled: bool = True,
) -> Picture:
    """Grad-CAM++ (Chattopadhay et al. 2017, arXiv:1710.11063), as ``grad_cam``.

    A map's weight is the sum of its positive gradients, each weighted so that a small region counts
    as much as a large one. The paper's score is the exponential of the logit S, by which all
    derivatives are powers of S's first times exp(S).
    """
    return _cam("Grad-CAM++", _weighted_gradient, network, images, target, layer, upsampled)


def _mean_gradient(maps: Tensor, gradient: Tensor) -> Tensor:
    return gradient.mean((2, 3), keepdim=True)


def _weighted_gradient(maps: Tensor, gradient: Tensor) -> Tensor:
    # Differs: the factor exp(S) of every weight is left out. It scales an image's map as a whole,
    # and overflows for logits above 88.
    below = 2 * gradient**2 + maps.sum((2, 3), keepdim=True) * gradient**3
    share = gradient**2 / torch.where(below == 0, 1, below)
    return (share * gradient.relu()).sum((2, 3), keepdim=True)


def _cam(
    title: str,
    weigh: Weigh,
    network: nn.Module,
    images: Tensor,
    target: Target,
    layer: str | None,
    upsampled: bool,
) -> Picture:
    with torch.enable_grad():
        name, output, logits = _with_maps(network, pixels_of(images), layer)
        score = score_of(logits, classes_of(logits, target)).sum()
    if not (score.requires_grad and output.requires_grad):
        raise UsageError(f"{name}: no gradient leads from the network's output to it")
    (gradient,) = torch.autograd.grad(score, output, allow_unused=True)
    if gradient is None:
        raise UsageError(f"{name}: the class score does not depend on it")
    module = network.get_submodule(name)
    maps, gradient = (as_maps(each.detach(), module, name) for each in (output, gradient))
    evidence = (weigh(maps, gradient) * maps).sum(1, keepdim=True).relu()
    if upsampled:
        evidence = F.interpolate(evidence, tuple(images.shape[-2:]), mode="bilinear")
    return Picture(as_array(evidence[:, 0]), ("image", "height", "width"), f"{title} of {name}")


def _with_maps(network: nn.Module, images: Tensor, layer: str | None) -> tuple[str, Tensor, Tensor]:
    """The layer's name, its output and the logits, of one run of the network."""
    found: list[tuple[str, Tensor]] = []
    # What follows may write over the output, so it gets a copy; not so in a search of all modules.
    copied = layer is not None or isinstance(network, ConvNet)

    def keep(name: str, output: Any) -> Any:
        several = isinstance(output, tuple | list) and output
        maps = output[-1] if several else output
        if not isinstance(maps, Tensor):
            if layer is None:
                return None
            raise UsageError(f"{layer} returns a {type(maps).__name__} and no map")
        if layer is None and not _has_places(maps):
            return None
        found[:] = [(name, maps)]
        if not copied:
            return None
        return (*output[:-1], maps.clone()) if several else maps.clone()

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
        for name, module in _candidates(network, layer).items()
    ]
    try:
        logits = class_logits(network, images)
    finally:
        for hook in hooks:
            hook.remove()
    if found:
        return *found[0], logits
    if layer is not None:
        raise UsageError(f"{layer} does not run in eval mode")
    raise UsageError("no layer gives maps larger than 1x1; name one")


def _candidates(network: nn.Module, layer: str | None) -> dict[str, nn.Module]:
    """The modules to watch: the layer, or those among which the last with places is looked for."""
    modules = {name: module for name, module in network.named_modules() if name}
    if layer is not None:
        if layer not in modules:
            raise UnknownName("layer", layer, modules)
        return {layer: modules[layer]}
    if isinstance(network, ConvNet):
        return {f"features.{name}": stage for name, stage in network.features.named_children()}
    return modules


def _has_places(maps: Tensor) -> bool:
    return maps.ndim == 4 and maps.shape[-2] * maps.shape[-1] > 1
