"""The training loop: a generator of steps. What it does not do, the caller does between them."""

from __future__ import annotations

import functools
import math
import operator
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

import torch

from convnets.errors import NonFinite
from convnets.training.averaging import update_average
from convnets.training.engine import Engine
from convnets.training.gradients import Batch as Batch
from convnets.training.gradients import gradient_norm, gradients
from convnets.training.objective import Objective, make_objective
from convnets.training.ranks import Ranks
from convnets.training.regularisation import enter_training
from convnets.training.schedules import learning_rate
from convnets.training.settings import Optimisation
from convnets.training.spread import RunningStatistics
from convnets.training.state import TrainingState


class Batches(Protocol):
    """A source of batches whose order is a function of the epoch alone."""

    @property
    def steps(self) -> int: ...
    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class StepReport:
    """What one optimization step did; ``step`` counts from 1.

    ``heard`` is what the ranks had to say at it, each a whole number, bit by bit.
    """

    step: int
    epoch: int
    samples: int
    loss: float
    learning_rate: float
    gradient_norm: float
    heard: int = 0

    def line(self) -> dict[str, int | float]:
        """The step as a log has it."""
        content = asdict(self)
        del content["heard"]
        return content


def steps(
    state: TrainingState,
    batches: Batches,
    settings: Optimisation,
    engine: Engine,
    objective: Objective | None = None,
    say: Callable[[], int] = lambda: 0,
) -> Iterator[StepReport]:
    """Train to the end of the current epoch, one yield a step; ``state`` is whole at each yield.

    ``objective`` is what is minimised where it is not the settings' own. What ``say`` returns on
    one rank all ranks hear in that step's report. Raises ``NonFinite``, on all ranks together,
    before a step that would spoil the weights.
    """
    progress = state.progress
    epoch, position = divmod(progress.step, batches.steps)
    objective = objective or make_objective(state.model, settings)
    parameters = [p for p in state.model.parameters() if p.requires_grad]
    total = settings.epochs * batches.steps
    world = engine.ranks.world
    progress.split = -(-progress.split // world) * world
    enter_training(state.model)
    statistics = RunningStatistics(state.model, engine.ranks)
    begun = time.monotonic()
    for batch in engine.ranks.own(batches.epoch(epoch, position)):
        rate = learning_rate(settings, progress.step, total, progress.epoch_losses)
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        loss = gradients(state, objective, batch, engine, statistics)
        norm = gradient_norm(parameters)
        words = torch.stack((loss, norm.to(loss), loss.new_tensor(say())))
        heard = engine.ranks.rows(words).tolist()
        loss_value, norm_value = sum(row[0] for row in heard), heard[0][1]
        if not math.isfinite(loss_value + norm_value):
            losses = [row[0] for row in heard]
            raise not_finite(losses, norm_value, progress.step + 1, rate, batch, engine.ranks)
        if settings.clip_norm and norm_value > settings.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(parameters, settings.clip_norm, norm)
        state.optimizer.step()
        progress.step += 1
        update_average(state, settings, batches.steps)
        progress.loss_sum += loss_value * batch.total
        progress.loss_samples += batch.total
        if progress.step % batches.steps == 0:
            progress.epoch_losses.append(progress.loss_sum / progress.loss_samples)
            progress.loss_sum, progress.loss_samples = 0.0, 0
        progress.seconds += time.monotonic() - begun
        said = functools.reduce(operator.or_, (int(row[2]) for row in heard))
        yield StepReport(progress.step, epoch, batch.total, loss_value, rate, norm_value, said)
        begun = time.monotonic()


def not_finite(
    losses: list[float], norm: float, step: int, rate: float, batch: Batch, ranks: Ranks
) -> NonFinite:
    """The error that says at which step, rate and samples the loss or gradient was not finite.

    ``losses`` has each rank's share; the samples are those of the first rank at fault.
    """
    samples = ranks.gathered(batch.indices[:8].tolist())
    at_fault = [rank for rank, loss in enumerate(losses) if not math.isfinite(loss)]
    what = f"loss {sum(losses)}" if at_fault else f"gradient norm {norm}"
    first = ", ".join(map(str, samples[at_fault[0] if at_fault else 0]))
    return NonFinite(
        f"step {step}: {what} at learning rate {rate:.3g}, samples {first}, ...; "
        "lower optimizer.lr or look at those samples"
    )
