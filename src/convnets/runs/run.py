"""One run, from a plan to a result, resumed bit for bit wherever it was cut off."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from convnets.analysis import profile
from convnets.data import ImageSet
from convnets.errors import (
    BadModelFile,
    DiskFull,
    NonFinite,
    PlanChanged,
    TrainingFailed,
    UsageError,
)
from convnets.memory import reset_peak_memory
from convnets.recipes import Recipe
from convnets.records import EpochRecord, Result
from convnets.runs.observer import Observer
from convnets.runs.outcome import result
from convnets.runs.plan import Plan, make_plan
from convnets.runs.start import batches_of, described, first_network, objective_of
from convnets.runs.store import RunFolder
from convnets.training.averaging import epochs_averaged, measure_norms
from convnets.training.engine import Engine, choose_engine
from convnets.training.evaluation import Evaluation, evaluate
from convnets.training.loop import steps
from convnets.training.optimizers import MOMENTS
from convnets.training.ranks import Ranks
from convnets.training.regularisation import set_dropout
from convnets.training.schedules import learning_rate
from convnets.training.state import TrainingState, capture, restore
from convnets.training.stopping import StopFlag

CHECKPOINT_SECONDS = 120.0
WORST_SHOWN = 12
DUE = 1 << 8
"""What the main rank says when a checkpoint is due; lower bits are a signal's number."""


@dataclass(frozen=True)
class Conduct:
    """How a run is carried out; none of it changes the weights it ends with.

    A checkpoint falls due after ``checkpoint_seconds``, or every ``checkpoint_steps`` if given.
    ``keep_weights`` False leaves none behind. ``command`` is what repeats the run.
    """

    checkpoint_seconds: float = CHECKPOINT_SECONDS
    checkpoint_steps: int | None = None
    keep_weights: bool = True
    command: str = ""


def train(
    model: str,
    image_set: ImageSet,
    recipe: Recipe,
    *,
    seed: int = 0,
    out: Path | str = "runs",
    engine: Engine | None = None,
    conduct: Conduct | None = None,
    observer: Observer | None = None,
) -> Result:
    """Train and test one network; return its result, at once if the run is finished already.

    The run is a folder in ``out``. The same call goes on where a killed one stopped, with equal
    bits on an equal engine. Raises ``Busy`` if another process holds the run, ``NonFinite`` if
    training diverges, ``Stopped`` after a signal, once the run is safe.
    """
    plan = make_plan(model, image_set, recipe, seed)
    engine, conduct = engine or choose_engine(), conduct or Conduct()
    observer = (engine.ranks.main and observer) or Observer()
    agree_on(plan, engine.ranks)
    folder = RunFolder(Path(out), plan, engine.ranks)
    done, before = folder.result(), True
    if done is None:
        with folder.lock():
            done = folder.result()
            if done is None:
                try:
                    with engine.ranks.company(), StopFlag() as stop:
                        run = Run(plan, image_set, folder, engine, observer)
                        done = run.go(conduct, stop)
                except torch.OutOfMemoryError as error:
                    raise TrainingFailed(
                        f"{plan.run_name}: out of memory; use a smaller network, input or batch"
                    ) from error
                before = False
    folder.keep(1 if conduct.keep_weights else 0)
    if before and done.engine.precision != engine.precision:
        observer.note(f"{plan.run_name} was made in {done.engine.precision}")
    observer.finished(plan, done, before=before)
    return done


def agree_on(plan: Plan, ranks: Ranks) -> None:
    """See that all ranks are to make the same run; raises ``UsageError``."""
    names = ranks.gathered(plan.run_name)
    for rank, name in enumerate(names):
        if name != names[0]:
            raise UsageError(f"rank {rank} is to make {name}, rank 0 {names[0]}; give all the same")


