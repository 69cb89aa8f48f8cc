"""Search with shared weights: train them and a controller in turn, then rank its candidates.

ENAS (Pham et al. 2018), Section 2.2. The weights take each training batch along a path that the
controller samples; the controller is then trained on its paths' accuracy on validation images,
with the weights as they are. In the end a candidate is ranked without any training of its own.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convnets.data import ImageSet
from convnets.errors import BadModelFile, UsageError
from convnets.files import lock
from convnets.models import find_variant
from convnets.runs.plan import make_plan
from convnets.runs.run import CHECKPOINT_SECONDS
from convnets.runs.start import batches_of, described
from convnets.search.built_in import CellByCell
from convnets.search.controller import Reinforce
from convnets.search.costs import Costing
from convnets.search.observer import Observer
from convnets.search.shared import SharedCells
from convnets.search.spaces import Choice
from convnets.search.strategies import Shared
from convnets.search.study import Study
from convnets.search.trials import PAUSE, Trial
from convnets.training.checkpoints import commit, newest_checkpoint
from convnets.training.engine import Engine
from convnets.training.evaluation import evaluate
from convnets.training.loop import steps
from convnets.training.objective import make_objective
from convnets.training.state import TrainingState, capture, restore
from convnets.training.stopping import StopFlag

WHOLE_RUNS_ONLY = (
    *("ema_decay", "swa_start", "progressive", "freeze", "weights", "class_weights"),
    *("auxiliary_weight", "layer_decay"),
)
CONTROLLER = "controller."


def shareable(study: Study) -> CellByCell:
    """How the study's decisions make cells; raises ``UsageError`` where no weights are shared."""
    if not isinstance(study.space.composition, CellByCell):
        raise UsageError(f"weights are shared in the space cells alone, not in {study.space.name}")
    for name in WHOLE_RUNS_ONLY:
        if getattr(study.recipe, name) is not None:
            raise UsageError(f"{name} does not go with shared weights; give --set {name}=none")
    return study.space.composition


