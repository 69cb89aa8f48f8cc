"""``convnets ladder``: from ResNet to ConvNeXt, step by step."""

from __future__ import annotations

from typing import Annotated

import typer

from convnets.cli import options

Base = Annotated[bool, typer.Option("--base", help="From ResNet-200 to ConvNeXt-B.")]


def command(base: Base = False, json: options.Json = False) -> int:
    """Show the steps from ResNet-50 to ConvNeXt-T: what changes, its cost, published accuracy."""
    from convnets.cli.console import show
    from convnets.files import to_json
    from convnets.models.ladder import FAMILY, LADDERS
    from convnets.report.format import count
    from convnets.report.tables import table

    source = "Table 11" if base else "Table 10"
    rungs = LADDERS[source]
    records = [
        {
            "step": int(rung.step),
            "model": rung.model,
            "change": rung.step.change,
            "params": rung.params,
            "macs": rung.macs,
            "published_top1": rung.top1,
            "source": f"{FAMILY.url}, {source}",
        }
        for rung in rungs
    ]
    if json:
        show(to_json(records))
        return 0
    columns = [("Step", True), ("Model", False), ("What changes", False)]
    columns += [("Params", True), ("MACs", True), ("Published top-1 %", False)]
    rows = [
        (
            int(rung.step),
            rung.model,
            rung.step.change,
            count(rung.params),
            count(rung.macs),
            rung.top1,
        )
        for rung in rungs
    ]
    show(table(columns, rows, caption=f"accuracies: {FAMILY.paper}, {source}"))
    return 0