class Run:
    """A run in progress: the network, its data on the device, and its folder."""

    def __init__(
        self, plan: Plan, image_set: ImageSet, folder: RunFolder, engine: Engine, observer: Observer
    ) -> None:
        folder.claim()
        reset_peak_memory(engine.device)
        self.plan, self.image_set, self.folder = plan, image_set, folder
        self.engine, self.observer = engine, observer
        self.description = described(plan, image_set, observer.loading)
        network = first_network(plan, self.description, observer.note)
        self.cost = {
            size: profile(network, size, in_chans=network.in_chans)
            for size in {plan.input_size, *plan.sizes}
        }
        self.state = TrainingState(network, plan.recipe, engine)
        self.objective = objective_of(network, plan.recipe, image_set, engine)
        self.train_batches, self.test_batches = (
            batches_of(plan, self.description, image_set, engine, training, observer.loading)
            for training in (True, False)
        )

    def go(self, conduct: Conduct, stop: StopFlag) -> Result:
        """Train to the end from wherever the folder says the run is."""
        self._resume()
        state, progress, settings = self.state, self.state.progress, self.plan.recipe
        epoch_steps, ranks = self.train_batches.steps, self.engine.ranks
        saved_at, saved_step = time.monotonic(), progress.step
        self.observer.started(self.plan, progress.step, settings.epochs * epoch_steps)

        def say() -> int:
            """A signal's number, and whether the main rank thinks it time for a checkpoint."""
            late = time.monotonic() - saved_at >= conduct.checkpoint_seconds
            return (stop.received or 0) | (DUE if late and ranks.main else 0)

        def stop_if_asked(heard: int | None = None) -> None:
            signal = (ranks.united(say()) if heard is None else heard) & ~DUE
            if signal:
                if progress.step > saved_step:
                    self._checkpoint()
                raise stop.stopped(signal, f"after step {progress.step}; {self.folder.path}")

        evaluation = None
        while True:
            if progress.step // epoch_steps > len(progress.curve):
                evaluation = self._evaluate(stop_if_asked)
            if len(progress.curve) == settings.epochs:
                break
            self._enter_stage(progress.step // epoch_steps)
            for report in steps(
                state, self.train_batches, settings, self.engine, self.objective, say
            ):
                self.folder.log(report.line())
                self.observer.stepped(report)
                heard = say() if ranks.world == 1 else report.heard
                stop_if_asked(heard)
                if (
                    progress.step % conduct.checkpoint_steps == 0
                    if conduct.checkpoint_steps
                    else heard & DUE
                ):
                    self._checkpoint()
                    saved_at, saved_step = time.monotonic(), progress.step
        if evaluation is None:  # cut off between the last test and the result
            evaluation = self._test(stop_if_asked)
        return self._finish(conduct, evaluation)

    def _enter_stage(self, epoch: int) -> None:
        """Set image size, augmentation and dropout of a run that grows."""
        stage = self.plan.stage(epoch)
        if stage is not None:
            self.train_batches.stage(stage.size, stage.strength)
            if stage.dropout is not None:
                set_dropout(self.state.model, stage.dropout)

    def _resume(self) -> None:
        found = self.folder.newest()
        if found is None:
            self.engine.ranks.by_main(self._check_space)
            self.folder.cut_back(0, 0)
            return
        tensors, saved, skipped = found
        if (begun := saved.get("engine")) != self.engine.name:
            raise PlanChanged(
                f"{self.folder.path}: begun on {begun}, now {self.engine.name}; give the same "
                "--device, --precision and --compile, or another --out"
            )
        restore(self.state, tensors, saved.get("progress"))
        progress, epoch_steps = self.state.progress, self.train_batches.steps
        epochs = progress.step // epoch_steps
        if (
            progress.step > self.plan.recipe.epochs * epoch_steps
            or len(progress.epoch_losses) != epochs
            or len(progress.curve) not in (epochs - 1, epochs)
        ):
            raise BadModelFile(f"{self.folder.path}: its checkpoint is not of this run")
        for reason in skipped:
            self.observer.note(f"checkpoint skipped: {reason}")
        if (before := saved.get("ranks", 1)) != self.engine.ranks.world:
            self.observer.note(
                f"begun on {before} ranks, goes on on {self.engine.ranks.world}: equal but for "
                "rounding and dropout"
            )
        self.folder.cut_back(progress.step, len(progress.curve))

    def _check_space(self) -> None:
        """Refuse to begin where the checkpoints, three at the most at a time, would not fit."""
        values = sum(v.numel() * v.element_size() for v in self.state.model.state_dict().values())
        kept = len(MOMENTS[type(self.state.optimizer)] - {"step"})
        needed = 3 * values * (1 + kept + (self.state.average is not None))
        free = shutil.disk_usage(self.folder.path).free
        if free < needed:
            raise DiskFull(
                f"{self.folder.path}: {free} bytes free, checkpoints need {needed}; "
                "free some space or choose another --out"
            )

    def _checkpoint(self) -> None:
        tensors, progress = capture(self.state)
        content = {
            "progress": progress,
            "model": self.description.model_dump(mode="json"),
            "engine": self.engine.name,
            "ranks": self.engine.ranks.world,
        }
        self.folder.commit(self.state.progress.step, tensors, content)

    def _evaluate(self, stop_if_asked: Callable[[], None]) -> Evaluation:
        """Test after an epoch and put it on the learning curve."""
        progress = self.state.progress
        settings = self.plan.recipe
        total_steps = settings.epochs * self.train_batches.steps
        if epochs_averaged(settings, progress.step // self.train_batches.steps) > 1:
            self._enter_stage(len(progress.curve))
            seen = self.train_batches.epoch(len(progress.curve))
            images = (batch.images for batch in seen)
            measure_norms(self.state.tested_model, images, self.engine, stop_if_asked)
        evaluation = self._test(stop_if_asked)
        record = EpochRecord(
            epoch=len(progress.curve) + 1,
            step=progress.step,
            learning_rate=learning_rate(
                settings, progress.step - 1, total_steps, progress.epoch_losses[:-1]
            ),
            train_loss=progress.epoch_losses[-1],
            test_loss=evaluation.loss,
            test_top1=evaluation.top1,
            seconds=progress.seconds,
        )
        progress.curve.append(record)
        self.folder.log(record.model_dump())
        self.observer.epoch_done(self.plan, record)
        return evaluation

    def _test(self, stop_if_asked: Callable[[], None]) -> Evaluation:
        done = 0

        def between() -> None:
            nonlocal done
            done += 1
            self.observer.evaluating(done, self.test_batches.steps)
            stop_if_asked()

        try:
            return evaluate(
                self.state.tested_model,
                self.test_batches,
                self.engine,
                num_classes=len(self.image_set.classes),
                worst=WORST_SHOWN,
                between=between,
            )
        except NonFinite as error:
            step = self.state.progress.step
            raise NonFinite(f"after step {step}: {error}; lower optimizer.lr") from error

    def _finish(self, conduct: Conduct, evaluation: Evaluation) -> Result:
        """Save what is to be kept, then write the result: from then on the run is finished."""
        images = self.plan.data.train_images
        done = result(
            self.plan,
            self.state,
            evaluation,
            self.image_set,
            self.engine,
            params=self.cost[self.plan.input_size].params,
            macs=self.cost[self.plan.input_size].macs,
            training_macs=3 * images * sum(self.cost[size].macs for size in self.plan.sizes),
            command=conduct.command,
        )
        if conduct.keep_weights and not self.folder.has(self.state.progress.step):
            self._checkpoint()
        self.folder.finish(done)
        return done
