"""One run, from a plan to a result, resumed bit for bit wherever it was cut off."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from convnets.analysis import profile
from convnets.data import ImageSet
from convnets.data.batches import Batches, make_batches, normalisation
from convnets.errors import BadModelFile, DiskFull, NonFinite, PlanChanged, TrainingFailed
from convnets.files import remove, set_aside
from convnets.memory import reset_peak_memory
from convnets.recipes import Recipe
from convnets.records import EpochRecord, Result
from convnets.runs.observer import Observer
from convnets.runs.outcome import result
from convnets.runs.plan import Plan, make_plan
from convnets.runs.store import RunFolder
from convnets.training.checkpoints import checkpoint_path, checkpoints, commit, newest_checkpoint
from convnets.training.engine import Engine, choose_engine
from convnets.training.evaluation import Evaluation, evaluate
from convnets.training.loop import steps
from convnets.training.optimizers import MOMENTS
from convnets.training.schedules import learning_rate
from convnets.training.state import TrainingState, capture, restore
from convnets.training.stopping import StopFlag
from convnets.weights.model_file import ModelDescription, build

CHECKPOINT_SECONDS = 120.0
WORST_SHOWN = 12


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
    observer, conduct = observer or Observer(), conduct or Conduct()
    engine = engine or choose_engine()
    folder = RunFolder(Path(out), plan)
    done, before = folder.result(), True
    if done is None:
        with folder.lock():
            done = folder.result()
            if done is None:
                try:
                    run = Run(plan, image_set, folder, engine, observer)
                    with StopFlag() as stop:
                        done = run.go(conduct, stop)
                except torch.OutOfMemoryError as error:
                    raise TrainingFailed(
                        f"{plan.run_name}: out of memory; use a smaller network, input or batch"
                    ) from error
                before = False
    kept = 1 if conduct.keep_weights else 0
    for _, path in checkpoints(folder.path)[kept:]:
        remove(path)
    if before and done.engine.precision != engine.precision:
        observer.note(f"{plan.run_name} was made in {done.engine.precision}")
    observer.finished(plan, done, before=before)
    return done


class Run:
    """A run in progress: the network, its data on the device, and its folder."""

    def __init__(
        self, plan: Plan, image_set: ImageSet, folder: RunFolder, engine: Engine, observer: Observer
    ) -> None:
        folder.claim()
        reset_peak_memory(engine.device)
        self.plan, self.image_set, self.folder = plan, image_set, folder
        self.engine, self.observer = engine, observer
        mean, deviation = normalisation(image_set.train, observer.loading)
        self.description = ModelDescription(
            model=plan.model,
            stem=plan.stem,
            classes=image_set.classes,
            in_chans=image_set.channels,
            input_size=plan.input_size,
            mean=mean,
            deviation=deviation,
            data=image_set.name,
        )
        torch.manual_seed(plan.seed)
        network = build(self.description)
        cost = profile(network, plan.input_size, in_chans=network.in_chans)
        self.params, self.macs = cost.params, cost.macs
        self.state = TrainingState(network, plan.recipe, engine)
        self.train_batches = self._batches(training=True)
        self.test_batches = self._batches(training=False)

    def _batches(self, *, training: bool) -> Batches:
        recipe = self.plan.recipe
        return make_batches(
            self.image_set.train if training else self.image_set.test,
            size=self.plan.input_size,
            batch_size=recipe.batch_size if training else max(recipe.batch_size, 250),
            mean=self.description.mean,
            deviation=self.description.deviation,
            device=self.engine.device,
            seed=self.plan.seed,
            augmentation=recipe.augmentation if training else None,
            training=training,
            channels_last=self.engine.channels_last,
            progress=self.observer.loading,
        )

    def go(self, conduct: Conduct, stop: StopFlag) -> Result:
        """Train to the end from wherever the folder says the run is."""
        self._resume()
        state, progress, settings = self.state, self.state.progress, self.plan.recipe
        epoch_steps = self.train_batches.steps
        saved_at, saved_step = time.monotonic(), progress.step
        self.observer.started(self.plan, progress.step, settings.epochs * epoch_steps)

        def stop_if_asked() -> None:
            if stop.received is not None:
                if progress.step > saved_step:
                    self._checkpoint()
                raise stop.stopped(f"after step {progress.step}; {self.folder.path}")

        evaluation = None
        while True:
            if progress.step // epoch_steps > len(progress.curve):
                evaluation = self._evaluate(stop_if_asked)
            if len(progress.curve) == settings.epochs:
                break
            for report in steps(state, self.train_batches, settings, self.engine):
                self.folder.log(asdict(report))
                self.observer.stepped(report)
                stop_if_asked()
                if (
                    progress.step % conduct.checkpoint_steps == 0
                    if conduct.checkpoint_steps
                    else time.monotonic() - saved_at >= conduct.checkpoint_seconds
                ):
                    self._checkpoint()
                    saved_at, saved_step = time.monotonic(), progress.step
        if evaluation is None:  # cut off between the last test and the result
            evaluation = self._test(stop_if_asked)
        return self._finish(conduct, evaluation)

    def _resume(self) -> None:
        found = newest_checkpoint(self.folder.path)
        if found is None:
            self._check_space()
            self.folder.cut_log(0, 0)
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
        for step, path in checkpoints(self.folder.path):
            if step > progress.step:
                set_aside(path)
        self.folder.cut_log(progress.step, len(progress.curve))

    def _check_space(self) -> None:
        """Refuse to begin where the checkpoints, three at the most at a time, would not fit."""
        values = sum(v.numel() * v.element_size() for v in self.state.model.state_dict().values())
        moments = len(MOMENTS[type(self.state.optimizer)] - {"step"})
        needed = 3 * values * (1 + moments + (self.state.average is not None))
        free = shutil.disk_usage(self.folder.path).free
        if free < needed:
            raise DiskFull(
                f"{self.folder.path}: {free} bytes free, checkpoints need {needed}; "
                "free some space or choose another --out"
            )

    def _checkpoint(self) -> None:
        tensors, progress = capture(self.state)
        self.folder.sync_log()
        content = {
            "progress": progress,
            "model": self.description.model_dump(mode="json"),
            "engine": self.engine.name,
        }
        commit(self.folder.path, self.state.progress.step, tensors, content)

    def _evaluate(self, stop_if_asked: Callable[[], None]) -> Evaluation:
        """Test after an epoch and put it on the learning curve."""
        progress = self.state.progress
        settings = self.plan.recipe
        total_steps = settings.epochs * self.train_batches.steps
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
        done = result(
            self.plan,
            self.state,
            evaluation,
            self.image_set,
            self.engine,
            params=self.params,
            macs=self.macs,
            command=conduct.command,
        )
        step = self.state.progress.step
        if conduct.keep_weights and not checkpoint_path(self.folder.path, step).exists():
            self._checkpoint()
        self.folder.finish(done)
        return done
