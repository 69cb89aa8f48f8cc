"""``convnets recipes``: the training runs there are, and one in full with its sources."""

from __future__ import annotations

from typing import Annotated

import typer

from convnets.cli import options


def command(
    name: Annotated[str | None, typer.Argument(help="A recipe's name, or a TOML file.")] = None,
    json: options.Json = False,
) -> int:
    """List recipes, or print one: every value with its source."""
    from convnets.cli.console import show
    from convnets.files import to_json
    from convnets.recipes import RECIPES, load_recipe
    from convnets.report.protocols import recipe_table, recipes_table

    if name is None:
        records = [recipe.model_dump(mode="json") for recipe in RECIPES]
        show(to_json(records) if json else recipes_table(records))
    else:
        record = load_recipe(name).model_dump(mode="json")
        show(to_json(record) if json else recipe_table(record))
    return 0
