"""One trained network that the tests of this folder read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from convnets.records import Result
from convnets.runs import train
from convnets.training.checkpoints import checkpoints
from convnets.weights import save_model
from tests.runs.tiny import CPU, RECIPE, tiny_set


@dataclass(frozen=True)
class Trained:
    """A finished run's folder, its newest checkpoint, and its result."""

    run: Path
    checkpoint: Path
    result: Result


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """LeNet-5 on grey noise in ten classes, with a moving average."""
    out = tmp_path_factory.mktemp("trained")
    recipe = RECIPE.model_copy(update={"ema_decay": 0.5})
    result = train("lenet5", tiny_set(), recipe, out=out, engine=CPU)
    run = out / result.run
    return Trained(run, checkpoints(run)[0][1], result)


@pytest.fixture(scope="session")
def saved(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file of that network."""
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    save_model(trained.run, path, licence="cc-by-4.0")
    return path
