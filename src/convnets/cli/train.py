"""``convnets train``: one network, one seed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnets.cli import options


def command(
    model: Annotated[str, typer.Argument(help="A network's name; see 'convnets models'.")],
    data: options.Data = "digits",
    recipe: options.RecipeName = "baseline",
    epochs: options.Epochs = None,
    seed: Annotated[int, typer.Option("--seed", "-s", min=0)] = 0,
    out: options.Out = Path("runs"),
    stem: options.Stem = None,
    size: options.Size = None,
    weights: options.Weights = None,
    freeze: options.Freeze = None,
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a cut-off run, as without it.")
    ] = False,
    json: options.Json = False,
) -> int:
    """Train one network; the same command goes on where a stopped one left off.

    Under ``torchrun --standalone --nproc-per-node=N -m convnets train ...`` N processes train it
    together.
    """
    from convnets.cli.console import progress_bars, show
    from convnets.cli.following import RunProgress, company, data_of_all
    from convnets.models import find_variant
    from convnets.report.tables import summary
    from convnets.runs import run
    from convnets.runs.tracking import tracked

    with company(device, precision, compiled=compiled, sharded=shard, graphs=graphs) as engine:
        find_variant(model)
        settings = options.chosen_recipe(recipe, epochs, stem, size, changes, weights, freeze)
        image_set = data_of_all(engine.ranks, data, data_dir, skip_bad)
        conduct = run.Conduct(
            checkpoint_steps=checkpoint_every,
            keep_weights=not no_weights,
            command=options.this_command(),
        )
        names = (track or []) if engine.ranks.main else []
        with progress_bars() as bars, tracked(RunProgress(bars), names, out) as observer:
            result = run.train(
                model,
                image_set,
                settings,
                seed=seed,
                out=out,
                engine=engine,
                conduct=conduct,
                observer=observer,
            )
        if engine.ranks.main:
            show(result.model_dump_json(indent=2) if json else summary(result, out / result.run))
    return 0
