"""``convnets predict``: classes of images by a trained network."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convnets.cli import options

if TYPE_CHECKING:
    from convnets.errors import BadImage
    from convnets.weights import Prediction

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Images, folders of images, or - for one image on standard input."),
]
Listed = Annotated[
    Path | None,
    typer.Option("--list", help="A file with a path on each line, - for standard input."),
]
Csv = Annotated[
    Path | None, typer.Option(help="Write CSV here instead of a table, - for standard output.")
]


def command(
    checkpoint: options.Checkpoint,
    paths: Paths = None,
    listed: Listed = None,
    top: Annotated[int, typer.Option(help="How many classes an image.", min=1)] = 3,
    csv: Csv = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Print the likeliest classes of each image; images that cannot be read are listed.

    CSV and JSON are written as images are done, however many there are.
    """
    from convnets.cli.console import complain, say, show, tracked
    from convnets.cli.given import STANDARD
    from convnets.cli.given import images as given
    from convnets.compress import load_any
    from convnets.errors import UsageError
    from convnets.files import atomic_write
    from convnets.report.tables import predictions_csv, predictions_json, predictions_table
    from convnets.training.engine import choose_engine
    from convnets.weights import predictions

    if json and csv is not None:
        raise UsageError("--json or --csv, not both")
    engine = choose_engine(device, precision)
    images = given(paths or [], listed)
    loaded = load_any(checkpoint)
    for note in loaded.notes:
        say(note)
    unreadable: list[BadImage] = []
    output = sys.stdout  # a bar on the terminal takes sys.stdout's place, and would take the output
    streamed = json or csv == STANDARD
    with tracked("predicting") as bar:
        progress = None if streamed and output.isatty() else bar
        found = predictions(
            loaded, images, engine, top=top, batch_size=batch_size, progress=progress
        )
        records = _records(found, unreadable)
        lines = predictions_csv(records, min(top, len(loaded.description.classes)))
        if json:
            output.writelines(predictions_json(records))
        elif csv == STANDARD:
            output.writelines(lines)
        elif csv is not None:
            atomic_write(csv, (line.encode() for line in lines))
        shown = list(records)  # what no other form has taken
    if shown:
        show(predictions_table(shown))
    if csv is not None and csv != STANDARD:
        say(f"{len(images) - len(unreadable)} images: {csv}")
    for error in unreadable:
        complain(str(error))
    return 3 if unreadable else 0


def _records(
    found: Iterable[Prediction | BadImage], unreadable: list[BadImage]
) -> Iterator[dict[str, Any]]:
    """Predictions as JSON, as they come; what is none goes to ``unreadable``."""
    from convnets.errors import BadImage

    for one in found:
        if isinstance(one, BadImage):
            unreadable.append(one)
        else:
            yield one.to_dict()
