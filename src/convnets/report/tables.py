"""Tables that verbs print: networks, recipes, a data set, one run, and predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from convnets.catalog import Family, Variant
from convnets.errors import printable
from convnets.records import Result
from convnets.report.format import NOTHING, count, duration, memory, percent, plural, rate

Cell = tuple[str, bool]


def table(columns: Sequence[Cell], rows: Iterable[Sequence[object]], caption: str = "") -> Table:
    """A plain table; a column is (title, whether it is right-aligned)."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1), caption=escape(caption) or None)
    for place, (title, right) in enumerate(columns):
        # Where a terminal is narrow, names are the last to be cut.
        justify: Literal["right", "left"] = "right" if right else "left"
        shown.add_column(title, justify=justify, overflow="fold", no_wrap=place == 0)
    for row in rows:
        shown.add_row(*(NOTHING if cell is None else escape(printable(str(cell))) for cell in row))
    return shown


def pairs(rows: Iterable[tuple[str, object]]) -> Table:
    """Two columns, names and values, without a heading."""
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    shown.add_column()
    shown.add_column(overflow="fold")
    for name, value in rows:
        shown.add_row(escape(name), escape(printable(str(value))))
    return shown


Rows = Mapping[str, tuple[Family, Variant]]


def model_table(rows: Rows, weights: Mapping[str, Sequence[str]]) -> Table:
    """Networks with their paper's year, exact cost, published top-1 error and released weights."""
    columns = [
        ("Name", False),
        ("Family", False),
        ("Year", True),
        ("Params", True),
        ("MACs", True),
        ("Input", True),
        ("Top-1 error %", True),
        ("Published in", False),
        ("Weights", False),
    ]
    body = [
        (
            name,
            family.title,
            family.year,
            count(variant.params),
            count(variant.macs),
            f"{variant.input_size}x{variant.input_size}x{variant.in_chans}",
            variant.published and variant.published.top1_error,
            variant.published.source if variant.published else "",
            ", ".join(weights[name]),
        )
        for name, (family, variant) in rows.items()
    ]
    return table(columns, body, caption=plural(len(rows), "network"))


def model_records(rows: Rows, weights: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """The same rows, exact, for JSON."""
    return [
        {
            "name": name,
            "family": family.title,
            "year": family.year,
            "paper": family.paper,
            "url": family.url,
            "params": variant.params,
            "params_10": variant.params_10,
            "macs": variant.macs,
            "counted_in": variant.counted_in,
            "input_size": variant.input_size,
            "in_chans": variant.in_chans,
            "num_classes": variant.num_classes,
            "small_stem": family.small_stem,
            "published": asdict(variant.published) if variant.published else None,
            "weights": list(weights[name]),
            "note": variant.note,
        }
        for name, (family, variant) in rows.items()
    ]


def recipes_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Recipes by name, each with what it is for."""
    columns = [("Name", False), ("Epochs", True), ("For", False)]
    return table(columns, [(r["name"], r["epochs"], r["summary"]) for r in records])


def recipe_table(record: Mapping[str, Any]) -> Table:
    """One recipe: every value with its source, a field's own or its group's."""
    sources = record["sources"]
    body = []
    for path, value in leaves({k: v for k, v in record.items() if k not in ("sources", "summary")}):
        groups = [path.rsplit(".", cut)[0] for cut in range(path.count(".") + 1)]
        source = next((sources[group] for group in groups if group in sources), "")
        body.append((path, value, source))
    columns = [("Field", False), ("Value", False), ("Source", False)]
    return table(columns, body, caption=record["summary"])


def leaves(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted paths and values of a nested record."""
    found: list[tuple[str, Any]] = []
    for key, value in record.items():
        path = f"{prefix}{key}"
        found += leaves(value, f"{path}.") if isinstance(value, Mapping) else [(path, value)]
    return found


def summary(result: Result, folder: Path) -> Table:
    """One finished run."""
    return pairs(
        [
            ("network", f"{result.model}, {result.stem} stem"),
            ("data", f"{result.data.name}, {result.data.test_images} test images"),
            ("top-1", f"{percent(result.top1)} %"),
            ("top-5", f"{percent(result.top5)} %"),
            ("test loss", f"{result.test_loss:.4f}"),
            ("params", count(result.params)),
            ("MACs an image", count(result.macs)),
            ("training MACs", count(result.training_macs)),
            ("training time", duration(result.seconds)),
            ("images/s", rate(result.images_per_second)),
            ("peak memory", memory(result.peak_memory_bytes)),
            ("weights SHA-256", result.weights_sha256),
            ("run", folder),
        ]
    )


def evaluation_table(record: Mapping[str, Any]) -> Table:
    """A test: the whole, then each class."""
    columns = [("Class", False), ("Images", True), ("Correct %", True)]
    body: list[tuple[object, ...]] = [("all", record["samples"], percent(record["top1"]))]
    if record["top5"] is not None:
        body.append(("all, among the first five", record["samples"], percent(record["top5"])))
    for name, row, index in zip(
        record["classes"], record["confusion"], range(len(record["classes"])), strict=True
    ):
        images = sum(row)
        body.append((name, images, percent(row[index] / images if images else None)))
    return table(columns, body, caption=f"{record['model']}, {record['stem']} stem")


def data_table(record: Mapping[str, Any]) -> Group:
    """What a data set holds: its facts, its classes, and what to beware of."""
    per_class = ("classes", "train_counts", "test_counts")
    facts = [
        (name.replace("_", " "), _joined(value))
        for name, value in record.items()
        if name not in (*per_class, "warnings", "skipped")
    ]
    classes = table(
        [("Class", False), ("Training", True), ("Test", True)],
        zip(*(record[name] for name in per_class), strict=True),
    )
    remarks = [f"warning: {text}" for text in record["warnings"]]
    remarks += [f"skipped: {name}" for name in record["skipped"]]
    return Group(pairs(facts), classes, *(Text(printable(remark)) for remark in remarks))


def _joined(value: object) -> str:
    values = value if isinstance(value, list | tuple) else (value,)
    return ", ".join(f"{item:.4g}" if isinstance(item, float) else str(item) for item in values)


def predictions_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """An image a row: its path and its likeliest classes with their probabilities."""
    guesses = max((len(record["classes"]) for record in records), default=0)
    columns = [("Image", False)]
    columns += [(f"{place + 1}.", False) for place in range(guesses)]
    body = [
        (
            record["path"],
            *(f"{guess['name']} {guess['probability']:.1%}" for guess in record["classes"]),
        )
        for record in records
    ]
    return table(columns, body)


def predictions_csv(records: Sequence[Mapping[str, Any]], top: int) -> str:
    """A line an image: path, then class and probability of each guess."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    guesses = min(top, max((len(record["classes"]) for record in records), default=top))
    heading = ["path"]
    for place in range(1, guesses + 1):
        heading += [f"class_{place}", f"probability_{place}"]
    writer.writerow(heading)
    for record in records:
        cells = [record["path"]]
        for guess in record["classes"]:
            cells += [guess["name"], f"{guess['probability']:.6f}"]
        writer.writerow(cells)
    return text.getvalue()
