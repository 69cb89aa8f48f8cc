"""``convnets scale``: a network made larger in depth, width and resolution together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnets.cli import options

if TYPE_CHECKING:
    from convnets.data import ImageSet
    from convnets.recipes import Recipe
    from convnets.search.scaling import Multipliers
    from convnets.training.engine import Precision

Numbers = Annotated[str | None, typer.Option(help="Instead: times the base's; several, as 1,2,4.")]


def command(
    model: Annotated[str, typer.Argument(help="The network to scale; see 'convnets models'.")],
    phi: Annotated[
        str | None, typer.Option(help="Which phi, as 0.5,1; 1 to 7 if not given.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Depth is alpha^phi.")] = 1.2,
    beta: Annotated[float, typer.Option(help="Width is beta^phi.")] = 1.1,
    gamma: Annotated[float, typer.Option(help="Resolution is gamma^phi.")] = 1.15,
    depth: Numbers = None,
    width: Numbers = None,
    resolution: Numbers = None,
    macs: Annotated[str | None, typer.Option(help="The largest phi within these, as 2G.")] = None,
    size: options.Size = None,
    stem: options.Stem = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="Find alpha, beta and gamma by training, at phi = 1.")
    ] = False,
    data: options.Data = "digits",
    recipe: options.RecipeName = "baseline",
    epochs: options.Epochs = None,
    step: Annotated[float, typer.Option(help="With --grid: the step of the constants.")] = 0.1,
    most: Annotated[
        float, typer.Option(help="With --grid: leave out what takes over so many times the MACs.")
    ] = 2.5,
    images: Annotated[
        int | None, typer.Option(help="With --grid: at most so many training images.", min=1)
    ] = None,
    validation: Annotated[
        float, typer.Option(help="With --grid: share of the training images held out to judge by.")
    ] = 0.1,
    seeds: Annotated[int, typer.Option(help="With --grid: how many seeds, from 0.", min=1)] = 1,
    out: options.Out = Path("scaling"),
    changes: options.Changes = None,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Scale a network as EfficientNet was, and say what each size of it costs.

    Depth, width and image grow as alpha^phi, beta^phi and gamma^phi, multiply-adds about as 2^phi.
    With --grid the constants are those that train best on held-out images of DATA; finished runs
    are read, not repeated, and scaling.md and scaling.png are written beside them.
    """
    from convnets.cli.console import show
    from convnets.errors import UsageError
    from convnets.files import to_json
    from convnets.search.scaling import (
        Coefficients,
        base_of,
        compound,
        fitting,
        scaled_networks,
        series,
    )
    from convnets.search.scaling_page import networks_sheet

    constants, explicit = Coefficients(alpha, beta, gamma), multipliers(depth, width, resolution)
    if grid:
        if phi or explicit or macs or constants != Coefficients():
            raise UsageError("--grid finds the constants at phi = 1; give neither them nor sizes")
        return search(
            model,
            options.chosen_recipe(recipe, epochs, stem, size, changes),
            options.loaded_data(data, data_dir, skip_bad),
            images=images,
            step=step,
            most=most,
            validation=validation,
            seeds=seeds,
            out=out,
            device=device,
            precision=precision,
            json=json,
        )
    base = base_of(model, size=size, stem=stem or "paper")
    networks = scaled_networks(base, [(None, by) for by in explicit])
    if phi:
        networks += compound(base, constants, numbers("phi", phi))[1:]
    elif not (explicit or macs):
        networks = series(base, constants)
    if macs:
        networks.append(fitting(base, constants, multiply_adds(macs)))
    show(to_json([vars(each) for each in networks]) if json else networks_sheet(networks).table())
    return 0


def numbers(name: str, text: str) -> list[float]:
    """Numbers with commas between them."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"--{name} {text!r} is not numbers with commas, as 1,2") from error


def multipliers(depth: str | None, width: str | None, resolution: str | None) -> list[Multipliers]:
    """The first of each list together, then the second; one number stands for all."""
    from convnets.errors import UsageError
    from convnets.search.scaling import Multipliers

    given = {"depth": depth, "width": width, "resolution": resolution}
    if not any(given.values()):
        return []
    lists = [[1.0] if text is None else numbers(name, text) for name, text in given.items()]
    count = max(map(len, lists))
    for name, values in zip(given, lists, strict=True):
        if len(values) not in (1, count):
            raise UsageError(f"--{name} has {len(values)} numbers, another has {count}")
    return [
        Multipliers(*each) for each in zip(*(v * (count // len(v)) for v in lists), strict=True)
    ]


def multiply_adds(text: str) -> float:
    """A number of multiply-adds, as 600M or 2G."""
    from convnets.errors import UsageError
    from convnets.models.budget import parse_budget

    try:
        (limit,) = parse_budget(f"macs<={text}")
    except ValueError as error:
        raise UsageError(f"--macs {text!r} is no number of multiply-adds, as 600M or 2G") from error
    return limit.bound


def search(
    model: str,
    recipe: Recipe,
    image_set: ImageSet,
    *,
    images: int | None,
    step: float,
    most: float,
    validation: float,
    seeds: int,
    out: Path,
    device: str,
    precision: Precision,
    json: bool,
) -> int:
    """Find the constants on a grid; write its page and chart, and show what was found."""
    from convnets.cli.console import complain, progress_bars, say, show
    from convnets.cli.following import RunProgress
    from convnets.data.subset import subset
    from convnets.files import atomic_write, to_json
    from convnets.runs.run import Conduct
    from convnets.search.grid import candidates, grid_search
    from convnets.search.scaling_page import (
        grid_chart,
        grid_markdown,
        networks_sheet,
        sentences,
        trials_sheet,
    )
    from convnets.training.engine import choose_engine

    if images is not None:
        image_set = subset(image_set, images)
    engine = choose_engine(device, precision)
    tried = candidates(model, image_set, recipe, step=step, most=most, validation=validation)
    command = options.this_command()
    with progress_bars() as bars:
        found = grid_search(
            tried,
            seeds=range(seeds),
            out=out,
            engine=engine,
            conduct=Conduct(keep_weights=False, command=command),
            observer=RunProgress(bars, runs=seeds * tried.count),
        )
    title = f"Compound scaling of {model} on {found.results[0].data.name}"
    atomic_write(out / "scaling.md", grid_markdown(found, title, command))
    atomic_write(out / "scaling.png", grid_chart(found))
    if json:
        show(to_json(found.to_dict()))
    else:
        for each in (trials_sheet(found).table(), networks_sheet(found.networks).table()):
            show(each)
        show("\n".join(sentences(found)))
    for name, error in found.failures:
        complain(f"{name}: {error}")
    say(f"page and chart: {out / 'scaling.md'}, {out / 'scaling.png'}")
    return max((error.exit_code for _, error in found.failures), default=0)
