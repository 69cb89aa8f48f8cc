"""The gradients of a batch's mean loss: in pieces, on one rank or spread over several."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn

from convnets.errors import ConvnetsError, TrainingFailed
from convnets.training.engine import Engine
from convnets.training.graphs import StepGraphs
from convnets.training.objective import Objective, Part
from convnets.training.ranks import alone
from convnets.training.regularisation import enter_training
from convnets.training.spread import RunningStatistics, reduced, whole
from convnets.training.state import TrainingState, random_state, set_random_state


class Batch(Protocol):
    """Images (b, c, h, w), class indices (b,) and the samples' numbers in the data set (b,).

    Where images are mixed, ``partners`` (b,) are the classes of those mixed in, and ``shares`` (b,)
    what is left of an image itself. With several ranks these are one rank's part of a batch, which
    may be empty; ``total`` counts the images of all parts.
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
    @property
    def total(self) -> int: ...


def gradients(
    state: TrainingState,
    objective: Objective,
    batch: Batch,
    engine: Engine,
    statistics: RunningStatistics,
) -> Tensor:
    """Set the gradients of the batch's mean loss and return this rank's share of it (0-d, float32).

    A batch that does not fit the accelerator's memory is split in halves until it does, on all
    ranks alike; the split is remembered, the samples and their order stay the same.
    """
    if engine.ranks.world > 1:
        _rehearse(state, objective, batch, engine)
        _reseed(state, engine)
    while True:
        generators = random_state(engine.device)
        try:
            if state.graphs is not None and state.progress.split == 1:
                return _replayed(state, state.graphs, objective, batch, engine)
            return _accumulate(state, objective, batch, engine, statistics)
        except torch.OutOfMemoryError as error:
            if engine.ranks.world > 1:  # the others wait in the middle of a sum
                raise alone(
                    TrainingFailed(
                        f"step {state.progress.step + 1}: rank {engine.ranks.rank} is out of "
                        f"memory; --set accumulation={2 * state.progress.split} needs half of it"
                    )
                ) from error
            _halve(state, batch)
            set_random_state(generators, engine.device)


def _replayed(
    state: TrainingState, graphs: StepGraphs, objective: Objective, batch: Batch, engine: Engine
) -> Tensor:
    def passed(part: Part) -> Tensor:
        loss = _loss(state, objective, part, engine)
        torch.autograd.backward(loss)
        return loss.detach()

    whole_batch = Part(batch.images, batch.targets, batch.partners, batch.shares)
    return graphs.gradients(state.model, whole_batch, passed)


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """The norm of the whole gradient (0-d), whatever rank its parts lie on."""
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    return whole(norm)


def _rehearse(state: TrainingState, objective: Objective, batch: Batch, engine: Engine) -> None:
    """Let all ranks agree on a split that fits, before any is in the middle of a sum.

    Then add gradients up once, for nothing: torch settles the order of its sums in a replica's
    first step, so that a run that goes on adds up in the order of one that was never stopped.
    Shards leave no rank a pass of its own.
    """
    if engine.sharded or _needed(state, batch) <= state.rehearsed:
        return
    before = [(value, value.clone()) for value in state.model.buffers()]
    while True:
        short = False
        try:
            _accumulate(state, objective, batch, engine, None, summing=False)
        except torch.OutOfMemoryError:
            short = True
        if not engine.ranks.any(short):
            break
        _halve(state, batch)
    _accumulate(state, objective, batch, engine, None)
    for value, copy in before:
        value.copy_(copy)
    state.rehearsed = _needed(state, batch)


def _needed(state: TrainingState, batch: Batch) -> int:
    """How many values the images of the largest piece have."""
    return _largest(batch, state.progress.split) * math.prod(batch.images.shape[1:])


