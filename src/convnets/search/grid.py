"""The constants of compound scaling by a small grid search (Tan and Le 2019, Section 3.3).

Step 1 of the paper: with phi = 1, twice the multiply-adds, try every alpha, beta and gamma on a
grid under the constraint of Eq. 3. Each is trained and judged on images held out of the training
split; the test images are never looked at.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from convnets.data import ImageSet
from convnets.errors import ConvnetsError, TrainingFailed, UsageError
from convnets.recipes import Recipe, with_changes
from convnets.records import Result
from convnets.runs import Observer, bench
from convnets.runs.plan import make_plan, natural_size
from convnets.runs.run import Conduct
from convnets.search.holdout import held_out
from convnets.search.scaling import (
    TOLERANCE,
    Base,
    Coefficients,
    Scaled,
    base_of,
    near_two,
    scaled_networks,
    series,
)
from convnets.training.engine import Engine

FINEST = 0.02
MOST = 2.5
"""Times the base's multiply-adds that a network of the grid may take without being asked for more.

Layers are rounded up, and at 36 pixels a map that was one pixel at 32 is four: a constant could win
by the cost that rounding gives it.
"""
HELD_OUT_BY = 0
"""Seed of what is held out: one for all runs, so that all are judged on the same images."""


def grid(step: float) -> list[Coefficients]:
    """Every alpha, beta and gamma of 1, 1 + step, ... whose product is near 2 (Eq. 3)."""
    if not FINEST <= step <= 1:
        raise UsageError(f"the grid's step is {step:g}; it is {FINEST:g} to 1")
    values = [round(1 + step * place, 6) for place in range(math.floor((1 + TOLERANCE) / step) + 1)]
    return [Coefficients(*each) for each in product(values, repeat=3) if near_two(*each)]


@dataclass(frozen=True)
class Trial:
    """A network of the grid, or with ``constants`` None the base, and its validation accuracies."""

    constants: Coefficients | None
    network: Scaled
    accuracies: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Mean over seeds, a share of 1."""
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds, None for one seed."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """The trial as plain JSON values."""
        constants = self.constants and {**asdict(self.constants), "product": self.constants.product}
        return {
            "constants": constants,
            **asdict(self.network),
            "accuracies": list(self.accuracies),
            "accuracy": self.accuracy,
            "deviation": self.deviation,
        }


@dataclass(frozen=True)
class GridSearch:
    """What a grid search came to: ``trials`` best first, and the networks of phi 0, 1, ... 7.

    ``base`` is None where its runs failed. ``failures`` are runs by name with their reasons.
    """

    base: Trial | None
    trials: tuple[Trial, ...]
    left_out: tuple[tuple[Coefficients, Scaled], ...]
    networks: tuple[Scaled, ...]
    failures: tuple[tuple[str, ConvnetsError], ...]
    results: tuple[Result, ...]

    @property
    def best(self) -> Trial:
        """The trial whose constants are chosen."""
        return self.trials[0]

    @property
    def chance(self) -> float:
        """Standard error of the best accuracy, from the number of images it is measured on."""
        images, share = self.results[0].data.test_images, self.best.accuracy
        return math.sqrt(share * (1 - share) / images)

    @property
    def rivals(self) -> tuple[Trial, ...]:
        """The trials within two standard errors of a difference of two, which may be as good."""
        least = self.best.accuracy - 2 * math.sqrt(2) * self.chance
        return tuple(trial for trial in self.trials[1:] if trial.accuracy >= least)

    def to_dict(self) -> dict[str, Any]:
        """The search as plain JSON values."""
        return {
            "chosen": asdict(self.best.constants) if self.best.constants else None,
            "standard_error": self.chance,
            "rivals": len(self.rivals),
            "base": self.base and self.base.to_dict(),
            "trials": [trial.to_dict() for trial in self.trials],
            "left_out": [
                {"constants": asdict(constants), **asdict(network)}
                for constants, network in self.left_out
            ],
            "networks": [asdict(network) for network in self.networks],
            "failures": {name: str(error) for name, error in self.failures},
        }


@dataclass(frozen=True)
class Candidates:
    """A grid before it is trained: ``judged`` has what is held out as its test images.

    ``networks`` are the base and those to be trained, with their constants; ``left_out`` those that
    take too many multiply-adds.
    """

    base: Base
    judged: ImageSet
    recipe: Recipe
    networks: tuple[tuple[Coefficients | None, Scaled], ...]
    left_out: tuple[tuple[Coefficients, Scaled], ...]

    @property
    def by_side(self) -> dict[int, list[str]]:
        """The networks by the side of their images, which a recipe holds; each once."""
        found: dict[int, dict[str, None]] = {}
        for _, network in self.networks:
            found.setdefault(network.input_size, {})[network.model] = None
        return {side: list(names) for side, names in found.items()}

    @property
    def count(self) -> int:
        """How many networks are trained: constants that round to the same one share it."""
        return sum(map(len, self.by_side.values()))

    def recipe_at(self, side: int) -> Recipe:
        """The recipe for images of this side; the stem is the base's, whatever the side."""
        return with_changes(self.recipe, [f"input_size={side}", f"stem={self.base.stem}"])


