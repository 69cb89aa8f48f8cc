"""A data set as a network sees it: features, their picture in the plane, and nearest neighbours.

The features are what the classifier works on. That they serve other data sets too is what
Simonyan and Zisserman showed for VGG (2014, Appendix B). The picture is by principal components, or
by t-SNE (van der Maaten and Hinton 2008, Journal of Machine Learning Research 9:2579-2605), exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from operator import length_hint
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.visualize.arrays import Picture, Tracker, as_array
from convnets.visualize.layers import (
    SomeImages,
    as_maps,
    evaluating,
    images_of,
    layer_maps,
)

Metric = Literal["euclidean", "cosine"]
METRICS = ("euclidean", "cosine")
ROWS = 512
LARGEST_TSNE = 10_000


@torch.no_grad()
def embed(
    network: nn.Module,
    batches: Iterable[SomeImages],
    layer: str | None = None,
    *,
    progress: Tracker | None = None,
) -> Picture:
    """The features of every image, axes image and channel, in the order of the batches.

    Without ``layer`` they are the input of the last linear layer or convolution that runs, which is
    the classifier in every network of one output. With it they are that layer's output. A map is
    averaged over its places. ``batches`` are taken one at a time.
    """
    last: str | None = None
    features = []
    total = length_hint(batches)
    for done, batch in enumerate(batches, start=1):
        images = images_of(batch, network)
        if layer is not None:
            maps = layer_maps(network, images, layer)
        else:
            last = last or classifier(network, images[:1])
            maps = _input_of(network, images, last)
        features.append(as_array(maps.mean((2, 3))))
        if progress is not None:
            progress(done, total)
    if not features:
        raise UsageError("there are no images")
    about = f"features at {layer}" if layer else f"features at the input of {last}"
    return Picture(np.concatenate(features), ("image", "channel"), about)


@torch.no_grad()
def classifier(network: nn.Module, images: Tensor) -> str:
    """The path of the linear layer or convolution that is the last to run."""
    ran: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    try:
        with evaluating(network):
            network(images.clone())
    finally:
        for hook in hooks:
            hook.remove()
    if not ran:
        raise UsageError("no linear layer or convolution runs; name the layer")
    return ran[-1]


def _input_of(network: nn.Module, images: Tensor, layer: str) -> Tensor:
    module = network.get_submodule(layer)
    taken: list[Tensor] = []

    def keep(_module: nn.Module, inputs: Any) -> None:
        # A copy, since the layers that follow may write over it.
        taken[:] = [inputs[0].clone()]

    hook = module.register_forward_pre_hook(keep)
    try:
        with evaluating(network):
            network(images.clone())
    finally:
        hook.remove()
    return as_maps(taken[0], layer, channels_last=isinstance(module, nn.Linear))


def project(
    features: Picture | ArrayLike,
    how: Literal["pca", "tsne"] = "pca",
    *,
    perplexity: float = 30.0,
    steps: int = 1000,
    seed: int = 0,
    progress: Tracker | None = None,
) -> Picture:
    """Features (images, channels) as points in the plane: axes image and channel, two of them.

    ``perplexity``, ``steps``, ``seed`` and ``progress`` are t-SNE's; see ``tsne``. Raises
    ``UnknownName`` for another ``how``.
    """
    points = _matrix(features)
    if how == "pca":
        plane, shares = principal_components(points, 2)
        about = "principal components, {:.0%} and {:.0%} of the variance".format(*shares.tolist())
    elif how == "tsne":
        plane = tsne(points, perplexity=perplexity, steps=steps, seed=seed, progress=progress)
        about = f"t-SNE, perplexity {perplexity:g}; neighbours mean something, distances do not"
    else:
        raise UnknownName("projection", how, ("pca", "tsne"))
    return Picture(as_array(plane), ("image", "channel"), about)


def principal_components(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Coordinates (points, count) along the principal components, and their shares of the variance.

    By singular value decomposition. A component's sign is that which makes its largest loading
    positive.
    """
    if count > min(points.shape):
        raise UsageError(f"{tuple(points.shape)} features have fewer than {count} components")
    centred = points - points.mean(0)
    left, lengths, loadings = torch.linalg.svd(centred, full_matrices=False)
    largest = loadings.abs().argmax(1, keepdim=True)
    coordinates = left * lengths * loadings.gather(1, largest).sign().T
    variances = lengths.square()
    return coordinates[:, :count], (variances / variances.sum())[:count]


