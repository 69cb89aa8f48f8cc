"""Follows a search on stderr, and shows and writes what it found."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from convnets.cli import options
from convnets.cli.console import say, show
from convnets.cli.following import RunProgress
from convnets.cli.report import write
from convnets.errors import printable
from convnets.files import atomic_write, to_json
from convnets.records import EpochRecord, Result
from convnets.runs.plan import Plan
from convnets.search.final import Found
from convnets.search.findings import finals_sheet, markdown, search_png, sentences, trials_sheet
from convnets.search.observer import Observer
from convnets.search.trials import Trial


class SearchProgress(RunProgress, Observer):
    """A line a trial; of a trial's own run a bar alone."""

    def trial_begins(self, trial: Trial, trials: int) -> None:
        self.tasks.drop("controller")
        self.tasks.drop("shared weights")
        self.tasks.move("trials", trial.number, trials)

    def trial_ends(self, trial: Trial, trials: int) -> None:
        self.tasks.move("trials", trial.number + 1, trials)
        what = trial.reason if trial.reward is None or trial.reason else f"{trial.reward:.4f}"
        self._say(f"[{trial.number + 1}/{trials}] trial {trial.number}: {what}, {trial.model}")

    def sharing(self, what: str, done: int, total: int, detail: str) -> None:
        self.tasks.move(what, done, total, detail)

    def epoch_done(self, plan: Plan, record: EpochRecord) -> None:
        """The trial's line says it."""

    def finished(self, plan: Plan, result: Result, *, before: bool) -> None:
        self.tasks.drop(self.called.pop(plan.run_name, ""))

    def of_finals(self, runs: int) -> FinalProgress:
        """What follows the runs after the search."""
        self.tasks.drop("trials")
        return FinalProgress(self.bars, runs=runs)


class FinalProgress(RunProgress, Observer):
    """Follows the last runs as any run."""


def publish(found: Found, out: Path, title: str, repeat: Sequence[str], *, json: bool) -> None:
    """Write the page, the picture and the last runs' report to ``out``; show what they say.

    ``repeat`` are the options with which a bench trains as the last runs were.
    """
    commands = [options.this_command()]
    winner, base = found.winner, found.base
    if winner is not None and base is not None:
        names = dict.fromkeys([winner.result.model, base.result.model])
        commands.append(shlex.join(["convnets", "bench", *names, *repeat, "--seeds", "3"]))
        write([final.result for final in found.finals], out / "final", title)
    atomic_write(out / "search.md", markdown(found, title, commands))
    atomic_write(out / "search.png", search_png(found))
    if json:
        show(to_json(found.to_dict()))
    else:
        show(trials_sheet(found).table())
        if found.finals:
            show(finals_sheet(found).table())
        for sentence in sentences(found):
            show(printable(sentence))
        for command in commands[1:]:
            show(f"With more seeds: {printable(command)}")
    say(f"report: {out / 'search.md'}")
