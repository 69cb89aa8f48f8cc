"""How much each pixel counts for a class: gradients, their successors, and occlusion.

Every method takes normalised images (batch, channels, height, width) and a target class, and leaves
the network as it was. The score of a class is its logit. Methods that tell channels apart return
axes image, channel, height, width; the others image, height, width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from math import ceil
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from convnets.errors import UnknownName, UsageError
from convnets.visualize.arrays import Picture, Tracker, as_array
from convnets.visualize.deconvnet import without_normalisation
from convnets.visualize.rectify import gradient_rule
from convnets.visualize.scores import (
    Target,
    class_logits,
    predicted,
    probability_of,
    score_gradient,
    score_of,
)

AT_ONCE = 64
PIXELS = ("image", "height", "width")
CHANNELS = ("image", "channel", "height", "width")
SCORES = {"probability": probability_of, "logit": score_of}


def saliency(
    network: nn.Module, images: Tensor, *, target: Target = None, signed: bool = False
) -> Picture:
    """The gradient of the class score in the pixels (Simonyan et al. 2013, arXiv:1312.6034).

    Its magnitude, the largest over channels (Section 3.1); with ``signed``, the gradient itself.
    """
    gradient = score_gradient(network, images, target)
    if signed:
        return Picture(as_array(gradient), CHANNELS, "gradient of the class score")
    return Picture(as_array(gradient.abs().amax(1)), PIXELS, "saliency: size of the gradient")


def guided_backpropagation(network: nn.Module, images: Tensor, *, target: Target = None) -> Picture:
    """The gradient, of which ReLUs pass what is positive where their input was positive.

    Springenberg et al. 2014, arXiv:1412.6806, Section 3.4.
    """
    gradient = score_gradient(network, images, target, gradient_rule("guided"))
    return Picture(as_array(gradient), CHANNELS, "guided back-propagation of the class score")


def class_deconvnet(network: nn.Module, images: Tensor, *, target: Target = None) -> Picture:
    """The class score led back by the deconvnet's rules (Zeiler and Fergus 2013, arXiv:1311.2901).

    The projection starts with 1, not with the logit, so that it is comparable to a gradient and a
    negative logit does not turn it round. ``convnets.visualize.deconvnet`` has the rules.
    """
    gradient = score_gradient(network, images, target, _deconvnet_rules(network))
    return Picture(as_array(gradient), CHANNELS, "deconvnet projection of the class score")


@contextmanager
def _deconvnet_rules(network: nn.Module) -> Iterator[None]:
    with without_normalisation(network), gradient_rule("deconvnet"):
        yield


def integrated_gradients(
    network: nn.Module,
    images: Tensor,
    *,
    target: Target = None,
    baseline: float | Tensor = 0.0,
    steps: int = 50,
) -> Picture:
    """The gradient's mean on the way from ``baseline`` to the image, times the way.

    Sundararajan et al. 2017, arXiv:1703.01365, Eq. 3, with gradients taken at the middle of each of
    ``steps`` equal parts. ``baseline`` is a value or a tensor that broadcasts to the images; 0 is
    the mean colour. ``about`` gives the largest completeness gap of the images.
    """
    if steps < 1:
        raise UsageError(f"steps is {steps}; it must be a positive whole number")
    classes = predicted(network, images, target)
    start = filled(images, baseline)
    way = images.detach() - start
    total = torch.zeros_like(way)
    for step in range(steps):
        total += score_gradient(network, start + (step + 0.5) / steps * way, classes)
    picture = Picture(as_array(way * total / steps), CHANNELS, "")
    gap = completeness_gap(network, images, picture, target=classes, baseline=baseline)
    largest = float(np.abs(gap).max(initial=0))
    about = f"integrated gradients, {steps} steps; completeness gap {largest:.2g}"
    return Picture(picture.values, CHANNELS, about)


@torch.no_grad()
def completeness_gap(
    network: nn.Module,
    images: Tensor,
    picture: Picture,
    *,
    target: Target = None,
    baseline: float | Tensor = 0.0,
) -> np.ndarray:
    """Each image's change of score from the baseline, less the sum of its attributions: (batch,).

    It is 0 where an attribution is complete (Sundararajan et al. 2017, Proposition 1); for
    integrated gradients it falls with more steps.
    """
    classes = predicted(network, images, target)
    scores = score_of(class_logits(network, images), classes)
    scores = scores - score_of(class_logits(network, filled(images, baseline)), classes)
    gap: np.ndarray = as_array(scores) - picture.values.reshape(len(images), -1).sum(axis=1)
    return gap


def smooth_grad(
    network: nn.Module,
    images: Tensor,
    *,
    target: Target = None,
    noise: float = 0.15,
    samples: int = 25,
    seed: int = 0,
) -> Picture:
    """The mean gradient of ``samples`` noisy copies (Smilkov et al. 2017, arXiv:1706.03825).

    The noise is Gaussian; its deviation is the share ``noise`` of each image's range of values. The
    class is that of the image without noise. The paper uses 10 % to 20 %, and up to 50 samples.
    """
    if samples < 1 or noise < 0:
        raise UsageError(f"{samples} samples with a noise of {noise}: give at least 1 and 0")
    classes = predicted(network, images, target)
    clean = images.detach()
    deviation = noise * (clean.amax((1, 2, 3)) - clean.amin((1, 2, 3)))[:, None, None, None]
    draw = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(clean)
    for _ in range(samples):
        # One for all images, so that a picture does not depend on what else is in the batch.
        grain = torch.randn(clean.shape[1:], generator=draw).to(clean)
        total += score_gradient(network, clean + deviation * grain, classes)
    about = f"SmoothGrad: mean gradient of {samples} copies with {noise:.0%} noise"
    return Picture(as_array(total / samples), CHANNELS, about)


@torch.no_grad()
def occlusion(
    network: nn.Module,
    images: Tensor,
    *,
    target: Target = None,
    window: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: float | Tensor = 0.0,
    score: Literal["probability", "logit"] = "probability",
    batch_size: int = AT_ONCE,
    progress: Tracker | None = None,
) -> Picture:
    """How far the class score falls where a window is covered (Zeiler and Fergus 2013, Fig. 7).

    ``window`` (rows, columns), a quarter of the image by default, moves by ``stride``, by default
    half a window; the last in each direction may hang over the edge. A pixel has the mean of the
    windows that cover it. The score is the class's probability, as in the paper, or its logit.
    ``fill`` is what covers, 0 the mean colour, a value or a tensor that broadcasts to the images.
    ``progress`` is told how many of the windows are done.
    """
    if score not in SCORES:
        raise UnknownName("score", score, SCORES)
    scored = SCORES[score]
    classes = predicted(network, images, target)
    whole = scored(class_logits(network, images), classes)
    height, width = images.shape[-2:]
    rows, columns = _pair(window, (height, width), 4)
    down, right = _pair(stride, (rows, columns), 2)
    windows = list(product(_spans(height, rows, down), _spans(width, columns, right)))
    cover = filled(images, fill)
    total = whole.new_zeros(len(images), height, width)
    covering = whole.new_zeros(height, width)
    at_once = max(1, batch_size // max(1, len(images)))
    for start in range(0, len(windows), at_once):
        some = windows[start : start + at_once]
        copies = images.repeat(len(some), 1, 1, 1, 1)
        for copy, (y, x) in zip(copies, some, strict=True):
            copy[..., y, x] = cover[..., y, x]
        logits = class_logits(network, copies.flatten(0, 1))
        fall = whole - scored(logits, classes.repeat(len(some))).view(len(some), -1)
        for each, (y, x) in zip(fall, some, strict=True):
            total[:, y, x] += each[:, None, None]
            covering[y, x] += 1
        if progress is not None:
            progress(start + len(some), len(windows))
    about = f"occlusion: fall of the {score} under a {rows}x{columns} window"
    return Picture(as_array(total / covering), PIXELS, about)


def filled(images: Tensor, value: float | Tensor) -> Tensor:
    """What replaces the pixels of images: ``value`` in their shape."""
    given = torch.as_tensor(value, dtype=images.dtype, device=images.device).detach()
    try:
        return given.expand(images.shape)
    except RuntimeError as error:
        shapes = f"{tuple(given.shape)} does not broadcast to {tuple(images.shape)}"
        raise UsageError(f"a fill or baseline of shape {shapes}") from error


def _pair(given: int | tuple[int, int] | None, of: tuple[int, int], parts: int) -> tuple[int, int]:
    """Rows and columns as given, or a part of another pair."""
    if given is None:
        return ceil(of[0] / parts), ceil(of[1] / parts)
    return (given, given) if isinstance(given, int) else given


def _spans(side: int, window: int, stride: int) -> list[slice]:
    """The places of a window along a side, which together cover it."""
    if not 1 <= stride <= window <= side:
        raise UsageError(
            f"a window of {window} and a stride of {stride} on {side} pixels: "
            "the window must fit and the stride be no longer than it"
        )
    return [slice(start, start + window) for start in range(0, side - window + stride, stride)]
