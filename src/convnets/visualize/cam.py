"""Class activation maps: where in a layer's maps the evidence for a class lies.

A layer's maps are weighted by what their gradients say of their importance and summed. The layer is
the last that still has places: deeper maps mean more, and a map of one place shows nothing. A
transformer whose head reads the class token alone has no gradient in the other tokens after its
last attention; there it is the normalised input of that attention, as in Gildenblat's pytorch-
grad-cam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UsageError
from convnets.layers.attention import Attention
from convnets.layers.network import ConvNet
from convnets.visualize.arrays import Picture, as_array
from convnets.visualize.layers import as_maps, channels_last, passing
from convnets.visualize.scores import Target, class_logits, classes_of, pixels_of, score_of

Layers = Mapping[str, Callable[[Tensor], bool]]
"""Layers by path, and which outputs of theirs serve."""

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
    than 1x1, in our networks the last such child of ``features``, and in a plain transformer the
    norm before the last attention; ``about`` names it.
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
    layers: Layers = _candidates(network) if layer is None else {layer: _any}
    name, output, logits = _with_maps(network, images, layers)
    with torch.enable_grad():
        score = score_of(logits, classes_of(logits, target)).sum()
    if not score.requires_grad:
        raise UsageError(f"{name}: no gradient leads from the network's output to it")
    (gradient,) = torch.autograd.grad(score, output, allow_unused=True)
    if gradient is None:
        raise UsageError(f"{name}: the class score does not depend on it")
    last = channels_last(network, name, output)
    maps, gradient = (as_maps(each.detach(), name, last) for each in (output, gradient))
    evidence = (weigh(maps, gradient) * maps).sum(1, keepdim=True).relu()
    if upsampled:
        evidence = F.interpolate(evidence, tuple(images.shape[-2:]), mode="bilinear")
    return Picture(as_array(evidence[:, 0]), ("image", "height", "width"), f"{title} of {name}")


def _with_maps(network: nn.Module, images: Tensor, layers: Layers) -> tuple[str, Tensor, Tensor]:
    """The last layer to run whose output is accepted, that output, and the logits.

    Only what follows the output is recorded for a gradient.
    """
    # What is recorded in vain costs time, and the last stages are small.
    recorded = list(layers)[-2:] if isinstance(network, ConvNet) else layers
    named = _any in layers.values()
    found: list[tuple[str, Tensor]] = []

    def begin(name: str, maps: Tensor) -> Tensor | None:
        if not layers[name](maps):
            return None
        found[:] = [(name, maps.detach().requires_grad_())]
        if name not in recorded:
            return None
        torch.set_grad_enabled(True)
        # What follows may write over its input, so it gets a copy.
        return found[0][1].clone()

    hooked = {name: partial(begin, name) for name in layers}
    with torch.no_grad(), passing(network, hooked, only_maps=named):
        logits = class_logits(network, pixels_of(images))
    if not found:
        if named:
            raise UsageError(f"{next(iter(layers))} does not run in eval mode")
        raise UsageError("no layer gives maps larger than 1x1; name one")
    ((name, output),) = found
    return (name, output, logits) if name in recorded else _with_maps(network, images, {name: _any})


def _candidates(network: nn.Module) -> Layers:
    """Among which layers to look for the last with places, and what counts as such.

    Of networks of ours they are the stages. A transformer whose head reads the class token alone
    has no gradient in the other tokens after its last attention: there it is what that attends to.
    """
    names: Iterable[str] = (name for name, _ in network.named_modules() if name)
    if isinstance(network, ConvNet):
        names = (f"features.{name}" for name, _ in network.features.named_children())
    layers: dict[str, Callable[[Tensor], bool]] = dict.fromkeys(names, _has_places)
    attended = _norm_before_last_attention(network)
    return layers if attended is None else layers | {attended: _has_tokens}


def _norm_before_last_attention(network: nn.Module) -> str | None:
    """The path of the layer normalisation defined right before the last attention."""
    found = None
    for path, module in network.named_modules():
        children = list(module.named_children())
        for (name, child), (_, following) in pairwise(children):
            attends = isinstance(following, Attention | nn.MultiheadAttention)
            if attends and isinstance(child, nn.LayerNorm):
                found = f"{path}.{name}".removeprefix(".")
    return found


def _any(maps: Tensor) -> bool:
    return True


def _has_places(maps: Tensor) -> bool:
    return maps.ndim == 4 and maps.shape[-2] * maps.shape[-1] > 1


def _has_tokens(maps: Tensor) -> bool:
    return maps.ndim == 3
