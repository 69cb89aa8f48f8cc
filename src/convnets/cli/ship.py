"""``convnets ship``: a trained network in every form, measured, and which one to take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnets.cli import options

Out = Annotated[Path, typer.Option("--out", "-o", help="The folder for files, table and charts.")]
Images = Annotated[int, typer.Option(help="Test images for the accuracy of each form.", min=1)]
MaxDrop = Annotated[
    float, typer.Option(help="Points of top-1 accuracy that a form may lose.", min=0)
]
Compressed = Annotated[
    Path | None, typer.Option(help="The same network from convnets compress, as one more form.")
]


def command(
    checkpoint: options.Checkpoint,
    out: Out,
    data: options.Data = "digits",
    compressed: Compressed = None,
    images: Images = 1000,
    max_drop: MaxDrop = 1.0,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    json: options.Json = False,
    csv: options.Csv = False,
) -> int:
    """Measure bytes, accuracy and speed of a network's forms here, and write their files.

    Writes ship.json and two charts beside them; forms that are there already are not repeated.
    """
    from convnets.cli.console import Tasks, progress_bars, say, show
    from convnets.compress import load_any
    from convnets.compress.format import load_compressed
    from convnets.export import extras
    from convnets.files import atomic_write, to_json
    from convnets.report.sheet import records_csv

    with extras():
        from convnets.export.ship import ship
        from convnets.export.tables import shipped_charts, shipped_sheet
    loaded = load_any(checkpoint)
    for note in loaded.notes:
        say(note)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    with progress_bars() as bars:
        shipment = ship(
            loaded,
            image_set,
            out,
            images=images,
            most=max_drop,
            compressed=None if compressed is None else load_compressed(compressed),
            observer=Tasks(bars).move,
        )
    for name, content in shipped_charts(shipment).items():
        atomic_write(out / name, content)
    if json:
        show(to_json(shipment.model_dump(mode="json")))
    elif csv:
        show(records_csv([form.row() for form in shipment.forms]).rstrip())
    else:
        show(shipped_sheet(shipment).table())
    say(f"{shipment.model}: {out}")
    return 0
