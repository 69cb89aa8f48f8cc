"""Training that cannot go on says so, and leaves nothing that is not finite."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from convnets import models
from convnets.catalog import Family
from convnets.errors import NonFinite, TrainingFailed
from convnets.recipes import Recipe
from convnets.runs import run as runs
from convnets.training.checkpoints import checkpoints, load_checkpoint
from convnets.training.engine import Engine
from tests.children import in_child
from tests.runs import crash
from tests.runs.test_crash import Ends

PLAIN = crash.RECIPE.model_copy(update={"ema_decay": None})


def only_finite(folder: Path) -> None:
    """See that a run that failed left checkpoints and a log of numbers alone, and no result."""
    run = crash.only_run(folder)
    for _, path in checkpoints(run):
        load_checkpoint(path)  # refuses what is not finite
    for line in (run / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    assert not (run / "result.json").exists()


@pytest.mark.fault("A7")
@pytest.mark.parametrize("rate", [1e30, 3e38])
def test_a_run_that_diverges_leaves_nothing_that_is_not_finite(tmp_path: Path, rate: float) -> None:
    optimizer = crash.RECIPE.optimizer.model_copy(update={"lr": rate})
    recipe = crash.RECIPE.model_copy(update={"optimizer": optimizer})
    with pytest.raises(NonFinite, match=r"step \d+|not saved|test loss") as caught:
        crash.go(tmp_path, recipe)
    assert caught.value.exit_code == 4
    only_finite(tmp_path)


class Disturbed(crash.Pocket):
    """Its loss, or the slope of it, is what ``VALUES`` says at each step."""

    VALUES: Iterator[float] = iter(())

    def criterion(self, logits: Tensor, targets: Tensor) -> Tensor:
        loss, value = F.cross_entropy(logits, targets), next(self.VALUES)
        if value == 0:  # finite, but not its slope
            return loss + (logits.sum() * 0).sqrt()
        return loss * value


@pytest.fixture
def disturbed() -> Iterator[type[Disturbed]]:
    family = Family(
        name="disturbed", title="Disturbed", year=2026, paper="", url="", network=Disturbed,
        variants={}, pocket=crash.Spec(),
    )  # fmt: skip
    models.VARIANTS["disturbed"] = (family, crash.ROW)
    yield Disturbed
    del models.VARIANTS["disturbed"]


@pytest.mark.fault("A7")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 0.0])
@pytest.mark.parametrize("step", [7, 8])  # between checkpoints, and at one
def test_a_run_stops_before_the_step_that_would_spoil_it(
    tmp_path: Path,
    disturbed: type[Disturbed],
    value: float,
    precision: Literal["float32", "bfloat16"],
    step: int,
) -> None:
    disturbed.VALUES = iter([1.0] * (step - 1) + [value])
    engine = Engine(torch.device("cpu"), precision)
    conduct = runs.Conduct(checkpoint_steps=2)
    with pytest.raises(NonFinite, match=rf"^step {step}: ") as caught:
        runs.train(
            "disturbed", crash.pocket_set(), PLAIN, out=tmp_path, engine=engine, conduct=conduct
        )
    assert caught.value.exit_code == 4
    assert all(word in str(caught.value) for word in ("learning rate 0.0", "samples "))
    only_finite(tmp_path)
    assert checkpoints(crash.only_run(tmp_path))[0][0] == 6


class Hungry(crash.Pocket):
    """Runs out of memory with more than ``MOST`` images, in training or in a test."""

    MOST, TRAINING = 4, True

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.MOST and self.training is self.TRAINING:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(images)


@pytest.fixture
def hungry() -> Iterator[type[Hungry]]:
    _, row = models.VARIANTS["pocket"]
    family = Family(
        name="pocket", title="Pocket", year=2026, paper="", url="", network=Hungry, variants={},
        pocket=crash.Spec(),
    )  # fmt: skip
    known = models.VARIANTS["pocket"]
    models.VARIANTS["pocket"] = (family, row)
    yield Hungry
    models.VARIANTS["pocket"] = known


def ends(folder: Path, recipe: Recipe, act: Callable[[], object] = lambda: None) -> dict[str, Any]:
    def work() -> None:
        act()
        crash.go(folder, recipe)

    assert in_child(work)[0] == 0
    return crash.final_state(folder)


@pytest.mark.fault("A8")
def test_a_run_short_of_memory_goes_on_in_halves_also_after_a_stop(
    tmp_path: Path, hungry: type[Hungry]
) -> None:
    stops = Ends(11, signal.SIGTERM)
    assert in_child(lambda: crash.go(tmp_path / "cut", PLAIN, observer=stops))[0] == 143
    cut = ends(tmp_path / "cut", PLAIN)
    assert cut["state"]["progress"]["split"] == 2
    whole = ends(tmp_path / "whole", PLAIN.model_copy(update={"accumulation": 2}))
    assert cut["tensors"] == whole["tensors"]
    assert cut["log"] == whole["log"]


@pytest.mark.fault("A8")
def test_a_test_short_of_memory_leaves_the_batches_of_training_alone(
    tmp_path: Path, hungry: type[Hungry]
) -> None:
    expected = ends(tmp_path / "whole", PLAIN, lambda: setattr(hungry, "MOST", 1000))
    hungry.TRAINING = False
    try:
        code, message = in_child(lambda: crash.go(tmp_path / "cut", PLAIN))
        assert code == TrainingFailed.exit_code == 4
        assert "out of memory while testing; use a smaller batch_size" in message
    finally:
        hungry.TRAINING = True
    found = ends(tmp_path / "cut", PLAIN, lambda: setattr(hungry, "MOST", 1000))
    assert found == expected
