"""Evaluate a network on a split: loss, accuracy, confusion, and where it is most wrong."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import NonFinite, TrainingFailed
from convnets.training.engine import Engine
from convnets.training.loop import Batches
from convnets.training.ranks import alone


@dataclass(frozen=True)
class Wrong:
    """A sample called ``predicted`` with this probability, though it is ``label``."""

    probability: float
    index: int
    label: int
    predicted: int


@dataclass(frozen=True)
class Evaluation:
    """Shares of correct samples, the mean cross-entropy, and ``confusion[label, predicted]``.

    ``top5`` is None where there are five classes or fewer. ``worst`` is ordered, most wrong first.
    """

    samples: int
    loss: float
    top1: float
    top5: float | None
    confusion: Tensor
    worst: tuple[Wrong, ...]


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Batches,
    engine: Engine,
    *,
    num_classes: int,
    worst: int = 0,
    between: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Run ``model`` in eval mode over ``batches``, each sample once, and leave its mode as it was.

    With several ranks each takes its part of every batch, and all return the same figures.
    ``between`` is called after each batch; what it raises ends it. Logits are taken as scores of a
    softmax, whatever loss the network was trained with.
    """
    was_training = model.training
    model.eval()
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    loss = top5 = samples = 0.0
    wrong: list[tuple[float, int, int, int]] = []
    try:
        for batch in engine.ranks.own(batches.epoch(0)):
            with engine.autocast():
                logits = _logits(model, batch.images)
            logits = logits.float()
            loss += F.cross_entropy(logits, batch.targets, reduction="sum").item()
            probability, predicted = logits.softmax(1).max(1)
            labels = batch.targets.cpu()
            called = predicted.cpu()
            confusion += torch.bincount(
                labels * num_classes + called, minlength=num_classes**2
            ).view(num_classes, num_classes)
            if num_classes > 5:
                best = logits.topk(5, dim=1).indices
                top5 += int((best == batch.targets[:, None]).any(1).sum())
            samples += len(labels)
            if worst:
                miss = called != labels
                columns = (probability.cpu(), -batch.indices.cpu(), labels, called)
                missed = zip(*(column[miss].tolist() for column in columns), strict=True)
                wrong = heapq.nlargest(worst, [*wrong, *missed])
            between()
    except torch.OutOfMemoryError as error:
        raise alone(
            TrainingFailed("out of memory while testing; use a smaller batch_size")
        ) from error
    finally:
        model.train(was_training)
    ranks = engine.ranks
    own = torch.tensor([loss, top5, samples], dtype=torch.float64)
    loss, top5, samples = (sum(column) for column in zip(*ranks.rows(own).tolist(), strict=True))
    confusion = ranks.summed(confusion)
    if not math.isfinite(loss):
        raise NonFinite(f"test loss is {loss}: the network's outputs are not numbers")
    if worst:
        everywhere = chain.from_iterable(ranks.gathered(wrong))
        wrong = heapq.nlargest(worst, map(tuple, everywhere))
    return Evaluation(
        samples=int(samples),
        loss=loss / max(samples, 1),
        top1=int(confusion.diagonal().sum()) / max(samples, 1),
        top5=top5 / max(samples, 1) if num_classes > 5 else None,
        confusion=confusion,
        worst=tuple(Wrong(p, -index, label, guess) for p, index, label, guess in wrong),
    )


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    """The network's answers; a rank without images takes its turn with a blank one."""
    if len(images):
        return model(images)  # type: ignore[no-any-return]
    return model(images.new_zeros(1, *images.shape[1:]))[:0]  # type: ignore[no-any-return]
