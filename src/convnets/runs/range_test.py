"""The learning rate range test (Smith 2017, arXiv:1506.01186, Section 3.3).

A network is trained for some steps while the rate rises from next to nothing; where the loss falls
fastest the rate is good, and where it rises the rate is too high.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from convnets.data import ImageSet
from convnets.errors import NonFinite, TrainingFailed, UsageError
from convnets.recipes import Recipe
from convnets.runs.observer import Observer
from convnets.runs.plan import make_plan
from convnets.runs.start import batches_of, described, first_network, objective_of
from convnets.training.engine import Engine, choose_engine
from convnets.training.loop import steps
from convnets.training.settings import Steps
from convnets.training.state import TrainingState

LEAST_STEPS = 20
DIVERGED = 4.0
"""The test ends when the smoothed loss is so many times the lowest."""


@dataclass(frozen=True)
class RangeTest:
    """Rates in rising order, the loss of the step at each, and that loss smoothed.

    ``steepest`` is the rate at which the smoothed loss falls fastest with the rate's logarithm;
    ``tenth`` is a tenth of the rate at which it is lowest. Both are None where it never falls.
    ``stopped`` says why the test ended before its highest rate, if it did.
    """

    model: str
    recipe: str
    own_rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float | None
    tenth: float | None
    stopped: str | None

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def as_csv(self) -> str:
        """A line a step: rate, loss and smoothed loss, exact."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("learning_rate", "loss", "smoothed_loss"))
        writer.writerows(zip(self.rates, self.losses, self.smoothed, strict=True))
        return text.getvalue()


def range_test(
    model: str,
    image_set: ImageSet,
    recipe: Recipe,
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    count: int = 100,
    seed: int = 0,
    engine: Engine | None = None,
    observer: Observer | None = None,
    between: Callable[[int], None] = lambda done: None,
) -> RangeTest:
    """Train for at most ``count`` steps while the rate rises evenly in its logarithm.

    All but the schedule and the average is the recipe's. Nothing is written. ``between`` is called
    with the steps done after each. Raises ``UsageError``, and ``TrainingFailed`` where even the
    lowest rates diverge.
    """
    if not 0 < lowest < highest:
        raise UsageError(f"rates from {lowest:g} to {highest:g}; the first must be the lower one")
    if count < LEAST_STEPS:
        raise UsageError(f"{count} steps; a range test takes at least {LEAST_STEPS}")
    observer, engine = observer or Observer(), engine or choose_engine()
    plan = make_plan(model, image_set, recipe, seed)
    description = described(plan, image_set, observer.loading)
    network = first_network(plan, description, observer.note)
    batches = batches_of(plan, description, image_set, engine, True, observer.loading)
    sweep = rising(plan.recipe, lowest, highest, count, batches.steps)
    state = TrainingState(network, sweep, engine)
    objective = objective_of(network, sweep, image_set, engine)
    rates: list[float] = []
    losses: list[float] = []
    stopped = None
    try:
        while len(rates) < count and stopped is None:
            for report in steps(state, batches, sweep, engine, objective):
                rates.append(report.learning_rate)
                losses.append(report.loss)
                between(len(rates))
                if diverges(losses):
                    stopped = f"at {rates[-1]:.2g} the loss was {DIVERGED:g} times its lowest"
                if len(rates) == count or stopped:
                    break
    except NonFinite as error:
        stopped = str(error).partition(", samples")[0]
    if len(rates) < LEAST_STEPS:
        raise TrainingFailed(f"{model}: {stopped}; start from a lower rate")
    smoothed = smooth(losses)
    steepest, lowest_at = landmarks(rates, smoothed)
    return RangeTest(
        model=model,
        recipe=plan.recipe.name,
        own_rate=plan.recipe.optimizer.lr,
        rates=tuple(rates),
        losses=tuple(losses),
        smoothed=tuple(smoothed),
        steepest=steepest,
        tenth=None if steepest is None else lowest_at / 10,
        stopped=stopped,
    )


def rising(recipe: Recipe, lowest: float, highest: float, count: int, epoch_steps: int) -> Recipe:
    """``recipe`` with a rate that rises at each of ``count`` steps, and no average of weights."""
    epochs = math.ceil(count / epoch_steps)
    shares = np.geomspace(lowest / highest, 1.0, count)
    middles = (np.arange(count) - 0.5).clip(0) / (epochs * epoch_steps)
    return recipe.model_copy(
        update={
            "epochs": epochs,
            "optimizer": recipe.optimizer.model_copy(update={"lr": highest}),
            "schedule": Steps(milestones=tuple(middles.tolist()), rates=tuple(shares.tolist())),
            "ema_decay": None,
            "swa_start": None,
            "progressive": None,
        }
    )


def diverges(losses: list[float]) -> bool:
    """Whether the mean of the last steps is far above the lowest such mean."""
    if len(losses) < LEAST_STEPS:
        return False
    means = np.convolve(losses, np.full(5, 0.2), mode="valid")
    return bool(means[-1] > DIVERGED * means.min())


def smooth(losses: list[float]) -> list[float]:
    """A mean over a twentieth of the steps on either side, weighed by their nearness.

    Unlike a running mean it does not lag, which would put every landmark at too high a rate.
    """
    reach = max(1, len(losses) // 20)
    weights = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
    sums = np.convolve(losses, weights, mode="same")
    counts = np.convolve(np.ones(len(losses)), weights, mode="same")
    return [float(value) for value in sums / counts]


def landmarks(rates: list[float], smoothed: list[float]) -> tuple[float | None, float]:
    """Where the smoothed loss falls fastest on its way to its lowest, and where it is lowest."""
    bottom = int(np.argmin(smoothed))
    if bottom == 0:
        return None, rates[0]
    slopes = np.gradient(smoothed, np.log(rates))[: bottom + 1]
    steepest = int(np.argmin(slopes))
    return (rates[steepest] if slopes[steepest] < 0 else None), rates[bottom]
