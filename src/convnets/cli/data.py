"""``convnets data``: describe and check a data set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from convnets.cli import options


def command(
    name: Annotated[str | None, typer.Argument(help="A known set's name, or a path.")] = None,
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a contact sheet (PNG) of each class here.")
    ] = None,
    json: options.Json = False,
) -> int:
    """List known sets, or describe one and check it: counts, sizes, duplicates, imbalance."""
    from convnets.cli.console import say, show
    from convnets.data import KNOWN
    from convnets.data.describe import contact_sheet, describe
    from convnets.files import atomic_write, to_json
    from convnets.report.tables import data_table, table

    if name is None:
        sets = [(name, known.title, known.licence, known.source) for name, known in KNOWN.items()]
        names = ("name", "title", "licence", "source")
        records = [dict(zip(names, row, strict=True)) for row in sets]
        columns = [("Name", False), ("What it holds", False), ("Licence", False)]
        show(to_json(records) if json else table(columns, [row[:3] for row in sets]))
        return 0
    image_set = options.loaded_data(name, data_dir, skip_bad)
    record = asdict(describe(image_set))
    show(to_json(record) if json else data_table(record))
    if sheet is not None:
        atomic_write(sheet, contact_sheet(image_set))
        say(f"contact sheet: {sheet}")
    return 0
