"""Weight sharing: a layer's weights become a few values, which are then trained.

Han, Mao and Dally 2015 (arXiv:1510.00149), Section 3: one-dimensional k-means finds the values, and
the gradient of each is the sum of the gradients of the weights that share it (Eq. 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from convnets.compress.coding import MOST_VALUES
from convnets.compress.layers import weighted_layers
from convnets.errors import UsageError

Start = Literal["linear", "density", "forgy"]
WIDEST = MOST_VALUES.bit_length() - 1
ITERATIONS = 1000


class Shared(nn.Module):
    """A weight made of shared values: ``parametrizations.weight.original`` holds the centroids.

    ``positions`` are the flat places of the weights that are kept, ``codes`` the centroid of each.
    """

    positions: Tensor
    codes: Tensor

    def __init__(self, shape: torch.Size, positions: Tensor, codes: Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("positions", positions)
        self.register_buffer("codes", codes)

    def forward(self, centroids: Tensor) -> Tensor:
        values = centroids.index_select(0, self.codes)
        if len(values) < self.shape.numel():
            values = values.new_zeros(self.shape.numel()).index_copy(0, self.positions, values)
        return values.view(self.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The mean of each centroid's weights."""
        values = weight.flatten()[self.positions].double()
        sums = torch.zeros(int(self.codes.max()) + 1, dtype=torch.float64, device=weight.device)
        sums.index_add_(0, self.codes, values)
        return (sums / torch.bincount(self.codes)).to(weight)


def share_weights(
    network: nn.Module,
    bits: Mapping[str, int],
    *,
    start: Start = "linear",
    seed: int = 0,
) -> None:
    """Let the weights of each named layer that are not zero share ``2^bits`` values at most.

    In training the values are the parameters. ``layers.settle`` ends it.
    """
    layers = weighted_layers(network)
    for name, width in bits.items():
        if not 1 <= width <= WIDEST:
            raise UsageError(f"{name}: {width} bits a weight; it is from 1 to {WIDEST}")
        weight = layers[name].weight.detach()
        positions = weight.flatten().nonzero().squeeze(1)
        if not len(positions):
            continue
        values = weight.flatten()[positions].cpu().double().numpy()
        codes = nearest(values, k_means(values, 1 << width, start=start, seed=seed))
        used = torch.from_numpy(np.unique(codes, return_inverse=True)[1]).to(weight.device)
        shared = Shared(weight.shape, positions, used)
        parametrize.register_parametrization(layers[name], "weight", shared)


def k_means(
    values: np.ndarray, count: int, *, start: Start = "linear", seed: int = 0
) -> np.ndarray:
    """``count`` centroids of values (n,), rising, after Lloyd's iterations to the end (Eq. 2).

    A centroid that no value is nearest to stays where it is.
    """
    rising = np.sort(values)
    sums = np.concatenate(([0.0], np.cumsum(rising)))
    centroids = first_centroids(rising, count, start, seed)
    ends = np.empty(0)
    for _ in range(ITERATIONS):
        middles = (centroids[:-1] + centroids[1:]) / 2
        before, ends = ends, np.searchsorted(rising, middles)
        if np.array_equal(before, ends):
            break
        bounds = np.concatenate(([0], ends, [len(rising)]))
        sizes = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(sizes, 1)
        centroids = np.sort(np.where(sizes > 0, means, centroids))
    return centroids


def first_centroids(rising: np.ndarray, count: int, start: Start, seed: int) -> np.ndarray:
    """Where k-means starts (Section 3.2): values drawn at random, or spaced evenly.

    ``linear`` spaces them between the smallest and the largest value, ``density`` along the
    cumulative distribution. The paper finds linear best: it gives large weights, which are few and
    count most, values of their own.
    """
    match start:
        case "linear":
            return np.linspace(rising[0], rising[-1], count)
        case "density":
            quantiles: np.ndarray = np.quantile(rising, (np.arange(count) + 0.5) / count)
            return quantiles
        case "forgy":
            draw = np.random.default_rng(seed)
            return np.sort(draw.choice(rising, count, replace=count > len(rising)))


def nearest(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The number of the centroid nearest to each value."""
    return np.searchsorted((centroids[:-1] + centroids[1:]) / 2, values)
