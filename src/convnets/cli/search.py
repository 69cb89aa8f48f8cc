"""``convnets search``: architectures found by trying many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from convnets.cli import options

if TYPE_CHECKING:
    from convnets.recipes import Recipe
    from convnets.search.rewards import CostKind, Reward
    from convnets.search.spaces import Space
    from convnets.search.strategies import How

Share = Annotated[
    float, typer.Option(help="Share of the training images that candidates are judged on.")
]


def command(
    name: Annotated[
        str, typer.Argument(metavar="SPACE", help="cells, mobile, residual, or a TOML file.")
    ] = "residual",
    data: options.Data = "digits",
    how: Annotated[
        Literal["evolution", "controller", "random", "shared"],
        typer.Option(help="How the next candidate is chosen; shared: weights in common (ENAS)."),
    ] = "evolution",
    trials: Annotated[int, typer.Option(help="How many candidates.", min=1)] = 20,
    recipe: options.RecipeName = "baseline",
    epochs: options.Epochs = None,
    reward: Annotated[
        Literal["accuracy", "soft", "hard"],
        typer.Option(help="soft, hard: accuracy and cost in one, as MnasNet's search had it."),
    ] = "accuracy",
    cost: Annotated[
        Literal["macs", "params", "latency"], typer.Option(help="What soft and hard count.")
    ] = "macs",
    target: Annotated[str | None, typer.Option(help="What it may be, as 40M or 5ms.")] = None,
    population: Annotated[int | None, typer.Option(help="Of evolution; 10.", min=1)] = None,
    sample: Annotated[int | None, typer.Option(help="Of it, for each child; 3.", min=1)] = None,
    base: Annotated[
        str | None, typer.Option(help="The network that is changed, as resnet20@width=8.")
    ] = None,
    validation: Share = 0.1,
    final: Annotated[
        int, typer.Option(help="How many of the best are trained anew and tested.", min=0)
    ] = 1,
    final_epochs: Annotated[
        int | None, typer.Option(help="Epochs of that; the recipe's own without it.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0)] = 0,
    images: Annotated[
        int | None, typer.Option(help="Take so many images of each split, for a trial.", min=1)
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The study's folder.")] = Path("study"),
    stem: options.Stem = None,
    size: options.Size = None,
    changes: options.Changes = None,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Search for an architecture on your images, and say whether it was worth it.

    Candidates are judged on images held out of the training split; the best are then trained on all
    of it and tested once, beside the network that the search began with. The same command goes on
    where a stopped one left off, in several processes at once too. Writes search.md and search.png.
    """
    from convnets.cli.console import complain, progress_bars
    from convnets.cli.searching import SearchProgress, publish
    from convnets.data.subset import subset
    from convnets.runs.run import Conduct
    from convnets.search.final import retrained
    from convnets.search.study import Study
    from convnets.search.together import Setting
    from convnets.search.worker import Search
    from convnets.training.engine import choose_engine

    study = Study(
        space=_space(name, base),
        how=_how(how, population, sample),
        recipe=options.chosen_recipe(recipe, epochs, stem, size, changes),
        reward=_reward(reward, cost, target),
        validation=validation,
        seed=seed,
    )
    last: Recipe = options.chosen_recipe(recipe, final_epochs, stem, size, changes)
    engine = choose_engine(device, precision)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    if images is not None:
        image_set = subset(image_set, images)
    with progress_bars() as bars:
        observer = SearchProgress(bars)
        search = Search(study, image_set, out, engine, observer)
        finished = search.go(trials)
        found = retrained(
            study,
            finished,
            search.shared_seconds,
            final,
            Setting(
                images=image_set,
                recipe=last,
                seed=seed,
                out=out / "final",
                engine=engine,
                conduct=Conduct(command=options.this_command()),
                observer=observer.of_finals(final + 1),
            ),
        )
    with search.trials.writing():
        publish(
            found,
            out,
            f"Search of the space {study.space.name} on {image_set.name}",
            _repeating(data, recipe, last.epochs, images, stem, size, changes),
            json=json,
        )
    for model, error in found.failures:
        complain(f"{model}: {error}")
    return max((error.exit_code for _, error in found.failures), default=0)


def _repeating(
    data: str,
    recipe: str,
    epochs: int,
    images: int | None,
    stem: str | None,
    size: int | None,
    changes: list[str] | None,
) -> list[str]:
    """The options with which another verb trains as the last runs were."""
    given = {"data": data, "recipe": recipe, "epochs": epochs}
    given |= {"images": images, "stem": stem, "size": size}
    named = [(f"--{name}", str(value)) for name, value in given.items() if value is not None]
    named += [("--set", change) for change in changes or []]
    return [part for pair in named for part in pair]


def _space(name: str, base: str | None) -> Space:
    from convnets.search.built_in import find_space
    from convnets.search.space_file import read_space
    from convnets.search.spaces import with_base

    found = read_space(Path(name)) if name.endswith(".toml") else find_space(name)
    return found if base is None else with_base(found, base)


def _how(kind: str, population: int | None, sample: int | None) -> How:
    """The strategy of that name; raises ``UsageError`` for what belongs to another."""
    from convnets.cli.tuned import checked
    from convnets.errors import UsageError
    from convnets.search.strategies import Controller, Evolution, Random, Shared

    given = {"population": population, "sample": sample}
    fields = {name: value for name, value in given.items() if value is not None}
    if fields and kind != "evolution":
        raise UsageError(f"--{next(iter(fields))} is for --how evolution")
    match kind:
        case "evolution":
            return checked(Evolution, fields)
        case "controller":
            return Controller()
        case "shared":
            return Shared()
    return Random()


def _reward(kind: str, cost: CostKind, target: str | None) -> Reward:
    from convnets.cli.tuned import checked
    from convnets.errors import UsageError
    from convnets.models.budget import parse_budget
    from convnets.search.rewards import Reward

    bound = None
    if target is not None:
        limits = parse_budget(f"{cost}<={target}")
        if len(limits) != 1:
            raise UsageError(f"--target {target!r} is not one number, as 40M or 5ms")
        bound = limits[0].bound
    return checked(Reward, {"kind": kind, "cost": cost, "target": bound})
