"""``convnets models``: what can be built."""

from __future__ import annotations

from typing import Annotated

import typer

from convnets.cli import options


def command(
    pattern: Annotated[str, typer.Argument(help="A part of a name, or a pattern.")] = "*",
    json: options.Json = False,
) -> int:
    """List networks with their year, parameters, MACs and published error."""
    from convnets.cli.console import show
    from convnets.errors import UnknownName
    from convnets.files import to_json
    from convnets.models import VARIANTS, list_models
    from convnets.report.tables import model_records, model_table

    names = list_models(pattern)
    if not names:
        raise UnknownName("model", pattern, VARIANTS)
    rows = {name: VARIANTS[name] for name in names}
    show(to_json(model_records(rows)) if json else model_table(rows))
    return 0
