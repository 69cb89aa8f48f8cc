"""What a caller may be told while a search goes on."""

from __future__ import annotations

from convnets.runs import observer
from convnets.search.trials import Trial


class Observer(observer.Observer):
    """Told of trials beside their runs; does nothing unless overridden."""

    def trial_begins(self, trial: Trial, trials: int) -> None:
        """One of ``trials`` trials is claimed by this process."""

    def trial_ends(self, trial: Trial, trials: int) -> None:
        """It is complete or failed."""

    def sharing(self, what: str, done: int, total: int, detail: str) -> None:
        """``done`` of ``total`` steps of work on shared weights are done."""
