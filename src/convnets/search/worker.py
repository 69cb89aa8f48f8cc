"""A study: candidates asked for, trained, rewarded and told of, trial after trial.

Its folder holds ``study.json``, a file a trial, and the runs below ``runs``. The same call goes on
where a stopped or killed one was, asks what it would have asked, and may be made by several
processes at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from convnets.data import ImageSet
from convnets.errors import (
    BadInput,
    ConvnetsError,
    DiskFull,
    PlanChanged,
    TrainingFailed,
    UsageError,
)
from convnets.files import atomic_write, read_json, to_json
from convnets.runs.plan import make_plan
from convnets.runs.run import Conduct
from convnets.runs.store import differing
from convnets.search.costs import Costing
from convnets.search.holdout import held_out
from convnets.search.observer import Observer
from convnets.search.strategies import Shared, Strategy, make_strategy
from convnets.search.study import Study
from convnets.search.together import Setting, train_together
from convnets.search.trials import PAUSE, Ask, Trial, Trials
from convnets.training.engine import Engine
from convnets.training.stopping import StopFlag

MOST_REFUSED = 100
Measure = Callable[[Trial, StopFlag], Trial]


class Learner:
    """A strategy that has been told of the finished trials in order of their numbers.

    ``check`` sees that a trial read from a file is one of the space.
    """

    def __init__(self, make: Callable[[], Strategy], check: Callable[[Trial], None]) -> None:
        self.make, self.check = make, check
        self.strategy, self.told = make(), list[int]()

    def after(self, trials: Sequence[Trial]) -> Strategy:
        """The strategy after these trials; it starts anew where one before the last is new."""
        finished = [trial for trial in trials if trial.finished]
        if [trial.number for trial in finished[: len(self.told)]] != self.told:
            self.strategy, self.told = self.make(), []
        for trial in finished[len(self.told) :]:
            self.check(trial)
            assert trial.reward is not None
            self.strategy.tell(trial.choice, trial.reward)
            self.told.append(trial.number)
        return self.strategy


class Search:
    """A study in progress in this process.

    Candidates' runs lie in ``runs``, which several studies may share; without it below ``out``.
    """

    def __init__(
        self,
        study: Study,
        image_set: ImageSet,
        out: Path,
        engine: Engine,
        observer: Observer,
        *,
        runs: Path | None = None,
    ) -> None:
        self.runs = runs or out / "runs"
        self.study, self.out, self.engine, self.observer = study, out, engine, observer
        self.images = held_out(image_set, study.validation, study.seed)
        self.costing = Costing(self.images, study.recipe, engine)
        make_plan(study.space.base, self.images, study.recipe, study.seed)
        if isinstance(study.how, Shared):
            from convnets.search.sharing import shareable

            shareable(study)
        self.trials = Trials(out)
        self.shared_seconds = 0.0
        self._claim_folder(study.content(image_set))

    def _claim_folder(self, content: dict[str, Any]) -> None:
        """Write the study, or see that the one there is the same; raises ``PlanChanged``."""
        path = self.out / "study.json"
        with self.trials.writing():
            if not path.exists():
                atomic_write(path, to_json(content) + "\n")
            elif (before := read_json(path)) != content:
                raise PlanChanged(
                    f"{path}: differs in {', '.join(differing(before, content)) or 'its form'}; "
                    "remove the folder or choose another --out"
                )

    def go(self, wanted: int) -> list[Trial]:
        """Work on the study until ``wanted`` trials are finished, by whichever process.

        Raises ``Stopped`` after a signal, once the trial at hand is safe.
        """
        with StopFlag() as stop:
            measured, ask = self._means(stop)
            while True:
                if stop.received is not None:
                    raise stop.stopped(stop.received, f"between trials; {self.out}")
                with self.trials.claim(wanted, ask) as trial:
                    if trial is not None:
                        self._work(trial, wanted, measured, stop)
                        continue
                trials = self.trials.read()[:wanted]
                if all(trial.finished for trial in trials):
                    return trials
                time.sleep(PAUSE)

    def _means(self, stop: StopFlag) -> tuple[Measure, Ask]:
        """What measures a trial and what asks for one, shared weights trained if there are some."""
        how, space = self.study.how, self.study.space
        if isinstance(how, Shared):
            from convnets.search.sharing import Sharing

            sharing = Sharing(self.study, how, self.images, self.costing, self.engine)
            sharing.train(self.out / "shared", stop, self.observer)
            self.shared_seconds = sharing.state.progress.seconds + sharing.seconds
            return sharing.measured, lambda trials: self._asked(trials, sharing.controller)
        learner = Learner(lambda: make_strategy(how, space, self.study.seed), self._check)
        return self._trained, lambda trials: self._asked(trials, learner.after(trials))

    def _asked(self, trials: Sequence[Trial], strategy: Strategy) -> Trial:
        """The next trial; what is no network for these images is asked for again, and counted."""
        space, number = self.study.space, len(trials)
        for turn in range(MOST_REFUSED):
            choice = strategy.ask(number, turn)
            try:
                model = space.network(choice)
                make_plan(model, self.images, self.study.recipe, self.study.seed)
            except UsageError as error:
                reason = error
                continue
            return Trial(
                number=number,
                state="queued",
                choice=choice,
                text=space.text(choice),
                model=model,
                refused=turn,
            )
        raise UsageError(
            f"space {space.name}: {MOST_REFUSED} candidates in a row are no networks for these "
            f"images; the last: {reason}"
        )

    def _work(
        self,
        trial: Trial,
        wanted: int,
        measured: Measure,
        stop: StopFlag,
    ) -> None:
        """Finish one claimed trial.

        What a signal or the machine stops is no fault of the trial: it is left for the next one.
        """
        self._check(trial)
        self.observer.trial_begins(trial, wanted)
        try:
            done = self._rewarded(measured(trial, stop))
        except TrainingFailed as error:
            done = trial.but(state="failed", reward=0.0, reason=str(error))
        except ConvnetsError:
            with contextlib.suppress(DiskFull):
                self.trials.finish(trial.but(state="queued", attempts=trial.attempts - 1))
            raise
        self.trials.finish(done)
        self.observer.trial_ends(done, wanted)

    def _check(self, trial: Trial) -> None:
        """Raise ``BadInput`` for a trial whose choice is not its network."""
        space = self.study.space
        counts = [len(decision.options) for decision in space.decisions]
        if len(trial.choice) == len(counts) and all(
            0 <= place < count for place, count in zip(trial.choice, counts, strict=True)
        ):
            with contextlib.suppress(UsageError):
                if space.network(trial.choice) == trial.model:
                    return
        raise BadInput(f"{self.out}: trial {trial.number} is none of the space {space.name}")

    def _trained(self, trial: Trial, stop: StopFlag) -> Trial:
        """Train a candidate as any network, and test it on the validation images."""
        setting = Setting(
            images=self.images,
            recipe=self.study.recipe,
            seed=self.study.seed,
            out=self.runs,
            engine=self.engine,
            conduct=Conduct(keep_weights=False),
            observer=self.observer,
        )
        made = train_together([trial.model], setting, stop)
        if made.failures:
            raise made.failures[trial.model]
        result = made.results[trial.model]
        return trial.but(
            accuracy=result.top1,
            params=result.params,
            macs=result.macs,
            training_macs=result.training_macs,
            seconds=result.seconds,
            run=result.run,
        )

    def _rewarded(self, trial: Trial) -> Trial:
        """A measured trial with its reward, and with the cost that counts in it."""
        reward, accuracy = self.study.reward, trial.accuracy
        assert accuracy is not None
        if reward.kind == "accuracy":
            return trial.but(state="complete", reward=accuracy)
        cost = self.costing.of(trial.model, reward.cost)
        trial = trial.but(**{reward.cost: cost})
        return trial.but(state="complete", reward=reward.of(accuracy, cost))
