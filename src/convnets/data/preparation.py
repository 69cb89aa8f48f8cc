"""What a split's batches are to be, and what one epoch of them is: its order and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from convnets.data.augment import Augmentation, weakened
from convnets.data.draws import Draws, balanced, permutation, repeated
from convnets.data.lighting import Lighting

Sampling = Literal["balanced", "repeated"]


@dataclass(frozen=True, eq=False)
class Preparation:
    """What a split's batches are to be; see ``make_batches``."""

    size: int
    batch_size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    device: torch.device
    seed: int
    augmentation: Augmentation
    training: bool
    channels_last: bool
    rank: int
    world: int
    sampling: Sampling | None
    lighting: Lighting | None


@dataclass(frozen=True, eq=False)
class Epoch:
    """An epoch's ``order`` (n,) int64, its random numbers position by position, and its stage."""

    order: Tensor
    draws: Draws
    settings: Augmentation
    size: int


def own_parts(plan: Preparation, samples: int) -> tuple[list[slice], list[int]]:
    """This rank's part of each batch of an epoch's order, and the batches' sizes over all ranks.

    Where images are mixed, in pairs, parts begin at even positions.
    """
    starts = list(range(0, samples, plan.batch_size))
    least = 2 if plan.training else plan.world
    if len(starts) > 1 and samples - starts[-1] < least:
        starts.pop()
    unit = 2 if plan.augmentation.mixes else 1
    parts, totals = [], []
    for start, end in zip(starts, [*starts[1:], samples], strict=True):
        units = -(-(end - start) // unit)
        first, last = (start + unit * (units * i // plan.world) for i in (plan.rank, plan.rank + 1))
        parts.append(slice(first, min(last, end)))
        totals.append(end - start)
    return parts, totals


def begun(plan: Preparation, labels: Tensor, epoch: int, size: int, strength: float) -> Epoch:
    """Draw the order of an epoch of samples with ``labels`` (n,); see ``Batches.stage``."""
    order = numbers = torch.arange(len(labels), device=plan.device)
    # A sample that may come twice is to be varied anew: what is drawn is of its position.
    if plan.sampling == "balanced":
        order = balanced(plan.seed, epoch, labels)
    elif plan.sampling == "repeated":
        order = repeated(plan.seed, epoch, len(labels), plan.batch_size, plan.device)
    elif plan.training:
        order = numbers = permutation(plan.seed, epoch, len(labels), plan.device)
    settings = weakened(plan.augmentation, strength)
    return Epoch(order, Draws(plan.seed, epoch, numbers), settings, size)
