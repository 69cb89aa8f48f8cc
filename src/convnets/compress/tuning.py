"""Training of a network that is to be smaller, kept in a folder until its file is written."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from convnets.compress.observer import Observer
from convnets.data import ImageSet
from convnets.data.augment import Augmentation, without_mirroring
from convnets.data.batches import Batches, make_batches
from convnets.errors import PlanChanged, UsageError
from convnets.files import remove
from convnets.layers.network import ConvNet
from convnets.training.checkpoints import checkpoints, commit, newest_checkpoint
from convnets.training.engine import Engine
from convnets.training.loop import steps
from convnets.training.objective import Objective
from convnets.training.settings import Optimisation
from convnets.training.state import TrainingState, capture, restore
from convnets.training.stopping import StopFlag
from convnets.weights import ModelDescription

CHECKPOINT_SECONDS = 120.0
WHOLE_RUNS_ONLY = ("class_weights", "progressive", "swa_start")


@dataclass(frozen=True)
class Tuning:
    """What is trained on what: all that decides the weights is in ``plan``, a hash.

    ``objective`` None is the settings' own. ``folder`` keeps checkpoints meanwhile.
    """

    what: str
    plan: str
    folder: Path
    description: ModelDescription
    image_set: ImageSet
    training: Optimisation
    augmentation: Augmentation
    seed: int
    objective: Objective | None = None


def tune(network: ConvNet, tuning: Tuning, engine: Engine, observer: Observer) -> ConvNet:
    """Train a network, from the folder's newest checkpoint if there is one; ``network`` is used up.

    Returns the weights that count, in eval mode. Raises ``Stopped`` after a signal, once the state
    is in the folder, ``PlanChanged`` where the folder is of another plan, and ``NonFinite``.
    """
    refuse_whole_runs(tuning.training)
    torch.manual_seed(tuning.seed)
    state = TrainingState(network, tuning.training, engine)
    _resume(state, tuning, observer)
    batches = _batches(tuning, engine, observer)
    total = tuning.training.epochs * batches.steps
    saved = time.monotonic()
    with StopFlag() as stop:
        while state.progress.step < total:
            for report in steps(state, batches, tuning.training, engine, tuning.objective):
                observer.progress(tuning.what, report.step, total, f"loss {report.loss:.3f}")
                if stop.received is not None:
                    _keep(state, tuning)
                    where = f"after step {report.step} of {tuning.what}; {tuning.folder}"
                    raise stop.stopped(stop.received, where)
                if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                    _keep(state, tuning)
                    saved = time.monotonic()
    observer.note(f"{tuning.what}: training loss {state.progress.epoch_losses[-1]:.4f}")
    trained = state.tested_model.eval()
    assert isinstance(trained, ConvNet)
    return trained


def refuse_whole_runs(training: Optimisation) -> None:
    """Raise ``UsageError`` for what only a run of ``train`` can do."""
    for name in WHOLE_RUNS_ONLY:
        if getattr(training, name) is not None:
            raise UsageError(f"{name} is for whole runs of training; give --set {name}=none")


def clear(folder: Path) -> None:
    """Remove what training left in a folder, and the folder if nothing else is in it."""
    for _, path in checkpoints(folder):
        remove(path)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _batches(tuning: Tuning, engine: Engine, observer: Observer) -> Batches:
    augmentation, description = tuning.augmentation, tuning.description
    return make_batches(
        tuning.image_set.train,
        size=description.input_size,
        batch_size=tuning.training.batch_size,
        mean=description.mean,
        deviation=description.deviation,
        device=engine.device,
        seed=tuning.seed,
        augmentation=augmentation if tuning.image_set.mirrors else without_mirroring(augmentation),
        training=True,
        channels_last=engine.channels_last,
        progress=observer.progress,
    )


def _keep(state: TrainingState, tuning: Tuning) -> None:
    tensors, progress = capture(state)
    content = {
        "plan": tuning.plan,
        "progress": progress,
        "model": tuning.description.model_dump(mode="json"),
    }
    commit(tuning.folder, state.progress.step, tensors, content)


def _resume(state: TrainingState, tuning: Tuning, observer: Observer) -> None:
    found = newest_checkpoint(tuning.folder)
    if found is None:
        return
    tensors, saved, skipped = found
    if saved.get("plan") != tuning.plan:
        raise PlanChanged(
            f"{tuning.folder}: training of another network or with other settings; remove it or "
            "choose another --out"
        )
    restore(state, tensors, saved.get("progress"))
    for reason in skipped:
        observer.note(f"checkpoint skipped: {reason}")
    observer.note(f"{tuning.what} goes on after step {state.progress.step}")