class Sharing:
    """Shared weights and their controller, in training or trained.

    ``seconds`` is what the controller's updates took; the weights' are in their progress.
    """

    def __init__(
        self, study: Study, how: Shared, images: ImageSet, costing: Costing, engine: Engine
    ) -> None:
        space, recipe = study.space, study.recipe
        self.composition = shareable(study)
        self.study, self.how, self.engine, self.costing = study, how, engine, costing
        plan = make_plan(space.base, images, recipe, study.seed)
        self.recipe = plan.recipe
        torch.manual_seed(study.seed)
        network = SharedCells(
            replace(find_variant(space.base)[1].spec, stem=plan.stem),
            self.composition.blocks,
            in_chans=images.channels,
            num_classes=len(images.classes),
        )
        self.network, self.state = network, TrainingState(network, self.recipe, engine)
        self.objective = make_objective(network, self.recipe)
        description = described(plan, images, None)
        self.batches, self.validation = (
            batches_of(plan, description, images, engine, training) for training in (True, False)
        )
        self.controller = Reinforce(space, study.seed, how.controller)
        self.updates, self.seconds = 0, 0.0
        self.classes = len(images.classes)

    @property
    def position(self) -> int:
        """Steps of the weights and of the controller so far."""
        return self.state.progress.step + self.updates

    def train(self, folder: Path, stop: StopFlag, observer: Observer) -> None:
        """Train to the end from wherever ``folder`` says it is; waits for another that does.

        Raises ``Stopped`` after a signal, once the state is in the folder.
        """
        keeper = _Keeper(self, folder, stop)
        with keeper.held():
            keeper.resume()
            epochs, each = self.recipe.epochs, self.how.controller_steps
            while True:
                done = self.state.progress.step // self.batches.steps
                if self.updates < done * each:
                    self._teach(done * each, keeper, observer)
                elif done < epochs:
                    self._learn(keeper, observer)
                else:
                    break
            keeper.keep()

    def _learn(self, keeper: _Keeper, observer: Observer) -> None:
        """Train the weights to the end of an epoch, each batch along another path."""
        total = self.recipe.epochs * self.batches.steps
        self._follow(self._path("weights", self.state.progress.step))
        for report in steps(self.state, self.batches, self.recipe, self.engine, self.objective):
            observer.sharing("shared weights", report.step, total, f"loss {report.loss:.3f}")
            keeper.look()
            self._follow(self._path("weights", report.step))

    @torch.no_grad()
    def _accuracy(self, choice: Choice, images: Tensor, targets: Tensor) -> float:
        """Of one path on one batch."""
        self._follow(choice)
        with self.engine.autocast():
            logits = self.network(images)
        return float((logits.argmax(1) == targets).float().mean())

    def _teach(self, until: int, keeper: _Keeper, observer: Observer) -> None:
        """Train the controller up to so many updates, a batch of validation images each."""
        total = self.recipe.epochs * self.how.controller_steps
        self.network.eval()
        while self.updates < until:
            for batch in self.validation.epoch(0, self.updates % self.validation.steps):
                begun = time.monotonic()
                choice = self._path("controller", self.updates)
                reward = self._reward(choice, self._accuracy(choice, batch.images, batch.targets))
                self.controller.tell(choice, reward)
                self.updates += 1
                self.seconds += time.monotonic() - begun
                observer.sharing("controller", self.updates, total, f"reward {reward:.3f}")
                keeper.look()
                if self.updates == until:
                    break

    def _reward(self, choice: Choice, accuracy: float) -> float:
        reward = self.study.reward
        if reward.kind == "accuracy":
            return accuracy
        cost = self.costing.of(self.study.space.network(choice), reward.cost)
        return reward.of(accuracy, cost)

    def measured(self, trial: Trial, stop: StopFlag) -> Trial:
        """A candidate's accuracy on all validation images with the shared weights."""
        # Differs: the paper ranks by one minibatch.
        self._follow(trial.choice)

        def look() -> None:
            if stop.received is not None:
                raise stop.stopped(stop.received, f"at trial {trial.number}")

        found = evaluate(
            self.network, self.validation, self.engine, num_classes=self.classes, between=look
        )
        params, macs = (self.costing.of(trial.model, kind) for kind in ("params", "macs"))
        return trial.but(accuracy=found.top1, params=params, macs=macs)

    def _path(self, purpose: str, number: int) -> Choice:
        draw = random.Random(f"{self.study.seed} {purpose} {number}")
        return self.controller.policy.sample(draw)

    def _follow(self, choice: Choice) -> None:
        values = self.study.space.options(choice)
        normal, reduction = (self.composition.rows(values, c) for c in ("normal", "reduction"))
        self.network.follow(normal, reduction)

    def captured(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that training must remember: tensors by name, and numbers."""
        tensors, progress = capture(self.state)
        for name, value in self.controller.captured().items():
            tensors[CONTROLLER + name] = value
        numbers = {"updates": self.updates, "seconds": self.seconds}
        return tensors, {**numbers, "progress": progress, "baseline": self.controller.baseline}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Put back what was captured; raises ``BadModelFile`` where it does not fit."""
        own = {name for name in tensors if name.startswith(CONTROLLER)}
        try:
            self.controller.restore(
                {name.removeprefix(CONTROLLER): tensors[name] for name in own},
                numbers["baseline"],
            )
            self.updates, self.seconds = int(numbers["updates"]), float(numbers["seconds"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BadModelFile(f"its controller does not fit: {error}") from error
        rest = {name: value for name, value in tensors.items() if name not in own}
        restore(self.state, rest, numbers.get("progress"))


class _Keeper:
    """Keeps shared weights in training in a folder: from time to time, at a signal, at the end."""

    def __init__(self, sharing: Sharing, folder: Path, stop: StopFlag) -> None:
        self.sharing, self.folder, self.stop = sharing, folder, stop
        self.saved, self.saved_at = -1, time.monotonic()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the one process that trains; waits for another to be done."""
        while True:
            with lock(self.folder / ".lock") as found:
                if found.held:
                    yield
                    return
            if self.stop.received is not None:
                raise self.stop.stopped(self.stop.received, f"beside {self.folder}")
            time.sleep(PAUSE)

    def resume(self) -> None:
        """Put back the newest state there is; raises ``BadModelFile`` where none can be read."""
        found = newest_checkpoint(self.folder)
        if found is not None:
            self.sharing.restore(*found[:2])
            self.saved = self.sharing.position

    def look(self) -> None:
        """Save if it is time; save and raise ``Stopped`` if a signal came."""
        if self.stop.received is not None:
            self.keep()
            where = f"after {self.sharing.position} steps of shared weights; {self.folder}"
            raise self.stop.stopped(self.stop.received, where)
        if time.monotonic() - self.saved_at >= CHECKPOINT_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Save the state, unless it is saved."""
        position = self.sharing.position
        if position != self.saved:
            commit(self.folder, position, *self.sharing.captured())
            self.saved = position
        self.saved_at = time.monotonic()
