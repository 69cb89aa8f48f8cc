"""The leaderboard: runs that differ in their seed alone are one row.

Accuracies are shares of 1 in a ``Row``, in CSV and in JSON, and percent where people read them.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convnets.errors import printable
from convnets.files import to_json
from convnets.records import Result
from convnets.report.format import count, duration, memory, percent, rate
from convnets.report.pareto import pareto

LOG_WIDTH = 240


@dataclass(frozen=True)
class Row:
    """One plan over its seeds.

    Accuracies, ``seconds`` and ``images_per_second`` are means over ``seeds``; a deviation is the
    sample standard deviation, None for one seed. ``peak_memory_bytes`` is the largest of the runs.
    ``last_gain`` is the mean change of test accuracy in the last epoch, None for one epoch.
    """

    model: str
    family: str
    year: int
    stem: str
    recipe: str
    data: str
    fingerprint: str
    test_images: int
    input_size: int
    epochs: int
    seeds: tuple[int, ...]
    params: int
    macs: int
    training_macs: int
    top1: float
    top1_deviation: float | None
    top5: float | None
    top5_deviation: float | None
    last_gain: float | None
    seconds: float
    images_per_second: float
    peak_memory_bytes: int
    device: str
    precision: str
    runs: tuple[str, ...]


def leaderboard(results: Sequence[Result]) -> list[Row]:
    """Group results by plan without seed, data and engine; most accurate first."""
    groups: dict[str, dict[int, Result]] = {}
    for result in results:
        plan = {key: value for key, value in result.plan.items() if key != "seed"}
        # one plan on two engines has two speeds: a mean of them would be neither
        engine = result.engine.model_dump()
        key = json.dumps([result.model, plan, result.data.fingerprint, engine], sort_keys=True)
        groups.setdefault(key, {})[result.seed] = result
    rows = [_row([group[seed] for seed in sorted(group)]) for group in groups.values()]
    return sorted(rows, key=lambda row: (-row.top1, row.macs, row.model, row.runs))


def _row(runs: list[Result]) -> Row:
    first = runs[0]
    top1 = [run.top1 for run in runs]
    top5 = [run.top5 for run in runs if run.top5 is not None]
    gains = [run.curve[-1].test_top1 - run.curve[-2].test_top1 for run in runs if run.curve[1:]]
    return Row(
        model=first.model,
        family=first.family,
        year=first.year,
        stem=first.stem,
        recipe=first.recipe,
        data=first.data.name,
        fingerprint=first.data.fingerprint,
        test_images=first.data.test_images,
        input_size=first.input_size,
        epochs=first.epochs,
        seeds=tuple(run.seed for run in runs),
        params=first.params,
        macs=first.macs,
        training_macs=first.training_macs,
        top1=statistics.fmean(top1),
        top1_deviation=_deviation(top1),
        top5=statistics.fmean(top5) if top5 else None,
        top5_deviation=_deviation(top5),
        last_gain=statistics.fmean(gains) if gains else None,
        seconds=statistics.fmean(run.seconds for run in runs),
        images_per_second=statistics.fmean(run.images_per_second for run in runs),
        peak_memory_bytes=max(run.peak_memory_bytes for run in runs),
        device=first.engine.device,
        precision=first.engine.precision,
        runs=tuple(run.run for run in runs),
    )


def _deviation(values: list[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def labels(rows: Sequence[Row]) -> list[str]:
    """A name for each row: its model, and what tells the rows of one model apart."""
    names = []
    for row in rows:
        twins = [twin for twin in rows if twin.model == row.model]
        apart = [
            column.phrase(row)
            for column in SETTING
            if len({column.show(twin) for twin in twins}) > 1
        ]
        names.append(f"{row.model} ({', '.join(apart)})" if apart else row.model)
    return [
        f"{name} #{names[:place].count(name) + 1}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def front(rows: Sequence[Row]) -> list[Row]:
    """The Pareto front of accuracy against MACs, cheapest first."""
    return pareto(rows, cost=lambda row: row.macs, worth=lambda row: row.top1)


@dataclass(frozen=True)
class Column:
    """One column: its title, what a person reads in it, and what a machine sorts by."""

    title: str
    show: Callable[[Row], str]
    value: Callable[[Row], str | float | None]
    numeric: bool = True

    def phrase(self, row: Row) -> str:
        """What stands in the column, for use outside it: ``small stem``, ``3 epochs``."""
        shown, noun = self.show(row), self.title.lower()
        return f"{shown} {noun.removesuffix('s') if shown == '1' else noun}"


SETTING = (
    Column("Stem", lambda row: row.stem, lambda row: row.stem, numeric=False),
    Column("Data", lambda row: row.data, lambda row: row.data, numeric=False),
    Column("Recipe", lambda row: row.recipe, lambda row: row.recipe, numeric=False),
    Column("Input", lambda row: f"{row.input_size} px", lambda row: row.input_size),
    Column("Epochs", lambda row: str(row.epochs), lambda row: row.epochs),
    Column("Seeds", lambda row: str(len(row.seeds)), lambda row: len(row.seeds)),
    Column("Device", lambda row: row.device, lambda row: row.device, numeric=False),
    Column("Precision", lambda row: row.precision, lambda row: row.precision, numeric=False),
)
TOP5 = Column("Top-5 %", lambda row: percent(row.top5, row.top5_deviation), lambda row: row.top5)
MEASURED = (
    Column("Top-1 %", lambda row: percent(row.top1, row.top1_deviation), lambda row: row.top1),
    TOP5,
    Column("Params", lambda row: count(row.params), lambda row: row.params),
    Column("MACs", lambda row: count(row.macs), lambda row: row.macs),
    Column("Training MACs", lambda row: count(row.training_macs), lambda row: row.training_macs),
    Column("Time", lambda row: duration(row.seconds), lambda row: row.seconds),
    Column("Images/s", lambda row: rate(row.images_per_second), lambda row: row.images_per_second),
    Column(
        "Peak memory", lambda row: memory(row.peak_memory_bytes), lambda row: row.peak_memory_bytes
    ),
)


def columns(rows: Sequence[Row]) -> list[Column]:
    """The columns that a table of ``rows`` needs: the settings that vary, then the figures."""
    varying = [column for column in SETTING if len({column.value(row) for row in rows}) > 1]
    return varying + [
        c for c in MEASURED if c is not TOP5 or any(row.top5 is not None for row in rows)
    ]


def setting(rows: Sequence[Row]) -> list[str]:
    """What all ``rows`` have in common, as short phrases."""
    shown = columns(rows)
    return [column.phrase(rows[0]) for column in SETTING if rows and column not in shown]


def as_text(rows: Sequence[Row]) -> Table:
    """A table for the terminal; what all rows share stands below it."""
    caption = escape(printable(" · ".join(setting(rows))))
    table = Table(box=box.SIMPLE_HEAD, caption=caption, padding=(0, 1, 0, 0))
    # where a terminal is narrow, names are the last to be cut
    table.add_column("Model", no_wrap=True)
    shown = columns(rows)
    for column in shown:
        table.add_column(column.title, justify="right" if column.numeric else "left")
    for row in rows:
        cells = [row.model, *(column.show(row) for column in shown)]
        table.add_row(*(escape(printable(cell)) for cell in cells))
    return table


def render_table(rows: Sequence[Row]) -> str:
    """The same table as plain lines of their natural width, for logs."""
    console = Console(file=io.StringIO(), width=LOG_WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(as_text(rows))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def as_csv(rows: Sequence[Row]) -> str:
    """One line a row, a column a field of ``Row``; several seeds or runs are joined by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    for row in rows:
        values = asdict(row).values()
        writer.writerow(
            " ".join(map(str, value)) if isinstance(value, tuple) else value for value in values
        )
    return text.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    """A strict JSON list of the fields of each ``Row``."""
    return to_json([asdict(row) for row in rows])
