"""A run that is killed, stopped, disturbed or denied goes on and ends with the same bits."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from convnets.data.augment import Augmentation
from convnets.errors import BadModelFile, DiskFull, NonFinite, PlanChanged
from convnets.recipes import Recipe
from convnets.runs import run as runs
from convnets.runs.observer import Observer
from convnets.runs.plan import make_plan
from convnets.runs.run import train
from convnets.runs.store import RunFolder
from convnets.training import state as states
from convnets.training.checkpoints import checkpoints, load_checkpoint, save_checkpoint
from convnets.training.engine import Engine
from convnets.training.loop import StepReport
from tests.children import in_child, start, wait
from tests.runs import crash

SEED = 20_000
FAR = 1 << 40
CPU = Engine(torch.device("cpu"))


@pytest.fixture(autouse=True)
def _pocket() -> Iterator[None]:
    with crash.pocket_model():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with crash.pocket_model():
        assert wait(crash.fork(folder)) == 0
    return folder


@pytest.fixture(scope="module")
def expected(whole: Path) -> dict[str, Any]:
    """What that run ended with."""
    return crash.final_state(whole)


def finished(folder: Path, recipe: Recipe = crash.RECIPE) -> dict[str, Any]:
    """What the run in ``folder`` ends with after the same call again."""
    assert wait(crash.fork(folder, recipe)) == 0
    return crash.final_state(folder)


# --- kills ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_runs_killed_at_random_moments_end_with_the_same_bits(tmp_path: Path, count: int) -> None:
    outcome = crash.random_kills(count, SEED, tmp_path)
    assert outcome.equal == outcome.runs == count, f"seed {SEED}"
    assert outcome.kills >= 2 * count
    # void unless the kills that matter were among them
    assert outcome.inside_writes >= 0.3 * outcome.kills, f"seed {SEED}: {outcome}"


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


PLAIN = crash.RECIPE.model_copy(update={"augmentation": Augmentation(), "ema_decay": None})
MATRIX: dict[str, tuple[dict[str, Any], Engine]] = {
    "dropout": ({}, CPU),
    "augmentation": ({"augmentation": Augmentation(padding=2, flip=True)}, CPU),
    "average": ({"ema_decay": 0.9}, CPU),
    "accumulation": ({"accumulation": 2}, CPU),
    "bfloat16": ({}, Engine(torch.device("cpu"), "bfloat16")),
}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("name", MATRIX)
def test_a_run_interrupted_again_and_again_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals
) -> None:
    changes, engine = MATRIX[name]
    monkeypatch.setattr(crash, "ENGINE", engine)
    recipe = PLAIN.model_copy(update=changes)
    code = -signal.SIGKILL if number == signal.SIGKILL else 143
    for step in (0, 1, 7, 8, 9, 39):
        ends = Ends(step, number)
        assert wait(crash.fork(tmp_path / "cut", recipe, observer=ends)) == code, step
    assert finished(tmp_path / "cut", recipe) == finished(tmp_path / "whole", recipe)


def test_the_comparison_sees_a_lost_random_state(
    tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wait(crash.fork(tmp_path, observer=Ends(9, signal.SIGTERM))) == 143
    monkeypatch.setattr(states, "set_random_state", lambda _states, _device: None)
    assert finished(tmp_path)["tensors"] != expected["tensors"]


# --- damage -----------------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    os.truncate(path, 1000)


def made_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


class Notes(Observer):
    """Keeps what a person is told."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, text: str) -> None:
        self.path.write_text(text)