def candidates(
    model: str,
    image_set: ImageSet,
    recipe: Recipe,
    *,
    step: float = 0.1,
    most: float = MOST,
    validation: float = 0.1,
) -> Candidates:
    """The base and every network of the grid, on the training images alone.

    ``validation`` is the share of them that is held out. Raises ``UsageError`` for what cannot be
    scaled or trained so.
    """
    every = grid(step)
    judged = held_out(image_set, validation, HELD_OUT_BY)
    base = base_of(
        model,
        size=recipe.input_size or natural_size(judged),
        stem=recipe.stem,
        num_classes=len(judged.classes),
        in_chans=judged.channels,
    )
    own, *others = scaled_networks(base, [(1, constants.at(1)) for constants in every])
    pairs = list(zip(every, others, strict=True))
    kept = [pair for pair in pairs if pair[1].times <= most]
    if not kept:
        least = min(network.times for network in others)
        raise UsageError(
            f"every network of the grid takes {least:.2f} times the multiply-adds of {base.model} "
            f"at {base.input_size} pixels, or more; give a larger --size or --most"
        )
    left = tuple(pair for pair in pairs if pair[1].times > most)
    found = Candidates(base, judged, recipe, ((None, own), *kept), left)
    for side, names in found.by_side.items():
        for name in names:
            make_plan(name, judged, found.recipe_at(side), 0)
    return found


def grid_search(
    tried: Candidates,
    *,
    seeds: Sequence[int] = (0,),
    out: Path = Path("scaling"),
    engine: Engine | None = None,
    conduct: Conduct | None = None,
    observer: Observer | None = None,
) -> GridSearch:
    """Train the base and every network of the grid, and choose the constants of the best.

    Runs are folders in ``out``; finished ones are read. Raises ``TrainingFailed`` if no network of
    the grid could be trained.
    """
    results: list[Result] = []
    failures: list[tuple[str, ConvnetsError]] = []
    for side, names in tried.by_side.items():
        outcome = bench(
            names,
            tried.judged,
            tried.recipe_at(side),
            seeds=seeds,
            out=out,
            engine=engine,
            conduct=conduct,
            observer=observer,
        )
        results += outcome.results
        failures += outcome.failures
    trials = []
    for constants, network in tried.networks:
        which = network.model, network.input_size
        shares = tuple(run.top1 for run in results if (run.model, run.input_size) == which)
        if len(shares) == len(seeds):
            trials.append(Trial(constants, network, shares))
    ranked = sorted(
        (trial for trial in trials if trial.constants is not None),
        key=lambda trial: (-trial.accuracy, trial.network.macs),
    )
    if not ranked or ranked[0].constants is None:
        raise TrainingFailed(f"no network of the grid was trained; {failures[0][1]}")
    return GridSearch(
        base=next((trial for trial in trials if trial.constants is None), None),
        trials=tuple(ranked),
        left_out=tried.left_out,
        networks=tuple(series(tried.base, ranked[0].constants)),
        failures=tuple(failures),
        results=tuple(results),
    )
