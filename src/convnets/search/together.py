"""Runs that several processes make together: each is made once, and all see what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convnets.data import ImageSet
from convnets.errors import Busy, TrainingFailed
from convnets.recipes import Recipe
from convnets.records import Result
from convnets.runs.run import Conduct, train
from convnets.search.observer import Observer
from convnets.search.trials import PAUSE
from convnets.training.engine import Engine
from convnets.training.stopping import StopFlag


@dataclass(frozen=True)
class Setting:
    """What networks are trained on, how, and where their runs lie."""

    images: ImageSet
    recipe: Recipe
    seed: int
    out: Path
    engine: Engine
    conduct: Conduct
    observer: Observer


@dataclass(frozen=True)
class Made:
    """What came of each network."""

    results: dict[str, Result]
    failures: dict[str, TrainingFailed]


def train_together(models: Sequence[str], setting: Setting, stop: StopFlag) -> Made:
    """Train each network, those last that another process trains now; finished runs are read.

    Raises ``Stopped`` after a signal, once the run at hand is safe.
    """
    results: dict[str, Result] = {}
    failures: dict[str, TrainingFailed] = {}
    left = list(models)
    while left:
        held = []
        for model in left:
            if stop.received is not None:
                raise stop.stopped(stop.received, f"before {model}; {setting.out}")
            try:
                results[model] = train(
                    model,
                    setting.images,
                    setting.recipe,
                    seed=setting.seed,
                    out=setting.out,
                    engine=setting.engine,
                    conduct=setting.conduct,
                    observer=setting.observer,
                )
            except Busy:
                held.append(model)
            except TrainingFailed as error:
                # A traceback would hold the failed network in memory while the others run.
                error.__cause__ = error.__context__ = None
                failures[model] = error.with_traceback(None)
        if held == left:
            time.sleep(PAUSE)
        left = held
    return Made(results, failures)