@pytest.mark.parametrize("damage", [cut_short, made_folder])
@pytest.mark.parametrize("step", [12, 40])
def test_a_damaged_checkpoint_is_told_of_and_set_aside(
    tmp_path: Path, expected: dict[str, Any], damage: Callable[[Path], None], step: int
) -> None:
    out = tmp_path / "out"
    assert wait(crash.fork(out, observer=Ends(step, signal.SIGTERM))) == 143
    run = crash.only_run(out)
    newest = checkpoints(run)[0][1]
    damage(newest)
    notes = Notes(tmp_path / "notes")
    # by the clock, as is usual: no later checkpoint takes the damaged one's name but the last
    assert in_child(lambda: crash.go(out, observer=notes, checkpoint_steps=None))[0] == 0
    assert str(newest) in notes.path.read_text()
    damaged = run / f"{newest.name}.damaged"
    assert damaged.exists()
    damaged.rename(tmp_path / "damaged")
    left = crash.final_state(out)
    assert left["tensors"] == expected["tensors"]
    assert left["log"] == expected["log"]


def test_with_no_good_checkpoint_nothing_starts_over(tmp_path: Path) -> None:
    assert wait(crash.fork(tmp_path, observer=Ends(12, signal.SIGTERM))) == 143
    run = crash.only_run(tmp_path)
    for _, path in checkpoints(run):
        cut_short(path)
    before = sorted(os.listdir(run))
    code, message = in_child(lambda: crash.go(tmp_path))
    assert code == BadModelFile.exit_code == 3
    assert all(path.name in message for _, path in checkpoints(run))
    assert sorted(os.listdir(run)) == before


@pytest.mark.parametrize(
    "change", [{"step": 41}, {"step": FAR}, {"epoch_losses": []}, {"curve": []}, None]
)
def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, change: dict[str, Any] | None
) -> None:
    assert wait(crash.fork(tmp_path, observer=Ends(18, signal.SIGTERM))) == 143
    (_, newest), _ = checkpoints(crash.only_run(tmp_path))
    tensors, state = load_checkpoint(newest)
    if change is None:
        del state["progress"]
    else:
        state["progress"] |= change
    save_checkpoint(newest, tensors, state)
    code, message = in_child(lambda: crash.go(tmp_path))
    assert code == 3
    assert "progress does not fit" in message or "not of this run" in message


# --- company ----------------------------------------------------------------------------------


def plan_of(folder: Path) -> RunFolder:
    return RunFolder(folder, make_plan("pocket", crash.pocket_set(), crash.RECIPE, 0))


def test_a_live_run_is_refused_to_a_second_process(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    slow = Observer()
    slow.stepped = lambda report: time.sleep(0.02)  # type: ignore[method-assign]
    first = crash.fork(tmp_path, observer=slow)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/step-*.ckpt")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    code, message = in_child(lambda: crash.go(tmp_path))
    assert code == 5
    assert f"process {first} on {os.uname().nodename}" in message
    assert wait(first) == 0
    assert crash.final_state(tmp_path) == expected


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path, expected: dict[str, Any]) -> None:
    assert wait(crash.fork(tmp_path, observer=Ends(9, signal.SIGKILL))) == -signal.SIGKILL
    run = crash.only_run(tmp_path)
    assert (run / ".lock").read_text().startswith("process ")
    (run / ".tmp.1.left").write_bytes(b"by a process that was killed while writing")
    assert finished(tmp_path) == expected


def test_one_of_many_processes_makes_the_run(tmp_path: Path, expected: dict[str, Any]) -> None:
    children = [crash.fork(tmp_path) for _ in range(4)]
    codes = sorted(wait(child) for child in children)
    assert codes[0] == 0
    assert set(codes) <= {0, 5}
    assert crash.final_state(tmp_path) == expected


def test_a_finished_run_is_left_as_it_is(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "out")
    run = crash.only_run(tmp_path / "out")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.iterdir()}
    told: list[bool] = []
    watcher = Observer()
    watcher.finished = lambda plan, result, *, before: told.append(before)  # type: ignore
    assert crash.go(tmp_path / "out", observer=watcher) is None
    assert told == [True]
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.iterdir()}
    assert after == before


