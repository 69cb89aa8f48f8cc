"""``convnets lr-find``: at which learning rate a network learns fastest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnets.cli import options


def command(
    model: Annotated[str, typer.Argument(help="A network's name; see 'convnets models'.")],
    data: options.Data = "digits",
    recipe: options.RecipeName = "baseline",
    seed: Annotated[int, typer.Option("--seed", "-s", min=0)] = 0,
    stem: options.Stem = None,
    size: options.Size = None,
    weights: options.Weights = None,
    freeze: options.Freeze = None,
    changes: options.Changes = None,
    lowest: Annotated[float, typer.Option(help="The rate to start from.")] = 1e-6,
    highest: Annotated[float, typer.Option(help="The rate to end at.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Steps between them.", min=20)] = 100,
    chart: Annotated[Path | None, typer.Option(help="Write the curve here, as PNG.")] = None,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    csv: options.Csv = False,
    json: options.Json = False,
) -> int:
    """Train for some steps at a rising rate and say where the loss falls fastest.

    Nothing is kept but the chart asked for.
    """
    from convnets.cli.console import progress_bars, show
    from convnets.cli.following import RunProgress
    from convnets.files import atomic_write, to_json
    from convnets.models import find_variant
    from convnets.report.rates import rate_chart, rate_table
    from convnets.runs.range_test import range_test
    from convnets.training.engine import choose_engine

    find_variant(model)
    settings = options.chosen_recipe(recipe, None, stem, size, changes, weights, freeze)
    engine = choose_engine(device, precision)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    with progress_bars() as bars:
        observer = RunProgress(bars)
        test = range_test(
            model,
            image_set,
            settings,
            lowest=lowest,
            highest=highest,
            count=steps,
            seed=seed,
            engine=engine,
            observer=observer,
            between=lambda done: observer.tasks.move(f"{model}: rising rate", done, steps),
        )
    record = test.to_dict()
    if chart is not None:
        atomic_write(chart, rate_chart(record))
    if csv:
        typer.echo(test.as_csv(), nl=False)
    else:
        show(to_json(record) if json else rate_table(record))
    return 0