def _reseed(state: TrainingState, engine: Engine) -> None:
    """Draw each rank's dropout from the seed, the step and the rank.

    So no two ranks drop alike, and a checkpoint needs no rank's generators but one.
    """
    text = f"{state.seed} {state.progress.step} {engine.ranks.rank}"
    torch.manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def _halve(state: TrainingState, batch: Batch) -> None:
    if _largest(batch, state.progress.split) <= _unit(batch):
        raise TrainingFailed(
            f"step {state.progress.step + 1}: out of memory with one image at a time; "
            "use a smaller network or input"
        )
    state.progress.split *= 2


def _accumulate(
    state: TrainingState,
    objective: Objective,
    batch: Batch,
    engine: Engine,
    statistics: RunningStatistics | None,
    *,
    summing: bool = True,
) -> Tensor:
    ranks = engine.ranks
    sizes = piece_sizes(batch, state.progress.split, ranks.world)
    own = sizes[ranks.rank]
    assert sum(own) == len(batch.targets)
    if not engine.sharded:  # shards are gathered in every pass, on all ranks together
        own = [size for size in own if size] or [0]
    before = statistics.flat() if statistics is not None else None
    total = torch.zeros((), device=engine.device)
    state.optimizer.zero_grad(set_to_none=True)
    for number, part in enumerate(_parts(batch, own), start=1):
        with reduced(state.replica, summing and number == len(own)):
            share = len(part.targets) / batch.total * ranks.world
            loss = _loss(state, objective, part, engine) * share
            torch.autograd.backward(loss)
        total += loss.detach()
    if statistics is not None and before is not None:
        statistics.merge(before, [sum(size > 0 for size in each) for each in sizes])
    return total / ranks.world


def piece_sizes(batch: Batch, split: int, world: int) -> list[list[int]]:
    """How many images each rank has in each of its pieces, where a batch is in ``split`` pieces.

    The pieces of two ranks are those of one with twice the pieces. Pairs of mixed images stay
    together, as in the ranks' parts.
    """
    unit = _unit(batch)
    units = -(-batch.total // unit)
    bounds = [min(unit * (units * piece // split), batch.total) for piece in range(split + 1)]
    sizes = [end - start for start, end in pairwise(bounds)]
    each = split // world
    return [sizes[first : first + each] for first in range(0, split, each)]


def _largest(batch: Batch, split: int) -> int:
    return max(size for each in piece_sizes(batch, split, 1) for size in each)


def _unit(batch: Batch) -> int:
    return 1 if batch.partners is None else 2


def _parts(batch: Batch, sizes: list[int]) -> Iterator[Part]:
    """The batch in pieces of these sizes; one of none is a blank image of class 0."""
    columns = (batch.images, batch.targets, batch.partners, batch.shares)
    none = (None,) * len(sizes)
    pieces = (none if column is None else torch.split(column, sizes) for column in columns)
    for images, *others in zip(*pieces, strict=True):
        yield Part(images, *others)


def _loss(state: TrainingState, objective: Objective, part: Part, engine: Engine) -> Tensor:
    with _blank(state.model, part) as shown, engine.autocast():
        outputs = _outputs(state, objective, shown)
    return objective.loss(*outputs, shown)


@contextlib.contextmanager
def _blank(model: nn.Module, part: Part) -> Iterator[Part]:
    """In place of an empty part, one black image, seen without a trace in the statistics.

    A rank without images must still take its turn in the ranks' sums; its loss counts nothing.
    """
    if len(part.targets):
        yield part
        return
    model.eval()
    try:
        yield Part(
            images=part.images.new_zeros(1, *part.images.shape[1:]),
            targets=part.targets.new_zeros(1),
        )
    finally:
        enter_training(model)


def _outputs(
    state: TrainingState, objective: Objective, part: Part
) -> tuple[Tensor, dict[str, Tensor]]:
    try:
        return objective.outputs(state.forward, part)
    except ConvnetsError:
        raise
    except ValueError as error:  # batch normalisation of one value a channel
        raise alone(
            TrainingFailed(
                f"step {state.progress.step + 1}: {error}; use a larger batch, less accumulation "
                "or fewer ranks"
            )
        ) from error
