"""Whether probabilities mean what they say, and one number that mends most of what they do not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 15
SHARPEST, FLATTEST = 100.0, 0.01
HALVINGS = 60


@dataclass(frozen=True)
class Bin:
    """The samples whose highest probability lies in one of the equal parts of (0, 1]."""

    samples: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Guo, Pleiss, Sun and Weinberger 2017 (arXiv:1706.04599).

    ``error`` is the expected calibration error (Eq. 3), in shares of 1, with its ``bins``.
    ``temperature`` divides logits (Section 4.2); ``error_scaled`` and ``loss_scaled`` are what is
    left with it, each sample scaled by the temperature that the other half of the samples asks for.
    """

    error: float
    bins: tuple[Bin, ...]
    temperature: float
    error_scaled: float
    loss: float
    loss_scaled: float

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return asdict(self)


def calibration(logits: Tensor, labels: Tensor) -> Calibration:
    """Measure the calibration of logits (n, classes), n at least 2, against labels (n,)."""
    logits = logits.double()
    scaled = torch.empty_like(logits)
    # Each half is scaled by what the other half says, so that no sample sets its own temperature.
    for part in (0, 1):
        scaled[part::2] = logits[part::2] / temperature(
            logits[1 - part :: 2], labels[1 - part :: 2]
        )
    error, bins = calibration_error(logits.softmax(1), labels)
    return Calibration(
        error=error,
        bins=bins,
        temperature=temperature(logits, labels),
        error_scaled=calibration_error(scaled.softmax(1), labels)[0],
        loss=F.cross_entropy(logits, labels).item(),
        loss_scaled=F.cross_entropy(scaled, labels).item(),
    )


def calibration_error(
    probabilities: Tensor, labels: Tensor, bins: int = BINS
) -> tuple[float, tuple[Bin, ...]]:
    """Expected calibration error (Eq. 3) of probabilities (n, classes), and its bins in order."""
    confidence, predicted = probabilities.max(1)
    correct = (predicted == labels).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    counts = torch.bincount(place, minlength=bins)
    sums = [torch.bincount(place, of.double(), minlength=bins) for of in (confidence, correct)]
    means = [total / counts.clamp(min=1) for total in sums]
    error = (counts * (means[0] - means[1]).abs()).sum() / len(labels)
    columns = (counts.tolist(), means[0].tolist(), means[1].tolist())
    return error.item(), tuple(Bin(*row) for row in zip(*columns, strict=True))


def temperature(logits: Tensor, labels: Tensor) -> float:
    """What logits (n, classes) are to be divided by for the least cross-entropy.

    The cross-entropy is convex in the inverse of the temperature: its slope, the mean of the
    expected logit less the true class's, is halved in on from ``FLATTEST`` to ``SHARPEST``.
    """
    logits = logits.double()
    true = logits.gather(1, labels[:, None]).squeeze(1)
    low, high = FLATTEST, SHARPEST
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        expected = ((logits * middle).softmax(1) * logits).sum(1)
        low, high = (low, middle) if (expected - true).mean() > 0 else (middle, high)
    return 1 / middle
