"""Follows runs on stderr: bars on a terminal, a line for each epoch everywhere.

Of several ranks the main one alone speaks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import typer
from rich.progress import Progress

from convnets.cli import options
from convnets.cli.console import Tasks, say
from convnets.data import ImageSet, load_data
from convnets.errors import ConvnetsError, UsageError, printable
from convnets.records import EpochRecord, Result
from convnets.runs import Bench, Observer, bench
from convnets.runs.plan import Plan
from convnets.training.engine import Engine, Precision, choose_engine
from convnets.training.loop import StepReport
from convnets.training.ranks import ALONE, Ranks, joined


@contextlib.contextmanager
def company(
    device: str, precision: Precision, *, compiled: bool, sharded: bool, graphs: bool
) -> Iterator[Engine]:
    """The engine of this process, and of those that torchrun has started beside it.

    An error that all ranks raise is told of by the main one.
    """
    with joined(device) as ranks:
        try:
            yield choose_engine(
                device, precision, compiled=compiled, ranks=ranks, sharded=sharded, graphs=graphs
            )
        except ConvnetsError as error:
            if ranks.main or ALONE in getattr(error, "__notes__", ()):
                raise
            raise typer.Exit(error.exit_code) from error


def data_of_all(ranks: Ranks, name: str, data_dir: Path | None, skip_bad: bool) -> ImageSet:
    """The data set, read by the main rank first, which downloads what is missing."""
    if not ranks.main:
        ranks.barrier()
        return load_data(name, data_dir=data_dir, on_error="skip" if skip_bad else "fail")
    try:
        return options.loaded_data(name, data_dir, skip_bad)
    finally:
        ranks.barrier()


def spread(on: str | None, gpus_per_run: float | None) -> Callable[..., Bench]:
    """What makes a bench's runs: this process one by one, or a Ray cluster."""
    if on is None:
        if gpus_per_run is not None:
            raise UsageError("--gpus-per-run is for --on ray")
        return bench
    from convnets.runs.ray_cluster import bench_on_ray

    return partial(bench_on_ray, gpus=gpus_per_run)


class RunProgress(Observer):
    """Follows runs, one by one or several at once: a bar for each, and one for its test."""

    def __init__(self, bars: Progress, runs: int = 1) -> None:
        self.bars, self.tasks = bars, Tasks(bars)
        self.runs, self.run = runs, 0
        self.called: dict[str, str] = {}
        self.name, self.total = "", 0

    def _say(self, text: str) -> None:
        if self.bars.disable:
            say(text)
        else:
            self.bars.console.print(printable(text), highlight=False, markup=False)

    def loading(self, what: str, done: int, total: int) -> None:
        self.tasks.move(what, done, total)
        if done >= total:
            self.tasks.drop(what)

    def started(self, plan: Plan, step: int, total_steps: int) -> None:
        self.run += 1
        place = f"[{self.run}/{self.runs}] " if self.runs > 1 else ""
        self.name, self.total = f"{place}{plan.model} seed {plan.seed}", total_steps
        self.called[plan.run_name] = self.name
        if step:
            self._say(f"{self.name}: goes on from step {step} of {total_steps}")
        self.tasks.move(self.name, step, total_steps)

    def stepped(self, report: StepReport) -> None:
        detail = f"epoch {report.epoch + 1}, loss {report.loss:.3f}"
        self.tasks.move(self.name, report.step, self.total, detail)

    def evaluating(self, done: int, total: int) -> None:
        self.tasks.move("  test", done, total)
        if done >= total:
            self.tasks.drop("  test")

    def epoch_done(self, plan: Plan, record: EpochRecord) -> None:
        name = self.called[plan.run_name]
        self.tasks.move(name, record.step, record.step * plan.recipe.epochs // record.epoch)
        self._say(
            f"{name}: epoch {record.epoch}/{plan.recipe.epochs}, "
            f"train loss {record.train_loss:.3f}, test loss {record.test_loss:.3f}, "
            f"top-1 {record.test_top1:.2%}, {record.seconds:.0f} s"
        )

    def finished(self, plan: Plan, result: Result, *, before: bool) -> None:
        if before:
            self.run += 1
            self._say(f"{plan.model} seed {plan.seed}: finished before, top-1 {result.top1:.2%}")
        self.tasks.drop(self.called.pop(plan.run_name, ""))

    def failed(self, plan: Plan, error: Exception) -> None:
        self.tasks.drop(self.called.pop(plan.run_name, ""))
        self._say(f"{plan.model} seed {plan.seed}: failed: {error}")

    def note(self, text: str) -> None:
        self._say(text)