def tsne(
    points: Tensor,
    *,
    perplexity: float = 30.0,
    steps: int = 1000,
    seed: int = 0,
    progress: Tracker | None = None,
) -> Tensor:
    """Points (n, channels) in the plane, (n, 2), by exact t-SNE (Algorithm 1).

    Time and memory go with n^2; it is meant for up to about 5,000 points and takes 10,000 at most.
    Momentum, gains and start are the paper's. The early exaggeration of 12 is van der Maaten's of
    2014, for a quarter of the steps, and the rate of n / 48, at least 50, Belkina et al.'s (2019).
    """
    if not 2 < len(points) <= LARGEST_TSNE:
        raise UsageError(f"t-SNE takes 3 to {LARGEST_TSNE} points; there are {len(points)}")
    exaggeration, exaggerated_steps = 12, steps // 4
    rate = max(len(points) / (4 * exaggeration), 50)
    together = joint_probabilities(points, perplexity).float()
    together *= exaggeration
    draw = torch.Generator().manual_seed(seed)
    plane = 1e-2 * torch.randn(len(points), 2, generator=draw)
    velocity, gains = torch.zeros_like(plane), torch.ones_like(plane)
    for step in range(steps):
        if step == exaggerated_steps:
            together /= exaggeration
        gradient = tsne_gradient(together, plane)
        turned = gradient.sign() == velocity.sign()
        gains = torch.where(turned, gains * 0.8, gains + 0.2).clamp_(min=0.01)
        momentum = 0.5 if step < exaggerated_steps else 0.8
        velocity = momentum * velocity - rate * gains * gradient
        plane = plane + velocity
        plane -= plane.mean(0)
        if progress is not None:
            progress(step + 1, steps)
    return plane


def joint_probabilities(points: Tensor, perplexity: float) -> Tensor:
    """How likely two points are neighbours (n, n), p_ij = (p_j|i + p_i|j) / 2n (Section 3.1)."""
    if not 1 < perplexity < len(points) - 1:
        raise UsageError(
            f"perplexity is {perplexity}; with {len(points)} points it must be "
            f"between 1 and {len(points) - 1}"
        )
    centred = points - points.mean(0)  # for smaller numbers, and less rounding
    rows = range(0, len(points), ROWS)
    given = torch.cat([conditional_probabilities(centred, start, perplexity) for start in rows])
    return (given + given.T) / (2 * len(points))


def conditional_probabilities(points: Tensor, start: int, perplexity: float) -> Tensor:
    """p_j|i (Eq. 1) for up to 512 points i from ``start`` on, each row of the given perplexity.

    The precision of each row's Gaussian is found by bisection: the entropy falls as it grows.
    Where more points are equal than ``perplexity`` counts, they share the row evenly.
    """
    squares = torch.cdist(points[start : start + ROWS], points).square_()
    itself = torch.arange(len(squares)), torch.arange(start, start + len(squares))
    squares[itself] = torch.inf
    squares -= squares.amin(1, keepdim=True)  # changes no ratio, and keeps exp from vanishing
    squares[itself] = 0
    squares /= squares.mean(1, keepdim=True).clamp_min(torch.finfo(squares.dtype).tiny)

    low, high = (torch.full((len(squares), 1), power, dtype=squares.dtype) for power in (-20, 20))
    for _ in range(40):
        middle = (low + high) / 2
        weights = torch.exp(-squares * middle.exp())
        weights[itself] = 0
        total = weights.sum(1, keepdim=True)
        entropy = total.log() + middle.exp() * (weights * squares).sum(1, keepdim=True) / total
        too_wide = entropy > log(perplexity)
        low, high = torch.where(too_wide, middle, low), torch.where(too_wide, high, middle)
    return weights / total


