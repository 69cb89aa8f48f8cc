"""The learning rate as a function of the step, and of the losses so far for the plateau rule."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convnets.training.settings import (
    Constant,
    Cosine,
    Exponential,
    Optimisation,
    Plateau,
    ScheduleSetting,
    Steps,
)


def learning_rate(
    settings: Optimisation, step: int, total_steps: int, epoch_losses: Sequence[float]
) -> float:
    """The learning rate of ``step`` (from 0), after the epochs whose losses are given."""
    share = rate_share(settings.schedule, step, total_steps, epoch_losses)
    return settings.optimizer.lr * share


def rate_share(
    schedule: ScheduleSetting, step: int, total_steps: int, epoch_losses: Sequence[float] = ()
) -> float:
    """Share of the full learning rate at ``step`` (from 0) of ``total_steps``.

    ``epoch_losses`` are the mean training losses of the epochs behind; only the plateau rule
    looks at them.
    """
    warmup_steps = schedule.warmup * total_steps
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    match schedule:
        case Constant():
            return 1.0
        case Cosine(final=final):
            progress = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
            return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
        case Steps(milestones=milestones, factor=factor, rates=rates):
            passed = sum(step >= share * total_steps for share in milestones)
            return float(factor**passed) if rates is None else (1.0, *rates)[passed]
        case Exponential(factor=factor, every=every):
            # 1e-9: a step at the very end of a stretch is past it, however its share is rounded.
            return float(factor ** math.floor(step / (every * total_steps) + 1e-9))
        case Plateau(factor=factor):
            return float(factor ** drops(schedule, epoch_losses))


def drops(schedule: Plateau, epoch_losses: Sequence[float]) -> int:
    """How many times a plateau has been reached; the count of idle epochs restarts at each."""
    best, idle, count = math.inf, 0, 0
    for loss in epoch_losses:
        if loss < best * (1 - schedule.threshold):
            best, idle = loss, 0
        else:
            idle += 1
        if idle > schedule.patience:
            count, idle = count + 1, 0
    return count
