"""What every part of the page needs of one row: its runs, its name, its mark, its colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from convnets.records import Result
from convnets.report.leaderboard import Row, labels, leaderboard

# oldest to newest: blue, teal, green, amber, vermilion, of one lightness for both themes
YEARS = ("#4a6bd6", "#1f93a6", "#4f9d55", "#c98a1b", "#d2512f")


@dataclass(frozen=True)
class Entry:
    """A row with its runs in order of seed.

    ``key`` ties its disc, its curve and its line of the table together; ``colour`` says the year.
    """

    row: Row
    runs: tuple[Result, ...]
    name: str
    key: str
    colour: str


def comparisons(results: Sequence[Result]) -> list[list[Entry]]:
    """The entries of each data set, most accurate first."""
    by_run = {result.run: result for result in results}
    rows = leaderboard(results)
    groups = []
    for index, data in enumerate(dict.fromkeys((row.data, row.fingerprint) for row in rows)):
        chosen = [row for row in rows if (row.data, row.fingerprint) == data]
        colours = year_colours(row.year for row in chosen)
        groups.append(
            [
                Entry(
                    row=row,
                    runs=tuple(by_run[run] for run in row.runs),
                    name=name,
                    key=f"set{index + 1}-{place + 1}",
                    colour=colours[row.year],
                )
                for place, (row, name) in enumerate(zip(chosen, labels(chosen), strict=True))
            ]
        )
    return groups


def year_colours(years: Iterable[int]) -> dict[int, str]:
    """A colour for each year, evenly along ``YEARS`` in order of time."""
    ordered = sorted(set(years))
    step = (len(YEARS) - 1) / max(len(ordered) - 1, 1)
    return {year: _between(place * step) for place, year in enumerate(ordered)}


def _between(place: float) -> str:
    first = min(int(place), len(YEARS) - 2)
    share = place - first
    low, high = (bytes.fromhex(YEARS[index][1:]) for index in (first, first + 1))
    return "#" + bytes(round(a + (b - a) * share) for a, b in zip(low, high, strict=True)).hex()
