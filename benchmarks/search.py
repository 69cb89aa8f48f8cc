"""Random search, evolution and a controller on one space, with equal trials and several seeds.

    python -m benchmarks.search [--space residual] [--data cifar10] [--images 2000] [--trials 24]
        [--epochs 3] [--seeds 3] [--final-epochs 10] [--out out/search] [--json results/search.json]

All strategies of a seed see one validation part and train a network in one and the same way, so
that a network which two of them ask for is trained once. The best network by reward of each study
is trained anew on all training images and tested once, and so is the base. Studies and runs are
kept in ``--out``: the same command goes on where a stopped one was.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from convnets.data import ImageSet, load_data
from convnets.data.subset import subset
from convnets.files import atomic_write, to_json
from convnets.recipes import load_recipe, with_changes
from convnets.runs.machine import this_machine
from convnets.runs.run import Conduct
from convnets.search.built_in import find_space
from convnets.search.final import Found, retrained
from convnets.search.observer import Observer
from convnets.search.spaces import with_base
from convnets.search.strategies import Controller, Evolution, How, Random
from convnets.search.study import Study
from convnets.search.together import Setting
from convnets.search.trials import Trial
from convnets.search.worker import Search
from convnets.training.engine import Engine, choose_engine


class Lines(Observer):
    """A line a trial."""

    def __init__(self, study: str) -> None:
        self.study = study

    def trial_ends(self, trial: Trial, trials: int) -> None:
        print(f"{self.study} {trial.number + 1}/{trials}: {trial.reward} {trial.model}", flush=True)


def strategies(population: int, sample: int) -> tuple[How, ...]:
    """What is compared."""
    return Random(), Evolution(population=population, sample=sample), Controller()


def searched(
    how: How, seed: int, arguments: argparse.Namespace, image_set: ImageSet, engine: Engine
) -> Found:
    """One study and the test of what it found."""
    space = find_space(arguments.space)
    if arguments.base:
        space = with_base(space, arguments.base)
    changes = list(arguments.set)
    recipe = load_recipe(arguments.recipe)
    study = Study(
        space=space,
        how=how,
        recipe=with_changes(recipe, [f"epochs={arguments.epochs}", *changes]),
        validation=arguments.validation,
        seed=seed,
    )
    name = f"{how.kind}-s{seed}"
    observer = Lines(name)
    search = Search(
        study, image_set, arguments.out / name, engine, observer, runs=arguments.out / "runs"
    )
    setting = Setting(
        images=image_set,
        recipe=with_changes(recipe, [f"epochs={arguments.final_epochs}", *changes]),
        seed=seed,
        out=arguments.out / "final",
        engine=engine,
        conduct=Conduct(keep_weights=False),
        observer=observer,
    )
    return retrained(study, search.go(arguments.trials), 0.0, arguments.final, setting)


def row(found: Found) -> dict[str, Any]:
    """What a study came to; accuracies are shares of 1."""
    rewards = [trial.reward or 0.0 for trial in found.trials]
    winner, base = found.winner, found.base
    return {
        "how": found.study.how.kind,
        "seed": found.study.seed,
        "best_so_far": list(accumulate(rewards, max)),
        "best": max(rewards),
        "last_third": statistics.fmean(rewards[-max(1, len(rewards) // 3) :]),
        "networks": len({trial.model for trial in found.trials}),
        "failed": sum(trial.state == "failed" for trial in found.trials),
        "seconds": found.seconds,
        "model": None if winner is None else winner.result.model,
        "test_top1": None if winner is None else winner.result.top1,
        "base_top1": None if base is None else base.result.top1,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A strategy a line, means over seeds, as Markdown."""
    lines = [
        "| Strategy | Seeds | Best validation % | Mean of the last third % | Networks | Test % "
        "| Base % |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for how in dict.fromkeys(each["how"] for each in rows):
        chosen = [each for each in rows if each["how"] == how]
        columns = ("best", "last_third", "networks", "test_top1", "base_top1")
        shown = [
            _mean([each[column] for each in chosen], 1 if column == "networks" else 100)
            for column in columns
        ]
        lines.append(f"| {how} | {len(chosen)} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _mean(values: Sequence[float | None], scale: float) -> str:
    known = [scale * value for value in values if value is not None]
    if not known:
        return "–"
    spread = f" ± {statistics.stdev(known):.2f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.2f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="residual")
    parser.add_argument("--base", help="the network that the space changes")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, help="of each split; all without it")
    parser.add_argument("--recipe", default="baseline")
    parser.add_argument("--set", action="append", default=[], help="change a field of the recipe")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--sample", type=int, default=3)
    parser.add_argument("--validation", type=float, default=0.1)
    parser.add_argument("--final", type=int, default=1, help="how many of the best are tested")
    parser.add_argument("--final-epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("out/search"))
    parser.add_argument("--json", type=Path, help="where the record is written")
    arguments = parser.parse_args()
    engine = choose_engine()
    image_set = load_data(arguments.data)
    if arguments.images:
        image_set = subset(image_set, arguments.images)
    rows = []
    for seed in range(arguments.seeds):
        for how in strategies(arguments.population, arguments.sample):
            rows.append(row(searched(how, seed, arguments, image_set, engine)))
            print(table(rows), flush=True)
    record = {
        "command": " ".join(["python -m benchmarks.search", *sys.argv[1:]]),
        "data": image_set.name,
        "images": len(image_set.train),
        "space": arguments.space,
        "trials": arguments.trials,
        "threads": torch.get_num_threads(),
        "machine": this_machine().model_dump(),
        "rows": rows,
    }
    if arguments.json:
        atomic_write(arguments.json, to_json(record) + "\n")


if __name__ == "__main__":
    main()
