"""The score of a class for each image, and its gradient: what attributions are made of."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from convnets.errors import UsageError
from convnets.visualize.layers import evaluating

Target = int | Tensor | None
"""Class indices, one for all images or one each (batch,); None is the predicted class."""


def pixels_of(images: Tensor) -> Tensor:
    """The images as what gradients are taken in.

    Raises ``UsageError`` unless they are (batch, channels, height, width) in floating point.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise UsageError(
            f"images are {tuple(images.shape)} of {images.dtype}; "
            "they must be (batch, channels, height, width) in floating point"
        )
    return images.detach().requires_grad_()


def class_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Logits (batch, classes) in eval mode; raises ``UsageError`` where there are none."""
    with evaluating(network):
        # A copy, since a network's first layer may work in place.
        logits = network(images.clone())
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UsageError(f"the network returns {given}; an attribution needs (batch, classes)")
    return logits


def classes_of(logits: Tensor, target: Target) -> Tensor:
    """The target as class indices (batch,); raises ``UsageError`` for classes there are not."""
    batch, count = logits.shape
    if target is None:
        return logits.argmax(1)
    if isinstance(target, Tensor) and (target.is_floating_point() or target.dtype == torch.bool):
        raise UsageError(f"target is {target.dtype}; it must be whole numbers")
    classes = torch.as_tensor(target, device=logits.device)
    if classes.shape not in ((), (batch,)):
        raise UsageError(f"target has shape {tuple(classes.shape)}; there are {batch} images")
    if classes.numel() and not 0 <= int(classes.min()) <= int(classes.max()) < count:
        raise UsageError(f"target is {target}; the network has {count} classes, counted from 0")
    return classes.long().expand(batch)


def predicted(network: nn.Module, images: Tensor, target: Target) -> Tensor:
    """The target as class indices (batch,), the predicted ones where it is None."""
    with torch.no_grad():
        return classes_of(class_logits(network, pixels_of(images)), target)


def score_of(logits: Tensor, classes: Tensor) -> Tensor:
    """Each image's logit of its class: (batch,)."""
    return logits.gather(1, classes[:, None])[:, 0]


def probability_of(logits: Tensor, classes: Tensor) -> Tensor:
    """Each image's probability of its class, by softmax: (batch,)."""
    return score_of(logits.softmax(1), classes)


def score_gradient(
    network: nn.Module,
    images: Tensor,
    target: Target,
    rule: AbstractContextManager[object] | None = None,
) -> Tensor:
    """The gradient of each image's class logit in its pixels, of the images' shape.

    ``rule`` is a context for the forward pass that changes gradients.
    """
    pixels = pixels_of(images)
    with torch.enable_grad(), rule or nullcontext():
        logits = class_logits(network, pixels)
        score = score_of(logits, classes_of(logits, target)).sum()
    if not score.requires_grad:
        raise UsageError("no gradient leads from the network's output to the image")
    (gradient,) = torch.autograd.grad(score, pixels)
    return gradient
