"""A bench: networks x seeds under one recipe on one data set, run after run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convnets.data import ImageSet
from convnets.errors import Busy, ConvnetsError, TrainingFailed, UnknownName
from convnets.models import VARIANTS, list_models
from convnets.recipes import Recipe
from convnets.records import Result
from convnets.runs.observer import Observer
from convnets.runs.plan import Plan, make_plan
from convnets.runs.run import Conduct, train
from convnets.runs.store import RunFolder
from convnets.training.engine import Engine

LINEAGE = (
    "lenet5",
    "alexnet_owt",
    "zfnet",
    "vgg11",
    "googlenet_bn",
    "resnet18",
    "mobilenet_v1",
    "mobilenet_v2",
    "convnext_tiny",
)
"""One network of each family, smallest of its kind: what a bench runs when no name is given."""


def matching(patterns: Sequence[str]) -> list[str]:
    """Networks by name or pattern, in the order asked, each once; raises ``UnknownName``."""
    names: dict[str, None] = {}
    for pattern in patterns:
        found = list_models(pattern) if any(c in pattern for c in "*?[") else [pattern]
        if not found or found[0] not in VARIANTS:
            raise UnknownName("model", pattern, VARIANTS)
        names.update(dict.fromkeys(found))
    return list(names)


@dataclass(frozen=True)
class Bench:
    """What a bench came to: finished runs in order, and the failed ones with their reasons."""

    results: tuple[Result, ...]
    failures: tuple[tuple[str, ConvnetsError], ...]


def bench(
    models: Sequence[str],
    image_set: ImageSet,
    recipe: Recipe,
    *,
    seeds: Sequence[int] = (0,),
    out: Path | str = "runs",
    engine: Engine | None = None,
    conduct: Conduct | None = None,
    observer: Observer | None = None,
) -> Bench:
    """Train every network with every seed; finished runs are read, not repeated.

    A run that fails or is held by another process is reported and the others go on, so that
    several processes can share a bench's folder. Names and sizes are checked before any training.
    """
    observer = observer or Observer()
    plans = {
        (model, seed): make_plan(model, image_set, recipe, seed)
        for seed in seeds
        for model in models
    }
    results: list[Result] = []
    failures: list[tuple[str, ConvnetsError]] = []
    held: list[tuple[Plan, Busy]] = []
    for (model, seed), plan in plans.items():
        try:
            results.append(
                train(
                    model,
                    image_set,
                    recipe,
                    seed=seed,
                    out=out,
                    engine=engine,
                    conduct=conduct,
                    observer=observer,
                )
            )
        except Busy as error:
            held.append((plan, error))
        except TrainingFailed as error:
            observer.failed(plan, error)
            # A traceback would hold the failed network in memory while the others run.
            error.__cause__ = error.__context__ = None
            failures.append((plan.run_name, error.with_traceback(None)))
    for plan, busy in held:
        if elsewhere := RunFolder(Path(out), plan).result():  # finished by then
            results.append(elsewhere)
        else:
            observer.failed(plan, busy)
            failures.append((plan.run_name, busy))
    return Bench(tuple(results), tuple(failures))
