"""Learning rates against formulas, and against torch's schedulers where they mean the same."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from convnets.training.schedules import drops, learning_rate, rate_share
from convnets.training.settings import (
    Constant,
    Cosine,
    Exponential,
    Optimisation,
    Plateau,
    ScheduleSetting,
    Sgd,
    Steps,
)

TOTAL = 100
RATE = 0.3


def ours(schedule: ScheduleSetting) -> list[float]:
    settings = Optimisation(epochs=1, batch_size=1, optimizer=Sgd(lr=RATE), schedule=schedule)
    return [learning_rate(settings, step, TOTAL, ()) for step in range(TOTAL)]


def torchs(make: Callable[[torch.optim.Optimizer], LRScheduler]) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    scheduler = make(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_constant() -> None:
    assert ours(Constant()) == [RATE] * TOTAL


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_is_torchs(final: float) -> None:
    expected = torchs(lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, eta_min=final * RATE))
    assert ours(Cosine(final=final)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_cosine_after_warmup_is_eq_5_of_the_paper() -> None:
    rates = ours(Cosine(warmup=0.2, final=0.01))
    for step in range(20, TOTAL):
        share = 0.01 + 0.5 * (1 - 0.01) * (1 + math.cos(math.pi * (step - 20) / 80))
        assert rates[step] == pytest.approx(RATE * share)
    assert rates[20] == pytest.approx(RATE)


def test_warmup_is_torchs_linear_one() -> None:
    expected = torchs(lambda o: lr_scheduler.LinearLR(o, start_factor=1 / 11, total_iters=10))
    assert ours(Constant(warmup=0.1)) == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [0.005, 0.123, 1.0])
def test_warmup_rises_and_never_starts_at_nothing(warmup: float) -> None:
    rates = ours(Cosine(warmup=warmup))
    rising = rates[: math.ceil(warmup * TOTAL)]
    assert rising[0] > 0
    assert rising == sorted(rising)
    assert max(rates) <= RATE


def test_steps_are_torchs() -> None:
    expected = torchs(lambda o: lr_scheduler.MultiStepLR(o, [30, 60, 90], gamma=0.2))
    found = ours(Steps(milestones=(0.3, 0.6, 0.9), factor=0.2))
    assert found == pytest.approx(expected, rel=1e-12)


def test_rates_after_milestones_are_those_given() -> None:
    found = ours(Steps(milestones=(0.1, 0.25, 0.4, 0.6), rates=(0.4, 0.2, 0.1, 0.02)))
    # LeCun et al. 1998, Section III-B: passes at 5e-4, 2e-4, 1e-4, 5e-5 and 1e-5, of 20.
    passes = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert [rate / RATE * 5e-4 for rate in found[::5]] == pytest.approx(passes)


def test_exponential_decay_is_torchs_in_stairs() -> None:
    expected = torchs(lambda o: lr_scheduler.StepLR(o, 7, gamma=0.97))
    assert ours(Exponential(factor=0.97, every=0.07)) == pytest.approx(expected, rel=1e-12)


def test_efficientnets_decay_is_that_of_tensorflow() -> None:
    schedule = Exponential(warmup=5 / 350, factor=0.97, every=2.4 / 350)
    for epoch in (6, 100, 349):
        share = rate_share(schedule, epoch * 313, 350 * 313)
        assert share == pytest.approx(0.97 ** (epoch / 2.4 // 1)), "staircase, warmup counted in"


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("threshold", [0.0, 0.01])
def test_plateau_is_torchs(patience: int, threshold: float) -> None:
    draw = torch.Generator().manual_seed(patience)
    losses = (3 * 0.9 ** torch.arange(40.0) + 0.1 * torch.rand(40, generator=draw)).tolist()
    losses += [losses[-1]] * 10 + [losses[-1] * (1 - 0.005)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=threshold, eps=0
    )
    schedule = Plateau(factor=0.5, patience=patience, threshold=threshold)
    for epoch, loss in enumerate(losses):
        found = rate_share(schedule, epoch, len(losses), losses[:epoch])
        assert found == pytest.approx(optimizer.param_groups[0]["lr"]), epoch
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no optimizer step between: there is nothing to train
            scheduler.step(loss)
    assert drops(schedule, losses) > 1


def test_epochs_rescale_a_schedule() -> None:
    for schedule in (Cosine(warmup=0.1), Steps(), Exponential(every=0.1), Constant(warmup=0.5)):
        short = [rate_share(schedule, step, 1000) for step in (200, 500, 750, 990)]
        long = [rate_share(schedule, 10 * step, 10_000) for step in (200, 500, 750, 990)]
        assert short == pytest.approx(long, rel=0.01)
