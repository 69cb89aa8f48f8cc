"""``convnets bench``: networks x seeds under one protocol, and which one to use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convnets.cli import options


def command(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Names or patterns ('resnet*'); one network a family without any."),
    ] = None,
    data: options.Data = "digits",
    recipe: options.RecipeName = "baseline",
    epochs: options.Epochs = None,
    seeds: Annotated[int, typer.Option("--seeds", help="How many seeds, from 0.", min=1)] = 1,
    out: options.Out = Path("runs"),
    stem: options.Stem = None,
    size: options.Size = None,
    changes: options.Changes = None,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    compiled: options.Compile = False,
    graphs: options.Graphs = False,
    shard: options.Shard = False,
    checkpoint_every: options.CheckpointEvery = None,
    no_weights: options.NoWeights = False,
    track: options.Track = None,
    on: Annotated[
        Literal["ray"] | None,
        typer.Option(
            help="Spread the runs over the Ray cluster at $RAY_ADDRESS, or over this "
            "machine's cores; nodes share OUT."
        ),
    ] = None,
    gpus_per_run: Annotated[
        float | None, typer.Option(help="With --on ray: a run's part of a GPU, as 0.5.", min=0)
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="Take so many images of each split, for a trial.", min=1)
    ] = None,
    campaign: Annotated[
        str | None, typer.Option(help="Run a campaign's rows, each with its own recipe: lecture.")
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", help="With --campaign: only this group's rows, as ours-32."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="With --campaign: stop before so much time is over.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Compare networks on your images under one fair protocol and say which one to use.

    Finished runs are read, not repeated. Writes report.html, complexity.png, leaderboard.csv and
    leaderboard.json beside the runs. Under torchrun all processes make each run together.
    """
    from convnets.cli.campaigning import carry_on, check_options
    from convnets.cli.console import complain, progress_bars
    from convnets.cli.following import RunProgress, company, data_of_all, spread
    from convnets.cli.report import publish
    from convnets.data.subset import subset
    from convnets.models import matching
    from convnets.runs import grid
    from convnets.runs.run import Conduct
    from convnets.runs.tracking import tracked

    check_options(
        campaign,
        rows_own={
            "--recipe": recipe != "baseline",
            "--stem": stem,
            "--size": size,
            "--seeds": seeds != 1,
            "--on": on,
            "--track": track,
            "--json": json,
        },
        its_own={"--group": groups, "--minutes": minutes},
    )
    with company(device, precision, compiled=compiled, sharded=shard, graphs=graphs) as engine:
        names = matching(models) if models else list(grid.LINEAGE)
        settings = options.chosen_recipe(recipe, epochs, stem, size, changes)
        image_set = data_of_all(engine.ranks, data, data_dir, skip_bad)
        if images is not None:
            image_set = subset(image_set, images)
        if campaign is not None:
            return carry_on(
                campaign,
                image_set,
                out,
                engine,
                models=models or (),
                groups=groups or (),
                minutes=minutes,
                epochs=epochs,
                changes=changes or (),
            )
        trackers = (track or []) if engine.ranks.main else []
        with (
            progress_bars() as bars,
            tracked(RunProgress(bars, runs=len(names) * seeds), trackers, out) as observer,
        ):
            outcome = spread(on, gpus_per_run)(
                names,
                image_set,
                settings,
                seeds=range(seeds),
                out=out,
                engine=engine,
                conduct=Conduct(
                    checkpoint_steps=checkpoint_every,
                    keep_weights=not no_weights,
                    command=options.this_command(),
                ),
                observer=observer,
            )
        if engine.ranks.main:
            if outcome.results:
                publish(outcome.results, out, f"{image_set.name}: which network to use", json=json)
            for name, error in outcome.failures:
                complain(f"{name}: {error}")
    return max((error.exit_code for _, error in outcome.failures), default=0)
