"""What a search found, trained anew on all training images and tested once, beside its base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convnets.errors import TrainingFailed
from convnets.models import matching
from convnets.records import Result
from convnets.search.study import Study
from convnets.search.together import Setting, train_together
from convnets.search.trials import Trial
from convnets.training.stopping import StopFlag

TOLD = {"run", "model", "recipe", "epochs", "params", "macs", "training_macs", "top1", "seconds"}
"""What the record says of a last run; the rest is in that run's own result."""


@dataclass(frozen=True)
class Final:
    """A network's test; ``trial`` is the best that found it, None for the base."""

    trial: Trial | None
    result: Result


@dataclass(frozen=True)
class Found:
    """A study's trials, and the tests of its best networks and of its base, best first.

    ``shared_seconds`` is what training shared weights took, 0 without them.
    """

    study: Study
    trials: tuple[Trial, ...]
    shared_seconds: float
    finals: tuple[Final, ...]
    failures: tuple[tuple[str, TrainingFailed], ...]

    @property
    def base(self) -> Final | None:
        """The test of the base."""
        return next((f for f in self.finals if f.result.model == base_of(self.study)), None)

    @property
    def winner(self) -> Final | None:
        """The trial with the highest reward, tested: test images choose nothing."""
        tested = {final.result.model: final for final in self.finals}
        return next((tested[t.model] for t in best(self.trials) if t.model in tested), None)

    @property
    def seconds(self) -> float:
        """What training in the search took; a network that came twice was trained once."""
        runs = {trial.run: trial.seconds or 0.0 for trial in self.trials}
        return sum(runs.values()) + self.shared_seconds

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        winner = self.winner
        return {
            "space": self.study.space.content(),
            "networks": self.study.space.size,
            "how": self.study.how.model_dump(mode="json"),
            "reward": self.study.reward.model_dump(mode="json"),
            "seconds": self.seconds,
            "trials": [trial.model_dump(mode="json") for trial in self.trials],
            "base": base_of(self.study),
            "winner": None if winner is None else winner.result.model,
            "finals": [
                {
                    "trial": None if final.trial is None else final.trial.number,
                    **final.result.model_dump(mode="json", include=TOLD),
                }
                for final in self.finals
            ],
            "failures": {model: str(error) for model, error in self.failures},
        }


def base_of(study: Study) -> str:
    """The one name of the network that a study's space changes."""
    return matching([study.space.base])[0]


def best(trials: Sequence[Trial]) -> list[Trial]:
    """Complete trials by reward, of each network the first; raises ``TrainingFailed`` for none."""
    complete = [trial for trial in trials if trial.state == "complete"]
    if not complete:
        reason = trials[0].reason if trials else "there is none"
        raise TrainingFailed(f"no trial is complete; the first: {reason}")
    networks: dict[str, Trial] = {}
    for trial in sorted(complete, key=lambda trial: (-(trial.reward or 0.0), trial.number)):
        networks.setdefault(trial.model, trial)
    return list(networks.values())


def retrained(
    study: Study, trials: Sequence[Trial], shared_seconds: float, count: int, setting: Setting
) -> Found:
    """Train the best ``count`` networks and the base in one setting; the base last.

    With a count of 0 nothing is trained. Raises ``Stopped`` after a signal.
    """
    chosen = {trial.model: trial for trial in best(trials)[:count]}
    models = [*dict.fromkeys([*chosen, base_of(study)])] if count else []
    with StopFlag() as stop:
        made = train_together(models, setting, stop)
    finals = [Final(chosen.get(model), result) for model, result in made.results.items()]
    finals.sort(key=lambda final: -final.result.top1)
    return Found(study, tuple(trials), shared_seconds, tuple(finals), tuple(made.failures.items()))
