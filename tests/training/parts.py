"""A run on several ranks: each rank's part of fixed batches, and all that the run ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.training.checkpoints import load_checkpoint
from convnets.training.loop import steps
from convnets.training.objective import Objective, Part, make_objective
from convnets.training.ranks import Ranks
from convnets.training.settings import Cosine, Optimisation, OptimizerSetting
from convnets.training.state import TrainingState, capture, restore
from tests.training.pocket import CPU, FixedBatch, FixedBatches, settings

COUNT = 20


@dataclass(frozen=True)
class PartBatch(FixedBatch):
    whole: int = 0

    @property
    def total(self) -> int:
        return self.whole


class Parts(FixedBatches):
    """Each rank's part of the batches of one."""

    def __init__(self, ranks: Ranks, samples: int = 40, kind: torch.dtype = torch.float32) -> None:
        super().__init__(samples)
        self.ranks, self.images = ranks, self.images.to(kind)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FixedBatch]:
        for batch in super().epoch(epoch, start):
            count, (rank, world) = len(batch.targets), (self.ranks.rank, self.ranks.world)
            own = slice(count * rank // world, count * (rank + 1) // world)
            yield PartBatch(batch.images[own], batch.targets[own], batch.indices[own], whole=count)


class Exact(Objective):
    """Cross-entropy in the logits' own precision."""

    def loss(self, logits: Tensor, others: dict[str, Tensor], part: Part) -> Tensor:
        return F.cross_entropy(logits, part.targets)


def trained(
    ranks: Ranks,
    network: Callable[[], nn.Module],
    chosen: Optimisation,
    *,
    sharded: bool = False,
    samples: int = 40,
    kind: torch.dtype = torch.float32,
    count: int = COUNT,
    saved: Path | None = None,
) -> tuple[TrainingState, list[float]]:
    """A run's state and losses after ``count`` steps from the start, or from what was saved."""
    torch.manual_seed(1)
    engine = replace(CPU, ranks=ranks, sharded=sharded and ranks.world > 1)
    state = TrainingState(network().to(kind), chosen, engine)
    batches = Parts(ranks, samples, kind)
    objective = make_objective(state.model, chosen)
    if kind == torch.float64:
        objective = Exact(objective.criterion)
    if saved is not None:
        tensors, content = load_checkpoint(saved)
        restore(state, tensors, content["progress"])
    losses: list[float] = []
    while state.progress.step < count:
        for report in steps(state, batches, chosen, engine, objective):
            losses.append(report.loss)
            if report.step == count:
                break
    return state, losses


def floats(state: TrainingState) -> dict[str, Tensor]:
    """All that a run remembers in numbers, copied."""
    tensors, _ = capture(state)
    return {n: v.clone() for n, v in tensors.items() if not n.startswith("random.")}


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of any two numbers."""
    assert one.keys() == other.keys()
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one)


def settled(optimizer: OptimizerSetting, **changes: object) -> Optimisation:
    return settings(optimizer=optimizer, schedule=Cosine(warmup=0.1), ema_decay=0.9, **changes)
