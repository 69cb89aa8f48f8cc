"""One trained network that the tests of this folder read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from convnets.records import Result
from convnets.runs import train
from convnets.training.checkpoints import checkpoints
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
