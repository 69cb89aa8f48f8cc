"""Tables of recipes: all of them by kind and year, and one with the source of each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from convnets.report.format import NOTHING
from convnets.report.tables import table

KINDS = {
    "comparison": "one protocol for all networks",
    "transfer": "from weights trained elsewhere",
    "large images": "the papers' own, on ImageNet",
    "small images": "the papers' own on MNIST and CIFAR, and forms that fit there",
}

UNSHOWN = ("name", "summary", "year", "sources")


def kind(record: Mapping[str, Any]) -> str:
    """Which of ``KINDS`` a recipe is of."""
    if record["weights"] is not None:
        return "transfer"
    if record["year"] is None:
        return "comparison"
    return "large images" if (record["input_size"] or 0) >= 64 else "small images"


def recipes_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Recipes by kind, each with its paper's year and what it is for."""
    columns = [("Name", False), ("Year", True), ("Epochs", True), ("For", False)]
    rows: list[tuple[object, ...]] = []
    ends = []
    for name, meaning in KINDS.items():
        members = [record for record in records if kind(record) == name]
        if not members:
            continue
        rows.append((name, "", "", meaning))
        for record in sorted(members, key=lambda record: record["year"] or 0):
            year = record["year"] or ""
            rows.append((f"  {record['name']}", year, record["epochs"], record["summary"]))
        ends.append(len(rows) - 1)
    shown = table(columns, rows, caption=f"{len(records)} recipes; convnets recipes NAME shows one")
    for end in ends:
        shown.rows[end].end_section = True
    return shown


def recipe_table(record: Mapping[str, Any]) -> Table:
    """One recipe: each value that is set, with its source, a field's own or its group's."""
    sources = record["sources"]
    body = []
    for path, value in leaves({key: v for key, v in record.items() if key not in UNSHOWN}):
        groups = [path.rsplit(".", cut)[0] for cut in range(path.count(".") + 1)]
        source = next((sources[group] for group in groups if group in sources), None)
        if source is None:
            source = "" if path.endswith(".kind") else "default"
        if value is not None or path in sources:
            body.append((path, written(value), source))
    columns = [("Field", False), ("Value", False), ("Source", False)]
    year = f" ({record['year']})" if record["year"] else ""
    return table(columns, body, caption=f"{record['name']}: {record['summary']}{year}")


def leaves(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted paths and values of a nested record."""
    found: list[tuple[str, Any]] = []
    for key, value in record.items():
        path = f"{prefix}{key}"
        found += leaves(value, f"{path}.") if isinstance(value, Mapping) else [(path, value)]
    return found


def written(value: Any) -> str:
    """A value as a person reads it: four digits of a number, commas between several."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(written, value))
    return str(value)
