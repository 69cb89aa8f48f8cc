"""``convnets predict``: classes of images by a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnets.cli import options


def command(
    checkpoint: options.Checkpoint,
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    top: Annotated[int, typer.Option(help="How many classes an image.", min=1)] = 3,
    csv: Annotated[Path | None, typer.Option(help="Write a CSV file here instead.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Print the likeliest classes of each image; images that cannot be read are listed."""
    from convnets.cli.console import complain, say, show, tracked
    from convnets.files import atomic_write, to_json
    from convnets.report.tables import predictions_csv, predictions_table
    from convnets.training.engine import choose_engine
    from convnets.weights import load_model, predict

    engine = choose_engine(device, precision)
    loaded = load_model(checkpoint)
    for note in loaded.notes:
        say(note)
    with tracked("predicting") as progress:
        outcome = predict(loaded, paths, engine, top=top, batch_size=batch_size, progress=progress)
    records = [prediction.to_dict() for prediction in outcome.predictions]
    if csv is not None:
        atomic_write(csv, predictions_csv(records, top))
        say(f"{len(records)} images: {csv}")
    else:
        show(to_json(records) if json else predictions_table(records))
    for error in outcome.unreadable:
        complain(str(error))
    return 3 if outcome.unreadable else 0
