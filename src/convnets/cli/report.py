"""``convnets report``: a leaderboard and a page from finished runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnets.cli import options

if TYPE_CHECKING:
    from convnets.records import Result
    from convnets.report.leaderboard import Row


def command(
    folders: Annotated[list[Path], typer.Argument(help="Folders that hold finished runs.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where the page goes.")] = None,
    title: Annotated[str | None, typer.Option(help="The page's title.")] = None,
    json: options.Json = False,
) -> int:
    """Make the leaderboard and report.html from finished runs."""
    from convnets.records import read_results

    results = {result.run: result for folder in folders for result in read_results(folder)}
    data = " and ".join(sorted({result.data.name for result in results.values()}))
    title = title or f"{data}: which network to use"
    publish(list(results.values()), out or folders[0], title, json=json)
    return 0


def publish(results: Sequence[Result], out: Path, title: str, *, json: bool) -> None:
    """Write page, chart and leaderboards to ``out``; show the table and what it says."""
    from convnets.cli.console import say, show
    from convnets.errors import printable
    from convnets.report.leaderboard import as_json, as_text, render_table
    from convnets.report.verdict import verdict

    rows = write(results, out, title)
    if json:
        show(as_json(rows))
    else:
        show(as_text(rows) if sys.stdout.isatty() else render_table(rows))
        for sentence in verdict(rows):
            show(printable(sentence))
    say(f"report: {out / 'report.html'}")


def write(results: Sequence[Result], out: Path, title: str) -> list[Row]:
    """Write page, chart and leaderboards to ``out``; return the leaderboard."""
    from convnets.files import atomic_write
    from convnets.report.figures import complexity_png
    from convnets.report.leaderboard import as_csv, as_json, leaderboard
    from convnets.report.page import page

    rows = leaderboard(results)
    atomic_write(out / "leaderboard.csv", as_csv(rows))
    atomic_write(out / "leaderboard.json", as_json(rows))
    atomic_write(out / "complexity.png", complexity_png(rows))
    atomic_write(out / "report.html", page(results, title=title))
    return rows
