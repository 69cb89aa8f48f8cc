"""The training loop: a generator of steps. What it does not do, the caller does between them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from convnets.errors import ConvnetsError, NonFinite, TrainingFailed
from convnets.training.engine import Engine
from convnets.training.objective import Objective, Part, make_objective
from convnets.training.schedules import learning_rate
from convnets.training.settings import Optimisation
from convnets.training.state import (
    TrainingState,
    random_state,
    set_random_state,
    update_average,
)


class Batch(Protocol):
    """Images (b, c, h, w), class indices (b,) and the samples' numbers in the data set (b,).

    Where images are mixed, ``partners`` (b,) are the classes of those mixed in, and ``shares`` (b,)
    what is left of an image itself.
    """

    @property
    def images(self) -> Tensor: ...
    @property
    def targets(self) -> Tensor: ...
    @property
    def indices(self) -> Tensor: ...
    @property
    def partners(self) -> Tensor | None: ...
    @property
    def shares(self) -> Tensor | None: ...


class Batches(Protocol):
    """A source of batches whose order is a function of the epoch alone."""

    @property
    def steps(self) -> int: ...
    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class StepReport:
    """What one optimization step did; ``step`` counts from 1."""

    step: int
    epoch: int
    samples: int
    loss: float
    learning_rate: float
    gradient_norm: float


def steps(
    state: TrainingState,
    batches: Batches,
    settings: Optimisation,
    engine: Engine,
    objective: Objective | None = None,
) -> Iterator[StepReport]:
    """Train to the end of the current epoch, one yield a step; ``state`` is whole at each yield.

    ``objective`` is what is minimised where it is not the settings' own. Raises ``NonFinite``
    before a step that would spoil the weights.
    """
    progress = state.progress
    epoch, position = divmod(progress.step, batches.steps)
    objective = objective or make_objective(state.model, settings)
    parameters = [p for p in state.model.parameters() if p.requires_grad]
    total = settings.epochs * batches.steps
    state.model.train()
    begun = time.monotonic()
    for batch in batches.epoch(epoch, position):
        rate = learning_rate(settings, progress.step, total, progress.epoch_losses)
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        loss = gradients(state, objective, batch, engine)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        loss_value, norm_value = torch.stack((loss, norm.to(loss))).tolist()
        check_finite(loss_value, norm_value, progress.step + 1, rate, batch)
        if settings.clip_norm and norm_value > settings.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(parameters, settings.clip_norm, norm)
        state.optimizer.step()
        progress.step += 1
        if settings.ema_decay:
            update_average(state, settings.ema_decay)
        samples = len(batch.targets)
        progress.loss_sum += loss_value * samples
        progress.loss_samples += samples
        if progress.step % batches.steps == 0:
            progress.epoch_losses.append(progress.loss_sum / progress.loss_samples)
            progress.loss_sum, progress.loss_samples = 0.0, 0
        progress.seconds += time.monotonic() - begun
        yield StepReport(progress.step, epoch, samples, loss_value, rate, norm_value)
        begun = time.monotonic()


def gradients(
    state: TrainingState,
    objective: Objective,
    batch: Batch,
    engine: Engine,
) -> Tensor:
    """Set the gradients of the batch's mean loss and return that loss (0-d, float32).

    A batch that does not fit the accelerator's memory is split in halves until it does; the split
    is remembered, the samples and their order stay the same.
    """
    progress = state.progress
    while True:
        generators = random_state(engine.device)
        try:
            return _accumulate(state, objective, batch, engine)
        except torch.OutOfMemoryError as error:
            if progress.split >= len(batch.targets):
                raise TrainingFailed(
                    f"step {progress.step + 1}: out of memory with one image at a time; "
                    "use a smaller network or input"
                ) from error
            set_random_state(generators, engine.device)
            progress.split *= 2


def _accumulate(
    state: TrainingState,
    objective: Objective,
    batch: Batch,
    engine: Engine,
) -> Tensor:
    state.optimizer.zero_grad(set_to_none=True)
    size = len(batch.targets)
    pieces = min(state.progress.split, size)
    total = torch.zeros((), device=engine.device)
    for part in _parts(batch, pieces):
        with engine.autocast():
            outputs = _outputs(state, objective, part)
        loss = objective.loss(*outputs, part) * (len(part.targets) / size)
        torch.autograd.backward(loss)
        total += loss.detach()
    return total


def _parts(batch: Batch, count: int) -> Iterator[Part]:
    columns = (batch.images, batch.targets, batch.partners, batch.shares)
    none = (None,) * count
    pieces = (none if column is None else column.chunk(count) for column in columns)
    for piece in zip(*pieces, strict=False):
        yield Part(*piece)


def _outputs(
    state: TrainingState, objective: Objective, part: Part
) -> tuple[Tensor, dict[str, Tensor]]:
    try:
        return objective.outputs(state.forward, part)
    except ConvnetsError:
        raise
    except ValueError as error:  # batch normalisation of one value a channel
        raise TrainingFailed(
            f"step {state.progress.step + 1}: {error}; use a larger batch or less accumulation"
        ) from error


def check_finite(loss: float, norm: float, step: int, rate: float, batch: Batch) -> None:
    """Raise ``NonFinite`` with the step, the rate and the samples if loss or gradient is not."""
    if abs(loss) < float("inf") and abs(norm) < float("inf"):
        return
    what = f"loss {loss}" if abs(loss) >= float("inf") or loss != loss else f"gradient norm {norm}"
    first = ", ".join(str(index) for index in batch.indices[:8].tolist())
    raise NonFinite(
        f"step {step}: {what} at learning rate {rate:.3g}, samples {first}, ...; "
        "lower optimizer.lr or look at those samples"
    )
