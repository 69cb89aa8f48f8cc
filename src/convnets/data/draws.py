"""Random numbers that are functions of (seed, epoch, sample): no state, any order, any device.

SplitMix64 (Steele, Lea and Flood 2014) as a counter-based hash in 64-bit integer arithmetic, which
wraps in the same way on a CPU and on an accelerator.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor


class Draw(IntEnum):
    """What a number is for; each purpose has numbers of its own."""

    ORDER = 0
    TOP = 1
    LEFT = 2
    FLIP = 3


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX1 = _signed(0xBF58476D1CE4E5B9)
_MIX2 = _signed(0x94D049BB133111EB)


def _shifted(bits: Tensor, count: int) -> Tensor:
    """Logical shift to the right; torch's own copies the sign."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def _mixed(bits: Tensor) -> Tensor:
    bits = (bits ^ _shifted(bits, 30)) * _MIX1
    bits = (bits ^ _shifted(bits, 27)) * _MIX2
    return bits ^ _shifted(bits, 31)


def hashed(seed: int, epoch: int, purpose: Draw, samples: Tensor) -> Tensor:
    """64 random bits for each of ``samples`` (int64), as int64 of the same shape."""
    key = torch.zeros((), dtype=torch.int64, device=samples.device)
    for part in (seed, epoch, int(purpose)):
        key = _mixed(key + _GOLDEN + part)
    return _mixed(key + (samples + 1) * _GOLDEN)


def drawn(seed: int, epoch: int, purpose: Draw, samples: Tensor, bound: int) -> Tensor:
    """A whole number from 0 to ``bound`` - 1 for each of ``samples``, int64."""
    return (_shifted(hashed(seed, epoch, purpose, samples), 33) * bound) >> 31


def permutation(seed: int, epoch: int, count: int, device: torch.device) -> Tensor:
    """The order of an epoch's ``count`` samples, int64."""
    samples = torch.arange(count, device=device)
    return torch.argsort(hashed(seed, epoch, Draw.ORDER, samples), stable=True)
