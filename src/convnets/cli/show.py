"""``convnets show``: what a network costs, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnets.cli import options

Source = Annotated[
    str | None, typer.Option("--from", help="Your own network: package.module:callable.")
]
Depth = Annotated[int | None, typer.Option(help="Fold what lies deeper than this.", min=1)]
Diagram = Annotated[Path | None, typer.Option(help="Draw stages and blocks into an SVG file.")]
Measure = Annotated[bool, typer.Option("--measure", help="Time it here, and train two steps.")]
Batches = Annotated[str, typer.Option(help="Batch sizes to measure, with commas.")]


def command(
    model: Annotated[str | None, typer.Argument(help="A name; see 'convnets models'.")] = None,
    source: Source = None,
    size: options.Size = None,
    stem: options.Stem = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.", min=1)] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of an image.", min=1)] = None,
    depth: Depth = None,
    diagram: Diagram = None,
    measure: Measure = False,
    batch_sizes: Batches = "1,32",
    device: options.Device = "cpu",
    json: options.Json = False,
    csv: options.Csv = False,
    markdown: options.Markdown = False,
) -> int:
    """Print parameters, MACs, memory and receptive field of every layer."""
    import torch

    from convnets.analysis import profile
    from convnets.analysis.measure import Measured
    from convnets.analysis.measure import measure as measured
    from convnets.cli.console import show
    from convnets.cli.sources import source as find
    from convnets.files import atomic_write, to_json
    from convnets.report.anatomy import layers, measurements
    from convnets.report.diagram import diagram as drawn
    from convnets.report.sheet import records_csv

    network = find(model, source, size=size, stem=stem, classes=classes, channels=channels)
    with torch.device("meta"):
        cost = profile(network.build(), network.size, in_chans=network.in_chans)
    if diagram is not None:
        atomic_write(diagram, drawn(network.title, cost))
    rows: list[Measured] = []
    if measure:
        sizes = options.whole_numbers(batch_sizes)
        rows = list(measured(network.build, network.size, batch_sizes=sizes, device=device))
    if json:
        show(to_json({**cost.to_dict(), "measured": [row.to_dict() for row in rows]}))
        return 0
    if csv:
        show(records_csv([layer.to_dict() for layer in cost.layers]).rstrip())
        return 0
    sheets = [layers(cost, f"{network.title}, ", depth)] + ([measurements(rows)] if rows else [])
    for sheet in sheets:
        show(sheet.markdown() if markdown else sheet.table())
    return 0
