"""``convnets evaluate``: trained networks on a test split."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from convnets.cli import options

Views = Literal["one", "flip", "five-crop", "ten-crop", "multi-scale"]


def command(
    checkpoints: Annotated[
        list[str],
        typer.Argument(help="Runs, checkpoints or model files; several are tested together."),
    ],
    data: options.Data = "digits",
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    views: Annotated[
        Views, typer.Option(help="How each image is looked at; probabilities are averaged.")
    ] = "one",
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Do probabilities mean what they say?")
    ] = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Test a trained network, or several as an ensemble, on a data set with its classes."""
    from convnets.cli.console import say, show, tracked
    from convnets.compress import load_any
    from convnets.files import to_json
    from convnets.report.tables import calibration_table, evaluation_table
    from convnets.training.engine import choose_engine
    from convnets.weights import evaluate_on

    engine = choose_engine(device, precision)
    loaded = [load_any(checkpoint) for checkpoint in checkpoints]
    for note in (note for each in loaded for note in each.notes):
        say(note)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    with tracked("testing") as progress:
        record = evaluate_on(
            loaded, image_set, engine, views=views, calibrate=calibrate, progress=progress
        ).to_dict()
    show(to_json(record) if json else evaluation_table(record))
    if record["calibration"] is not None and not json:
        show(calibration_table(record["calibration"]))
    return 0