def test_another_plan_in_the_folder_is_refused_with_what_differs(tmp_path: Path) -> None:
    assert wait(crash.fork(tmp_path, observer=Ends(9, signal.SIGTERM))) == 143
    path = crash.only_run(tmp_path) / "plan.json"
    plan = json.loads(path.read_text())
    plan["seed"] = 3
    plan["recipe"]["optimizer"]["lr"] = 1.0
    plan["data"]["fingerprint"] = "other"
    plan["recipe"]["old"] = True
    path.write_text(json.dumps(plan))
    with pytest.raises(PlanChanged) as caught:
        crash.go(tmp_path)
    assert caught.value.exit_code == 2
    listed = "differs in data.fingerprint, recipe.old, recipe.optimizer.lr, seed;"
    assert listed in str(caught.value)


# --- a hostile machine ------------------------------------------------------------------------


def test_without_space_for_checkpoints_training_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    stepped: list[int] = []
    watcher = Observer()
    watcher.stepped = lambda report: stepped.append(report.step)  # type: ignore[method-assign]
    with pytest.raises(DiskFull, match="10000 bytes free, checkpoints need") as caught:
        crash.go(tmp_path, observer=watcher)
    assert caught.value.exit_code == 5
    assert stepped == []


def test_a_disk_that_fills_up_leaves_a_run_that_goes_on(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    def work() -> None:
        write, turns = os.write, iter(range(1000))

        def refused(descriptor: int, data: bytes) -> int:
            if len(data) > 10_000 and next(turns) > 12:
                write(descriptor, data[:5000])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, data)

        os.write = refused
        crash.go(tmp_path)

    code, message = in_child(work)
    assert code == 5
    assert ".ckpt: cannot write: No space left on device" in message
    run = crash.only_run(tmp_path)
    assert not list(run.glob(".tmp.*"))
    assert len(checkpoints(run)) == 2
    for _, path in checkpoints(run):
        load_checkpoint(path)
    assert finished(tmp_path) == expected


def test_times_of_files_and_jumps_of_the_clock_change_nothing(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    draw = random.Random(1)

    def work() -> None:
        true = time.time
        time.time = lambda: true() + draw.choice((-3600, 0, 86_400))
        crash.go(tmp_path)

    def stopped() -> None:
        time.time = lambda: 0.0
        crash.go(tmp_path, observer=Ends(21, signal.SIGTERM))

    assert in_child(stopped)[0] == 143
    run = crash.only_run(tmp_path)
    for age, (_, path) in enumerate(checkpoints(run)):  # the newest looks oldest
        os.utime(path, (1_000_000_000 + age, 1_000_000_000 + age))
    assert in_child(work)[0] == 0
    result = json.loads((run / "result.json").read_text())
    seconds = [record["seconds"] for record in result["curve"]]
    assert seconds[0] > 0
    assert seconds == sorted(seconds)
    assert seconds[-1] <= result["seconds"] < 60
    assert crash.final_state(tmp_path) == expected


@pytest.mark.parametrize("rate", [1e30, 3e38])
def test_a_run_that_diverges_leaves_nothing_that_is_not_finite(tmp_path: Path, rate: float) -> None:
    optimizer = crash.RECIPE.optimizer.model_copy(update={"lr": rate})
    recipe = crash.RECIPE.model_copy(update={"optimizer": optimizer})
    with pytest.raises(NonFinite, match=r"step \d+|not saved|test loss") as caught:
        crash.go(tmp_path, recipe)
    assert caught.value.exit_code == 4
    run = crash.only_run(tmp_path)
    for _, path in checkpoints(run):
        load_checkpoint(path)  # refuses what is not finite
    for line in (run / "metrics.jsonl").read_text().splitlines():
        assert "NaN" not in line
        assert "Infinity" not in line
    assert not (run / "result.json").exists()


def test_weights_are_dropped_at_the_end_on_request(tmp_path: Path) -> None:
    conduct = runs.Conduct(checkpoint_steps=2, keep_weights=False)
    out = tmp_path / "out"
    train("pocket", crash.pocket_set(), crash.RECIPE, out=out, engine=CPU, conduct=conduct)
    names = sorted(path.name for path in crash.only_run(out).iterdir())
    assert names == [".lock", "metrics.jsonl", "plan.json", "result.json"]


def test_a_child_that_fails_is_seen() -> None:
    assert wait(start(lambda: 1 / 0)) == 1
