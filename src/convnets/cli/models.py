"""``convnets models``: what can be built."""

from __future__ import annotations

from typing import Annotated

import typer

from convnets.cli import options

Family = Annotated[str | None, typer.Option(help="Networks of one family, as resnet.")]
Budget = Annotated[
    str | None, typer.Option(help="Limits, as 'params<5M,macs<600M,year>=2017,error<30'.")
]
Weights = Annotated[bool, typer.Option("--weights", help="Networks with released weights.")]


def command(
    pattern: Annotated[str, typer.Argument(help="A part of a name, or a pattern.")] = "*",
    family: Family = None,
    budget: Budget = None,
    weights: Weights = False,
    json: options.Json = False,
) -> int:
    """List networks with their year, parameters, MACs, published error and released weights."""
    from convnets.cli.console import show
    from convnets.files import to_json
    from convnets.models import find_models
    from convnets.report.tables import model_records, model_table
    from convnets.weights.released import released

    rows = find_models(pattern, family=family, budget=budget)
    offers = {name: released(name) for name in rows}
    if weights:
        rows = {name: row for name, row in rows.items() if offers[name]}
    show(to_json(model_records(rows, offers)) if json else model_table(rows, offers))
    return 0
