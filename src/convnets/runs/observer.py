"""What a caller may be told while runs go on; each method does nothing unless overridden."""

from __future__ import annotations

from functools import partial
from typing import Any

from convnets.records import EpochRecord, Result
from convnets.runs.plan import Plan
from convnets.training.loop import StepReport


class Observer:
    """Told of a run's life, in order. Methods are called from the run's own thread."""

    def loading(self, what: str, done: int, total: int) -> None:
        """Data is being read or decoded."""

    def started(self, plan: Plan, step: int, total_steps: int) -> None:
        """A run begins at ``step``, or goes on from there."""

    def stepped(self, report: StepReport) -> None:
        """One optimization step is done."""

    def evaluating(self, done: int, total: int) -> None:
        """``done`` of ``total`` test batches are through."""

    def epoch_done(self, plan: Plan, record: EpochRecord) -> None:
        """An epoch was trained and tested."""

    def finished(self, plan: Plan, result: Result, *, before: bool) -> None:
        """A run has its result; ``before`` says that it had it already."""

    def failed(self, plan: Plan, error: Exception) -> None:
        """A run of a bench failed; the others go on."""

    def note(self, text: str) -> None:
        """Something a person should know: a skipped checkpoint, a skipped file."""


class Several(Observer):
    """Tells several observers of everything, in their order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers
        for event in vars(Observer):
            if not event.startswith("_"):
                setattr(self, event, partial(self._tell, event))

    def _tell(self, event: str, *what: Any, **more: Any) -> None:
        for observer in self.observers:
            getattr(observer, event)(*what, **more)
