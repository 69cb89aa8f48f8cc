"""What verbs show: tables on stdout, progress on stderr, quiet where nobody looks."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from convnets.errors import printable

WIDTH_OFF_TERMINAL = 220


class Output(Console):
    """A console that leaves a reader's departure to ``main`` instead of ending the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout() -> Console:
    """The console for results; wide enough for every column where it is not a terminal."""
    width = None if sys.stdout.isatty() else WIDTH_OFF_TERMINAL
    return Output(file=sys.stdout, highlight=False, width=width)


def complain(text: str) -> None:
    """One line about a failure to stderr."""
    say(f"convnets: {text}")


def say(text: str) -> None:
    """One line to stderr."""
    sys.stderr.write(f"{printable(text)}\n")


def show(content: Any) -> None:
    """A table or text to stdout; text is shown as it is, whatever names stand in it."""
    stdout().print(content, markup=False, soft_wrap=isinstance(content, str))


def progress_bars() -> Progress:
    """Bars with rate and time left, on stderr, only on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


@contextlib.contextmanager
def loading_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A callback ``(what, done, total)`` that moves a bar, one task for each ``what``."""
    with progress_bars() as bars:
        yield Tasks(bars).move


@contextlib.contextmanager
def tracked(what: str) -> Iterator[Callable[[int, int], None]]:
    """A callback ``(done, total)`` that moves one bar."""
    with progress_bars() as bars:
        tasks = Tasks(bars)
        yield lambda done, total: tasks.move(what, done, total)


class Tasks:
    """Bars by name."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.known: dict[str, TaskID] = {}

    def move(self, what: str, done: int, total: int, detail: str = "") -> None:
        """Set the bar ``what`` to ``done`` of ``total``."""
        if what not in self.known:
            self.known[what] = self.bars.add_task(printable(what), total=total, detail="")
        self.bars.update(self.known[what], completed=done, total=total, detail=detail)

    def drop(self, what: str) -> None:
        """Take a bar away."""
        if what in self.known:
            self.bars.remove_task(self.known.pop(what))
