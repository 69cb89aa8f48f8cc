"""Follows a compression on stderr: bars on a terminal, a line for each stage everywhere."""

from __future__ import annotations

from rich.progress import Progress

from convnets.cli.console import Tasks, say
from convnets.compress import Observer
from convnets.errors import printable


class StageProgress(Observer):
    """A bar for what is being done, gone when it is done."""

    def __init__(self, bars: Progress) -> None:
        self.bars, self.tasks = bars, Tasks(bars)

    def progress(self, what: str, done: int, total: int, detail: str = "") -> None:
        self.tasks.move(what, done, total, detail)
        if done >= total:
            self.tasks.drop(what)

    def note(self, text: str) -> None:
        if self.bars.disable:
            say(text)
        else:
            self.bars.console.print(printable(text), highlight=False, markup=False)
