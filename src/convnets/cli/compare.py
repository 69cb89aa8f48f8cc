"""``convnets compare``: networks side by side, before any training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnets.cli import options

Names = Annotated[list[str] | None, typer.Argument(help="Names or patterns; all with --budget.")]
Budget = Annotated[str | None, typer.Option(help="Limits, as 'macs<600M,params<5M,latency<20ms'.")]
Measure = Annotated[bool, typer.Option("--measure", help="Time one image through each, here.")]
Results = Annotated[
    Path | None, typer.Option(help="Accuracy from the runs below this folder, not published.")
]
Charts = Annotated[Path | None, typer.Option(help="Write charts into this folder, as SVG and PNG.")]


def command(
    models: Names = None,
    budget: Budget = None,
    size: options.Size = None,
    stem: options.Stem = None,
    measure: Measure = False,
    device: options.Device = "cpu",
    results: Results = None,
    charts: Charts = None,
    json: options.Json = False,
    csv: options.Csv = False,
    markdown: options.Markdown = False,
) -> int:
    """Compare what networks cost; with --budget, find those that fit."""
    from convnets.cli.comparing import compared, write_charts
    from convnets.cli.console import show
    from convnets.files import to_json
    from convnets.report.sheet import records_csv

    found = compared(models, budget, size, stem, device if measure else None)
    if charts is not None:
        write_charts(found, charts, results)
    if json:
        show(to_json(found.records()))
    elif csv:
        show(records_csv(found.records()).rstrip())
    else:
        sheet = found.sheet()
        show(sheet.markdown() if markdown else sheet.table())
    return 0
