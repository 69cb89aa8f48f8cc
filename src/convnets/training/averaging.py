"""Averages of a run's weights: a moving one of its steps, or an equal one of its last epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from convnets.training.engine import Engine
from convnets.training.ranks import Ranks
from convnets.training.regularisation import NORMS, frozen
from convnets.training.settings import Optimisation
from convnets.training.spread import local
from convnets.training.state import TrainingState


@torch.no_grad()
def update_average(state: TrainingState, settings: Optimisation, epoch_steps: int) -> None:
    """Take the weights after a step, or after an epoch, into the run's average, if it has one.

    A moving average moves faster early on, as in TensorFlow's. An equal one (Izmailov et al. 2018,
    Algorithm 1) is the last epoch's weights until ``swa_start``; its count follows from the step.
    """
    if state.average is None:
        return
    step = state.progress.step
    if settings.ema_decay is not None:
        share = 1 - min(settings.ema_decay, (1 + step) / (10 + step))
    elif step % epoch_steps == 0:
        share = 1 / epochs_averaged(settings, step // epoch_steps)
    else:
        return
    ours, theirs = (
        {name: local(value) for name, value in each.state_dict().items()}
        for each in (state.average, state.model)
    )
    floating = [name for name, value in ours.items() if value.is_floating_point()]
    torch._foreach_lerp_([ours[n] for n in floating], [theirs[n] for n in floating], share)
    for name in ours.keys() - set(floating):
        ours[name].copy_(theirs[name])


def epochs_averaged(settings: Optimisation, epochs_done: int) -> int:
    """Over how many epochs' ends the equal average goes; 1 before ``swa_start``."""
    if settings.swa_start is None:
        return 1
    first = math.ceil(settings.swa_start * settings.epochs - 1e-9)
    return max(1, epochs_done - max(first, 1) + 1)


@torch.no_grad()
def measure_norms(
    model: nn.Module,
    images: Iterable[Tensor],
    engine: Engine,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Measure the mean and variance of every trained batch norm anew over batches of ``images``.

    An average of weights has other activations than any of the networks it is made of
    (Izmailov et al. 2018, Section 3.2). All batches weigh the same; nothing is dropped, as in a
    test. ``between`` is called after each batch.
    """
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, NORMS) and not frozen(m)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches so far
        for batch in engine.ranks.own(images) if norms else ():
            for norm in norms:  # a rank without images takes its turn, and measures nothing
                norm.train(len(batch) > 0)
            with engine.autocast():
                model(batch if len(batch) else batch.new_zeros(1, *batch.shape[1:]))
            between()
        for norm in norms if engine.ranks.world > 1 else ():
            _merge(norm, engine.ranks)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _merge(norm: nn.BatchNorm1d | nn.BatchNorm2d, ranks: Ranks) -> None:
    """Make a norm's statistics the mean over the batches of all ranks."""
    assert norm.num_batches_tracked is not None
    own = norm.num_batches_tracked.float()
    total = ranks.summed(own.clone())
    for value in (norm.running_mean, norm.running_var):
        assert value is not None
        ranks.summed(value.mul_(own)).div_(total)
