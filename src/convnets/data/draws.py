"""Random numbers that are functions of (seed, epoch, sample): no state, any order, any device.

SplitMix64 (Steele, Lea and Flood 2014) as a counter-based hash in 64-bit integer arithmetic, which
wraps in the same way on a CPU and on an accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import torch
from torch import Tensor

REPEATS = 3
"""How often repeated augmentation shows an image in a batch."""


class Draw(IntEnum):
    """What a number is for; each purpose has numbers of its own."""

    ORDER = 0
    TOP = 1
    LEFT = 2
    FLIP = 3
    CROP_AREA = 4
    CROP_SHAPE = 5
    SCALE = 6
    OPERATION = 7
    OPERATION_USED = 8
    MAGNITUDE = 9
    SIGN = 10
    JITTER = 11
    JITTER_ORDER = 12
    LIGHTING = 13
    ERASED = 14
    ERASED_AREA = 15
    ERASED_SHAPE = 16
    ERASED_TOP = 17
    ERASED_LEFT = 18
    ERASED_PIXEL = 19
    CUTOUT_TOP = 20
    CUTOUT_LEFT = 21
    MIXED = 22
    MIXED_HOW = 23
    SHARE = 24
    CUT_TOP = 25
    CUT_LEFT = 26
    CLASS = 27
    MEMBER = 28


_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX1 = 0xBF58476D1CE4E5B9
_MIX2 = 0x94D049BB133111EB
_NORMAL_BITS = 16


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _shifted(bits: Tensor, count: int) -> Tensor:
    """Logical shift to the right; torch's own copies the sign."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def _mixed(bits: Tensor) -> Tensor:
    bits = (bits ^ _shifted(bits, 30)) * _signed(_MIX1)
    bits = (bits ^ _shifted(bits, 27)) * _signed(_MIX2)
    return bits ^ _shifted(bits, 31)


def _next_key(key: int, part: int) -> int:
    """``_mixed`` of one number in Python's integers, which cost less than a tensor of one."""
    bits = (key + _GOLDEN + part) & _MASK
    bits = ((bits ^ (bits >> 30)) * _MIX1) & _MASK
    bits = ((bits ^ (bits >> 27)) * _MIX2) & _MASK
    return bits ^ (bits >> 31)


def hashed(
    seed: int, epoch: int, purpose: Draw, samples: Tensor, parts: int | None = None
) -> Tensor:
    """64 random bits for each of ``samples`` (int64), as int64 of the same shape.

    Where one purpose needs several numbers a sample, ``parts`` says how many: (parts, *shape).
    """
    key = 0
    for part in (seed, epoch, int(purpose)):
        key = _next_key(key, part)
    counted = (samples + 1) * _signed(_GOLDEN)
    if parts is None:
        return _mixed(counted + _signed(key))
    keys = [_signed(_next_key(key, part)) for part in range(parts)]
    column = torch.tensor(keys, device=samples.device).view(-1, *[1] * samples.ndim)
    return _mixed(counted + column)


def drawn(
    seed: int,
    epoch: int,
    purpose: Draw,
    samples: Tensor,
    bound: int | Tensor,
    parts: int | None = None,
) -> Tensor:
    """A whole number from 0 to ``bound`` - 1 for each of ``samples``, int64."""
    return (_shifted(hashed(seed, epoch, purpose, samples, parts), 33) * bound) >> 31


@dataclass(frozen=True, eq=False)
class Draws:
    """All random numbers of some samples, (n,) int64, in one epoch of one seed.

    Each method gives (n,), or (parts, n) where ``parts`` is given; see ``hashed``.
    """

    seed: int
    epoch: int
    samples: Tensor

    def __getitem__(self, part: slice) -> Draws:
        return Draws(self.seed, self.epoch, self.samples[part])

    def bits(self, purpose: Draw, parts: int | None = None) -> Tensor:
        """64 random bits, int64."""
        return hashed(self.seed, self.epoch, purpose, self.samples, parts)

    def whole(self, purpose: Draw, bound: int | Tensor, parts: int | None = None) -> Tensor:
        """A whole number from 0 to ``bound`` - 1, int64."""
        return drawn(self.seed, self.epoch, purpose, self.samples, bound, parts)

    def uniform(self, purpose: Draw, parts: int | None = None) -> Tensor:
        """From 0 to 1, without 1, float64."""
        return _shifted(self.bits(purpose, parts), 11).double() * 2.0**-53

    def between(self, purpose: Draw, ends: tuple[float, float], parts: int | None = None) -> Tensor:
        """Evenly from ``ends[0]`` to ``ends[1]``, float64."""
        return ends[0] + self.uniform(purpose, parts) * (ends[1] - ends[0])

    def normal(self, purpose: Draw, parts: int | None = None) -> Tensor:
        """Of mean 0 and deviation 1, float32."""
        return normals(self.bits(purpose, parts), 1)[..., 0]


def normals(bits: Tensor, count: int) -> Tensor:
    """``count`` (at most 4) normally distributed numbers from each 64 bits: (*shape, count).

    Each is one of 65,536 quantiles, looked up: a logarithm's last bit may depend on where in a
    vector it is taken, and with it on the batch.
    """
    shifts = torch.arange(48, 48 - _NORMAL_BITS * count, -_NORMAL_BITS, device=bits.device)
    return _quantiles(bits.device).take((bits[..., None] >> shifts) & ((1 << _NORMAL_BITS) - 1))


@cache
def _quantiles(device: torch.device) -> Tensor:
    count = 1 << _NORMAL_BITS
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    quantiles: Tensor = torch.special.ndtri(shares)
    return quantiles.float().to(device)


def permutation(seed: int, epoch: int, count: int, device: torch.device) -> Tensor:
    """The order of an epoch's ``count`` samples, int64."""
    samples = torch.arange(count, device=device)
    return torch.argsort(hashed(seed, epoch, Draw.ORDER, samples), stable=True)


def repeated(seed: int, epoch: int, count: int, batch_size: int, device: torch.device) -> Tensor:
    """An epoch of ``count`` positions that shows a third of the samples, each three times.

    Repeated augmentation (Hoffer et al. 2020; Berman et al. 2019): the three, each varied anew, are
    of one batch, a third of it apart, so that mixing does not pair an image with itself.
    """
    positions = torch.arange(count, device=device)
    distinct = -(-batch_size // REPEATS)
    places = positions // batch_size * distinct + positions % batch_size % distinct
    return permutation(seed, epoch, count, device)[places]


def balanced(seed: int, epoch: int, labels: Tensor) -> Tensor:
    """An epoch of as many samples as ``labels`` (n,), each of any class with equal chances.

    A class is drawn for each position, and one of its samples, with replacement. Classes without
    a sample are left out.
    """
    positions = torch.arange(len(labels), device=labels.device)
    counts = torch.bincount(labels)
    counts = counts[counts > 0]
    chosen = drawn(seed, epoch, Draw.CLASS, positions, len(counts))
    member = drawn(seed, epoch, Draw.MEMBER, positions, counts[chosen])
    first = counts.cumsum(0) - counts
    return labels.argsort(stable=True).take(first[chosen] + member)
