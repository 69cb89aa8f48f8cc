"""A run that is killed or interrupted, anywhere and again, goes on and ends with the same bits."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from convnets.data import batches
from convnets.data.augment import Augmentation
from convnets.recipes import Recipe
from convnets.runs import run as runs
from convnets.runs.observer import Observer
from convnets.training import state as states
from convnets.training.checkpoints import checkpoints
from convnets.training.engine import Engine
from convnets.training.loop import StepReport
from tests.children import start, wait
from tests.runs import crash

SEED = 20_000
RUNS = 10
CPU = Engine(torch.device("cpu"))


def finished(folder: Path, recipe: Recipe = crash.RECIPE) -> dict[str, Any]:
    """What the run in ``folder`` ends with after the same call again."""
    assert wait(crash.fork(folder, recipe)) == 0
    return crash.final_state(folder)


@pytest.mark.fault("A2")
@pytest.mark.parametrize(
    "seed", [SEED, *(pytest.param(SEED + more, marks=pytest.mark.slow) for more in range(1, 10))]
)
def test_runs_killed_at_random_moments_end_with_the_same_bits(
    tmp_path: Path, record_property: Callable[[str, object], None], seed: int
) -> None:
    outcome = crash.random_kills(RUNS, seed, tmp_path)
    record_property("trials", (outcome.equal, RUNS))
    assert outcome.equal == outcome.runs == RUNS, f"seed {seed}"
    assert outcome.kills >= 2 * RUNS
    # void unless the kills that matter were among them
    assert outcome.inside_writes >= 0.3 * outcome.kills, f"seed {seed}: {outcome}"


def faults() -> list[tuple[str, int]]:
    """Each point of a write or of pruning with its turn, at checkpoints 3, 10 and 20 of 20.

    The plan is the first file written, by one write; each checkpoint is written as a header and
    pieces of its payload.
    """
    found: list[tuple[str, int]] = []
    for number in (3, 10, 20):
        found += [(point, number + 1) for point in ("pre-open", "pre-fsync")]
        found += [(point, number + 1) for point in ("pre-rename", "post-rename")]
        found += [(point, number - 2) for point in ("pre-prune", "post-prune")]
        found += [(f"write {quarter}/4", number) for quarter in range(4)]
    return found


@pytest.mark.fault("A1")
@pytest.mark.parametrize(("point", "turn"), faults())
def test_a_run_killed_at_a_point_of_a_write_ends_with_the_same_bits(
    tmp_path: Path, whole: Path, expected: dict[str, Any], point: str, turn: int
) -> None:
    name, _, quarter = point.partition(" ")
    if quarter:
        size = checkpoints(crash.only_run(whole))[0][1].stat().st_size
        writes = 1 + math.ceil((size - 48) / crash.PIECE)
        turn = 1 + (turn - 1) * writes + 1 + writes * int(quarter[0]) // 4
    child = crash.fork(tmp_path, fault=f"{name}:{turn}")
    assert wait(child) == -signal.SIGKILL, "the point was never reached: the test is void"
    assert finished(tmp_path) == expected


class Ends(Observer):
    """Ends its process after each of these steps (0: before the first) by this signal."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        self.last, self.number = step, number

    def _end(self, step: int) -> None:
        if step == self.last:
            os.kill(os.getpid(), self.number)

    def started(self, plan: object, step: int, total_steps: int) -> None:
        self._end(step)

    def stepped(self, report: StepReport) -> None:
        self._end(report.step)


STEPS = (0, 1, 7, 8, 9, 39)
PLAIN = crash.RECIPE.model_copy(update={"augmentation": Augmentation(), "ema_decay": None})
MATRIX: dict[str, dict[str, Any]] = {
    "dropout": {},
    "augmentation": {"augmentation": Augmentation(padding=2, flip=True)},
    "mixup": {"augmentation": Augmentation(mixup=0.2)},
    "average": {"ema_decay": 0.9},
    "epochs averaged": {"swa_start": 0.4},
    "accumulation": {"accumulation": 2},
    "streamed": {"augmentation": Augmentation(padding=2, flip=True)},
    "bfloat16": {},
}


@pytest.fixture
def feature(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The plain run with one thing that has a state to lose."""
    if request.param == "bfloat16":
        monkeypatch.setattr(crash, "ENGINE", Engine(torch.device("cpu"), "bfloat16"))
    if request.param == "streamed":
        monkeypatch.setattr(batches, "DeviceBatches", lambda s, p, _: batches.StreamedBatches(s, p))
    return PLAIN.model_copy(update=MATRIX[request.param])


def interrupted(folder: Path, recipe: Recipe, step: int, number: signal.Signals) -> None:
    code = -signal.SIGKILL if number == signal.SIGKILL else 143
    assert wait(crash.fork(folder, recipe, observer=Ends(step, number))) == code, step


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGTERM]
)
@pytest.mark.parametrize("feature", MATRIX, indirect=True)
def test_a_run_interrupted_again_and_again_ends_with_the_same_bits(
    tmp_path: Path, feature: Recipe, number: signal.Signals
) -> None:
    for step in STEPS:
        interrupted(tmp_path / "cut", feature, step, number)
    assert finished(tmp_path / "cut", feature) == finished(tmp_path / "whole", feature)


@pytest.mark.fault("A3")
@pytest.mark.slow
@pytest.mark.parametrize("feature", MATRIX, indirect=True)
def test_a_run_interrupted_once_anywhere_ends_with_the_same_bits(
    tmp_path: Path, record_property: Callable[[str, object], None], feature: Recipe
) -> None:
    expected = finished(tmp_path / "whole", feature)
    cells = [(step, number) for step in STEPS for number in (signal.SIGKILL, signal.SIGTERM)]
    equal = 0
    for step, number in cells:
        folder = tmp_path / f"{step}-{number}"
        interrupted(folder, feature, step, number)
        equal += finished(folder, feature) == expected
    record_property("trials", (equal, len(cells)))
    assert equal == len(cells)


@pytest.mark.fault("A3")
def test_the_comparison_sees_a_lost_random_state(
    tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, crash.RECIPE, 9, signal.SIGTERM)
    monkeypatch.setattr(states, "set_random_state", lambda _states, _device: None)
    assert finished(tmp_path)["tensors"] != expected["tensors"]


def test_weights_are_dropped_at_the_end_on_request(tmp_path: Path) -> None:
    conduct = runs.Conduct(checkpoint_steps=2, keep_weights=False)
    out = tmp_path / "out"
    runs.train("pocket", crash.pocket_set(), crash.RECIPE, out=out, engine=CPU, conduct=conduct)
    names = sorted(path.name for path in crash.only_run(out).iterdir())
    assert names == [".lock", "metrics.jsonl", "plan.json", "result.json"]


def test_a_child_that_fails_is_seen() -> None:
    assert wait(start(lambda: 1 / 0)) == 1
