"""Pruning by magnitude, layer by layer (Han, Pool, Tran and Dally 2015, arXiv:1506.02626).

Weights near zero are taken out and the rest is trained again, in rounds (Section 3). A pruned
weight stays zero: while a network is trained, ``weight`` is its parameter under a mask.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from convnets.compress.layers import Layer, weighted_layers
from convnets.errors import UsageError

Dropout = nn.Dropout | nn.Dropout2d


class Kept(nn.Module):
    """A weight with zeros wherever ``mask`` is False."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        return weight.masked_fill(~self.mask, 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


def share_in_round(share: float, number: int, rounds: int) -> float:
    """Share kept after round ``number`` (from 1): each keeps the same part of the one before."""
    return float(share ** (number / rounds))


def largest(weight: Tensor, share: float) -> Tensor:
    """A mask of the ``share`` of elements that are largest in magnitude, one at the least."""
    count = max(1, round(share * weight.numel()))
    kept = weight.detach().abs().flatten().topk(count, sorted=False).indices
    mask = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[kept] = True
    return mask.view_as(weight)


def share_above(weight: Tensor, quality: float) -> float:
    """Share of elements beyond ``quality`` deviations of their layer: the paper's threshold."""
    return float((weight.abs() > quality * weight.std()).float().mean())


def prune(network: nn.Module, shares: Mapping[str, float]) -> None:
    """Keep the largest weights of each named layer, and hold the rest at zero in training.

    A layer whose share is 1 stays as it is. ``layers.settle`` ends it.
    """
    layers = weighted_layers(network)
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise UsageError(f"{name}: the share to keep is {share}; it is above 0 and at most 1")
        if share < 1:
            mask = largest(layers[name].weight, share)
            parametrize.register_parametrization(layers[name], "weight", Kept(mask))


def kept_share(layer: Layer) -> float:
    """Share of a layer's weights that are not zero."""
    return int(layer.weight.count_nonzero()) / layer.weight.numel()


@contextlib.contextmanager
def adjusted_dropout(network: nn.Module) -> Iterator[None]:
    """Within, dropout takes the rate D sqrt(C_r / C_o) for the layer that it feeds (Eq. 3).

    C_r and C_o are the connections that the layer has and had: the next convolution or linear
    layer, or the last one where none follows, in the order in which modules are registered.
    """
    waiting: list[Dropout] = []
    rates: dict[Dropout, float] = {}
    share = 1.0

    def adjust() -> None:
        for dropout in waiting:
            rates[dropout] = dropout.p
            dropout.p *= math.sqrt(share)
        waiting.clear()

    for module in network.modules():
        if isinstance(module, Dropout):
            waiting.append(module)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            share = kept_share(module)
            adjust()
    adjust()
    try:
        yield
    finally:
        for dropout, rate in rates.items():
            dropout.p = rate


@torch.no_grad()
def sensitivity(
    network: nn.Module, shares: Sequence[float], accuracy: Callable[[nn.Module], float]
) -> dict[str, list[float]]:
    """``accuracy(network)`` with one layer pruned to each of ``shares``, for every layer (Fig. 6).

    Nothing is trained in between, and the network is left as it was. What is chosen by it should
    not be measured on the images it was chosen on.
    """
    found: dict[str, list[float]] = {}
    for name, layer in weighted_layers(network).items():
        original = layer.weight.detach().clone()
        found[name] = []
        try:
            for share in shares:
                layer.weight.copy_(original.masked_fill(~largest(original, share), 0.0))
                found[name].append(accuracy(network))
        finally:
            layer.weight.copy_(original)
    return found