def tsne_gradient(together: Tensor, plane: Tensor) -> Tensor:
    """The gradient (n, 2) of the Kullback-Leibler divergence in the points' places (Eq. 5).

    q_ij of Eq. 4 is the share of 1 / (1 + squared distance) in the sum over all pairs.
    """
    distance = torch.cdist(plane, plane, compute_mode="donot_use_mm_for_euclid_dist")
    near = distance.square_().add_(1).reciprocal_().fill_diagonal_(0)
    total = near.sum().item()
    # (p - near / total) near, with as few new matrices as can be.
    forces = (together * near).sub_(near.square_(), alpha=1 / total)
    return 4 * (forces.sum(1, keepdim=True) * plane - forces @ plane)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each query its neighbours from the nearest on: which images, and how far (queries, k)."""

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]


def nearest(
    features: Picture | ArrayLike,
    queries: Picture | ArrayLike | None = None,
    k: int = 5,
    metric: Metric = "euclidean",
) -> Neighbours:
    """The ``k`` images whose features (images, channels) lie nearest to each query's.

    Without ``queries`` every image asks, and does not find itself. The cosine metric is 1 less the
    cosine of the angle. Raises ``UsageError`` where there are fewer than ``k`` to find.
    """
    if metric not in METRICS:
        raise UnknownName("metric", metric, METRICS)
    known = _matrix(features)
    asking = known if queries is None else _matrix(queries)
    there = len(known) - (queries is None)
    if not 1 <= k <= there:
        raise UsageError(f"k is {k}; there are {there} neighbours to find")
    if asking.shape[1] != known.shape[1]:
        raise UsageError(f"queries have {asking.shape[1]} channels, features {known.shape[1]}")
    if metric == "cosine":
        known, asking = F.normalize(known), F.normalize(asking)
    distances, indices = [], []
    for start in range(0, len(asking), ROWS):
        part = asking[start : start + ROWS]
        away = 1 - part @ known.T if metric == "cosine" else torch.cdist(part, known)
        if queries is None:
            away[torch.arange(len(part)), torch.arange(start, start + len(part))] = torch.inf
        found = away.topk(k, largest=False)
        distances.append(found.values.numpy())
        indices.append(found.indices.numpy())
    return Neighbours(np.concatenate(indices), np.concatenate(distances))


def leave_one_out(
    features: Picture | ArrayLike, labels: ArrayLike, k: int = 5, metric: Metric = "euclidean"
) -> float:
    """The share of images whose class is that of most of their ``k`` nearest other images.

    ``labels`` (images,) are class indices. Among classes with as many votes it is the one with the
    nearest image.
    """
    classes = np.asarray(labels)
    near = classes[nearest(features, None, k, metric).indices]
    votes = (near[:, :, None] == near[:, None, :]).sum(2)
    elected = near[np.arange(len(near)), votes.argmax(1)]
    return float((elected == classes).mean())


def _matrix(features: Picture | ArrayLike) -> Tensor:
    """Features as (images, channels) in double precision; raises ``UsageError`` for others."""
    values = features.values if isinstance(features, Picture) else features
    matrix = torch.from_numpy(np.array(values, dtype=np.float64))
    if matrix.ndim != 2 or not matrix.numel():
        raise UsageError(f"features have shape {tuple(matrix.shape)}, not (images, channels)")
    if not matrix.isfinite().all():
        row = int((~matrix.isfinite()).any(1).nonzero()[0])
        raise UsageError(f"the features of image {row} are not finite")
    return matrix
