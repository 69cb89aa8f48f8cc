"""A table before it is drawn: for a terminal, for Markdown, or as records for CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from convnets.errors import printable
from convnets.report.format import NOTHING
from convnets.report.tables import Cell, table


@dataclass(frozen=True)
class Sheet:
    """Columns (title, right-aligned), rows of cells as text, and a line below."""

    columns: Sequence[Cell]
    body: Sequence[Sequence[object]]
    caption: str = ""

    def table(self) -> Table:
        """The sheet for a terminal."""
        return table(self.columns, self.body, self.caption)

    def markdown(self) -> str:
        """The sheet as a Markdown table; what indents a name is kept."""
        rule = ["---:" if right else "---" for _, right in self.columns]
        lines = [[title for title, _ in self.columns], rule]
        lines += [[_cell(value) for value in row] for row in self.body]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{text}\n\n{self.caption}" if self.caption else text


def _cell(value: object) -> str:
    text = NOTHING if value is None else printable(str(value))
    indent = len(text) - len(text.lstrip(" "))
    return "&nbsp;" * indent + text.lstrip(" ").replace("|", r"\|")


def records_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """A line a record, its keys the columns; what is a list has an x between its parts."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(
            {
                key: "x".join(map(str, value)) if isinstance(value, list | tuple) else value
                for key, value in record.items()
            }
        )
    return text.getvalue()
