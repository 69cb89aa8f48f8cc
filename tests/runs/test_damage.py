"""Damaged checkpoints are told of and passed over; a changed plan is refused with what differs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from convnets.errors import BadModelFile, PlanChanged
from convnets.runs.observer import Observer
from convnets.training.checkpoints import checkpoints, load_checkpoint, save_checkpoint
from convnets.training.engine import Engine
from tests.children import in_child, wait
from tests.runs import crash
from tests.runs.test_crash import Ends

FAR = 1 << 40


def stopped(folder: Path, step: int) -> Path:
    """The folder of a run that was stopped after a step."""
    assert wait(crash.fork(folder, observer=Ends(step, signal.SIGTERM))) == 143
    return crash.only_run(folder)


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


@pytest.mark.fault("A5")
@pytest.mark.parametrize("damage", [cut_short, made_folder])
@pytest.mark.parametrize("step", [12, 40])
def test_a_damaged_checkpoint_is_told_of_and_set_aside(
    tmp_path: Path, expected: dict[str, Any], damage: Callable[[Path], None], step: int
) -> None:
    out = tmp_path / "out"
    run = stopped(out, step)
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


@pytest.mark.fault("A5")
def test_with_no_good_checkpoint_nothing_starts_over(tmp_path: Path) -> None:
    run = stopped(tmp_path, 12)
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
    (_, newest), _ = checkpoints(stopped(tmp_path, 18))
    tensors, state = load_checkpoint(newest)
    if change is None:
        del state["progress"]
    else:
        state["progress"] |= change
    save_checkpoint(newest, tensors, state)
    code, message = in_child(lambda: crash.go(tmp_path))
    assert code == 3
    assert "progress does not fit" in message or "not of this run" in message


@pytest.mark.fault("A12")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model", "lenet5"),
        ("data.classes", ["yes", "no"]),
        ("recipe.batch_size", 4),
        ("seed", 3),
        ("data.fingerprint", "other"),
        ("recipe.optimizer.lr", 1.0),
        ("recipe.old", True),
    ],
)
def test_another_plan_in_the_folder_is_refused_with_what_differs(
    tmp_path: Path, path: str, value: object
) -> None:
    run = stopped(tmp_path, 9)
    plan = json.loads((run / "plan.json").read_text())
    *parents, last = path.split(".")
    place = plan
    for parent in parents:
        place = place[parent]
    place[last] = value
    (run / "plan.json").write_text(json.dumps(plan))
    before = sorted(os.listdir(run))
    with pytest.raises(PlanChanged) as caught:
        crash.go(tmp_path)
    assert caught.value.exit_code == 2
    assert f"differs in {path};" in str(caught.value)
    assert sorted(os.listdir(run)) == before


@pytest.mark.fault("A12")
def test_another_engine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stopped(tmp_path, 9)
    before = sorted(os.listdir(run))
    monkeypatch.setattr(crash, "ENGINE", Engine(torch.device("cpu"), "bfloat16"))
    with pytest.raises(PlanChanged, match="begun on cpu float32, now cpu bfloat16"):
        crash.go(tmp_path)
    assert sorted(os.listdir(run)) == before
