"""Tables that verbs print: networks, a data set, one run, and predictions."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from convnets.files import to_json
from convnets.records import Result
from convnets.report.format import NOTHING, count, duration, memory, percent, plural, rate
from convnets.training.per_class import balanced_accuracy, class_scores

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


def saved_table(record: Mapping[str, Any], places: Sequence[str]) -> Table:
    """What a model file says of itself, and where it was written."""
    model, origin = record["model"], record["origin"]
    top1 = origin["top1"]
    return pairs(
        [
            ("network", f"{model['model']}, {model['stem']} stem"),
            ("classes", len(model["classes"])),
            ("trained on", model["data"]),
            ("run", origin["run"] or "unknown"),
            ("top-1", "unknown" if top1 is None else f"{percent(top1)} %"),
            ("licence", origin["licence"]),
            ("weights SHA-256", record["sha256"]),
            *(("written", place) for place in places),
        ]
    )


def evaluation_table(record: Mapping[str, Any]) -> Table:
    """A test: the whole, then each class with its share of correct images (recall), the share of
    its calls that are right (precision), and their harmonic mean."""
    columns = [("Class", False), ("Images", True), ("Correct %", True)]
    columns += [("Precision %", True), ("F1 %", True)]
    body: list[tuple[object, ...]] = [("all", record["samples"], percent(record["top1"]), "", "")]
    if record["top5"] is not None:
        first = percent(record["top5"])
        body.append(("all, among the first five", record["samples"], first, "", ""))
    confusion = record["confusion"]
    balanced = percent(balanced_accuracy(confusion))
    body.append(("mean of the classes", record["samples"], balanced, "", ""))
    for name, score in zip(record["classes"], class_scores(confusion), strict=True):
        shares = (score.recall, score.precision, score.f1)
        body.append((name, score.images, *map(percent, shares)))
    views = "" if record["views"] == "one" else f", views: {record['views']}"
    return table(columns, body, caption=f"{record['model']}, {record['stem']} stem{views}")


def calibration_table(record: Mapping[str, Any]) -> Table:
    """Confidence beside accuracy, a bin a row; then the error with and without a temperature."""
    columns = [("Confidence up to %", True), ("Images", True), ("Mean confidence %", True)]
    bins = record["bins"]
    body: list[tuple[object, ...]] = [
        (percent((place + 1) / len(bins)), each["samples"], *map(percent, _means(each)))
        for place, each in enumerate(bins)
        if each["samples"]
    ]
    caption = (
        f"expected calibration error {percent(record['error'])} %, loss {record['loss']:.4f}; "
        f"logits over {record['temperature']:.3f}: {percent(record['error_scaled'])} %, "
        f"{record['loss_scaled']:.4f}"
    )
    return table([*columns, ("Correct %", True)], body, caption=caption)


def _means(each: Mapping[str, Any]) -> tuple[float, float]:
    return each["confidence"], each["accuracy"]


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


def predictions_csv(records: Iterable[Mapping[str, Any]], guesses: int) -> Iterator[str]:
    """A line an image as it comes: path, then class and probability of each of the guesses."""
    places = range(1, guesses + 1)
    names = (f"{what}_{place}" for place in places for what in ("class", "probability"))
    yield _csv_line(["path", *names])
    for record in records:
        cells = ((guess["name"], f"{guess['probability']:.6f}") for guess in record["classes"])
        yield _csv_line([record["path"], *itertools.chain.from_iterable(cells)])


def _csv_line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def predictions_json(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The same as one JSON array, a line an image as it comes."""
    yield "["
    for number, record in enumerate(records):
        yield f"{',' * (number > 0)}\n{to_json(record, indent=None)}"
    yield "\n]\n"
