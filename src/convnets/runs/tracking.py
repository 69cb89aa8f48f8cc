"""Runs followed in TensorBoard or Weights & Biases, beside the log that every run keeps itself."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convnets.errors import EnvironmentFailure, UnknownName
from convnets.files import refusals
from convnets.records import EpochRecord, Result
from convnets.runs.observer import Observer, Several
from convnets.runs.plan import Plan
from convnets.runs.store import LOG
from convnets.training.loop import StepReport

PROJECT = "convnets"
STEP = {
    "train/loss": "loss",
    "train/learning_rate": "learning_rate",
    "train/gradient_norm": "gradient_norm",
}
EPOCH = {
    "train/epoch_loss": "train_loss",
    "test/loss": "test_loss",
    "test/top1": "test_top1",
    "seconds": "seconds",
}


@contextlib.contextmanager
def tracked(observer: Observer, names: Sequence[str], out: Path) -> Iterator[Observer]:
    """An observer that tells ``observer``, and for each name a tracker, of the runs in ``out``.

    Trackers' files go to ``out/NAME``; they are closed at the end, however a run ends. Raises
    ``UnknownName``, and ``EnvironmentFailure`` where what a name needs is not installed.
    """
    kinds: dict[str, Callable[[Path], TensorBoard | WeightsAndBiases]]
    kinds = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}
    for name in names:
        if name not in kinds:
            raise UnknownName("tracker", name, kinds)
    trackers = [kinds[name](out) for name in dict.fromkeys(names)]
    try:
        yield Several(observer, *trackers)
    finally:
        for tracker in trackers:
            tracker.close()


def _needed(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EnvironmentFailure(
            f"--track {name} needs what is not installed here ({error}); "
            "pip install 'convnets[track]'"
        ) from error


def scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """What is followed of a line of a run's log, after a step or after an epoch."""
    return {name: line[field] for name, field in (EPOCH if "test_top1" in line else STEP).items()}


class TensorBoard(Observer):
    """Scalars as TensorBoard reads them: a folder in ``out/tensorboard`` for each run.

    A run that goes on tells its log anew: what was written before it was cut off may lack its
    end, or go too far.
    """

    def __init__(self, out: Path) -> None:
        self.module = _needed("torch.utils.tensorboard", "tensorboard")
        self.out = out
        self.writer: Any = None

    def started(self, plan: Plan, step: int, total_steps: int) -> None:
        self.close()
        path, log = self.out / "tensorboard" / plan.run_name, self.out / plan.run_name / LOG
        with refusals(path):
            self.writer = self.module.SummaryWriter(str(path), purge_step=0 if step else None)
        for line in log.read_text("utf-8").splitlines() if step else ():
            self._write(json.loads(line))

    def _write(self, line: Mapping[str, Any]) -> None:
        for name, value in scalars(line).items():
            self.writer.add_scalar(name, value, line["step"])

    def stepped(self, report: StepReport) -> None:
        self._write(report.line())

    def epoch_done(self, plan: Plan, record: EpochRecord) -> None:
        self._write(record.model_dump())
        with refusals(self.out):
            self.writer.flush()

    def finished(self, plan: Plan, result: Result, *, before: bool) -> None:
        self.close()

    def failed(self, plan: Plan, error: Exception) -> None:
        self.close()

    def close(self) -> None:
        """Write out what is left of the run before."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class WeightsAndBiases(Observer):
    """Scalars, plan and result in the project ``convnets``; ``WANDB_MODE=offline`` keeps them here.

    A run that goes on is the same run there: it is known by its name, which has its plan's hash.
    """

    def __init__(self, out: Path) -> None:
        self.module = _needed("wandb", "wandb")
        self.folder = out / "wandb"
        self.run: Any = None

    def started(self, plan: Plan, step: int, total_steps: int) -> None:
        self.close()
        with refusals(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.run = self.module.init(
            project=PROJECT,
            id=plan.run_name,
            name=plan.run_name,
            config=plan.content(),
            dir=str(self.folder),
            resume="allow",
        )

    def stepped(self, report: StepReport) -> None:
        self.run.log(scalars(report.line()), step=report.step)

    def epoch_done(self, plan: Plan, record: EpochRecord) -> None:
        self.run.log(scalars(record.model_dump()), step=record.step)

    def finished(self, plan: Plan, result: Result, *, before: bool) -> None:
        if self.run is not None:
            found = {"top1": result.top1, "top5": result.top5, "test_loss": result.test_loss}
            self.run.summary.update(found)
        self.close()

    def failed(self, plan: Plan, error: Exception) -> None:
        self.close(exit_code=1)

    def close(self, exit_code: int = 0) -> None:
        """End the run before."""
        if self.run is not None:
            self.run.finish(exit_code=exit_code)
            self.run = None
