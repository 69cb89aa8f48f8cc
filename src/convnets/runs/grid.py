"""A bench: networks x seeds under one recipe on one data set, run after run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convnets.data import ImageSet
from convnets.errors import Busy, ConvnetsError, TrainingFailed
from convnets.recipes import Recipe
from convnets.records import Result
from convnets.runs.observer import Observer
from convnets.runs.plan import Plan, make_plan
from convnets.runs.run import Conduct, train
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

    A run that fails is reported and the others go on. One that another process holds is tried
    again after all others, so that several processes can share a bench's folder and one can take
    over what another has died at. Names and sizes are checked before any training.
    """
    observer = observer or Observer()
    plans = grid(models, image_set, recipe, seeds)
    results: dict[str, Result] = {}
    failures: list[tuple[str, ConvnetsError]] = []
    left = list(plans)
    for again in (False, True):
        held: list[Plan] = []
        for plan in left:
            try:
                results[plan.run_name] = train(
                    plan.model,
                    image_set,
                    recipe,
                    seed=plan.seed,
                    out=out,
                    engine=engine,
                    conduct=conduct,
                    observer=observer,
                )
            except (Busy, TrainingFailed) as error:
                if isinstance(error, Busy) and not again:
                    held.append(plan)
                    continue
                observer.failed(plan, error)
                # A traceback would hold the failed network in memory while the others run.
                error.__cause__ = error.__context__ = None
                failures.append((plan.run_name, error.with_traceback(None)))
        left = held
    return in_order(plans, results, failures)


def grid(
    models: Sequence[str], image_set: ImageSet, recipe: Recipe, seeds: Sequence[int]
) -> list[Plan]:
    """The plans of all runs, seed by seed; raises ``UsageError`` for what no run can be made of."""
    return [make_plan(model, image_set, recipe, seed) for seed in seeds for model in models]


def in_order(
    plans: Sequence[Plan],
    results: Mapping[str, Result],
    failures: Sequence[tuple[str, ConvnetsError]],
) -> Bench:
    """What a bench came to, its results in the order of their plans, whenever they were made."""
    found = [results[plan.run_name] for plan in plans if plan.run_name in results]
    return Bench(tuple(found), tuple(failures))
