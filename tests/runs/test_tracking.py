"""What TensorBoard and Weights & Biases are told is what the run's own log says."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from convnets.errors import EnvironmentFailure
from convnets.runs.observer import Observer, Several
from convnets.runs.tracking import tracked
from tests.children import in_child
from tests.runs import crash
from tests.runs.test_crash import Ends

SCALARS = {
    "train/loss": "loss",
    "train/learning_rate": "learning_rate",
    "train/gradient_norm": "gradient_norm",
    "train/epoch_loss": "train_loss",
    "test/loss": "test_loss",
    "test/top1": "test_top1",
}


def followed(out: Path, name: Any, *others: Observer) -> None:
    with tracked(Several(*others), [name], out / "runs") as observer:
        crash.go(out / "runs", observer=observer, checkpoint_steps=4)


def only_run(out: Path) -> Path:
    (plan,) = (out / "runs").glob("*/plan.json")
    return plan.parent


def logged(out: Path) -> dict[str, dict[int, float]]:
    """What metrics.jsonl holds of each scalar, by step."""
    found: dict[str, dict[int, float]] = {name: {} for name in SCALARS}
    run = only_run(out)
    for line in (run / "metrics.jsonl").read_text().splitlines():
        entry = json.loads(line)
        of_a_step = "test_top1" not in entry
        for name in list(SCALARS)[:3] if of_a_step else list(SCALARS)[3:]:
            found[name][entry["step"]] = entry[SCALARS[name]]
    assert [len(each) for each in found.values()] == [crash.STEPS] * 3 + [crash.RECIPE.epochs] * 3
    return found


def test_tensorboard_reads_back_what_the_log_says_also_after_a_cut(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard here"
    )
    # killed at step 14, after the checkpoint of step 12: steps 13 and 14 are made again
    ends = Ends(14, signal.SIGKILL)
    assert in_child(lambda: followed(tmp_path, "tensorboard", ends))[0] == -signal.SIGKILL
    assert in_child(lambda: followed(tmp_path, "tensorboard"))[0] == 0
    (folder,) = (tmp_path / "runs" / "tensorboard").iterdir()
    assert folder.name == only_run(tmp_path).name
    reader = event_accumulator.EventAccumulator(str(folder), {"scalars": 0})
    reader.Reload()
    for name, expected in logged(tmp_path).items():
        events = reader.Scalars(name)
        assert [event.step for event in events] == sorted(expected), name
        values = {event.step: event.value for event in events}
        assert values == pytest.approx(expected, rel=1e-6), name


class FakeRun:
    def __init__(self, **given: Any) -> None:
        self.given, self.rows, self.summary, self.code = given, [], {}, None

    def log(self, scalars: dict[str, float], step: int) -> None:
        self.rows.append((step, scalars))

    def finish(self, exit_code: int) -> None:
        self.code = exit_code


def test_weights_and_biases_is_told_what_the_log_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FakeRun] = []

    def init(**given: Any) -> FakeRun:
        made.append(FakeRun(**given))
        return made[-1]

    module = ModuleType("wandb")
    module.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    followed(tmp_path, "wandb")
    (run,) = made
    folder = only_run(tmp_path)
    assert run.given["id"] == run.given["name"] == folder.name
    assert run.given["config"] == json.loads((folder / "plan.json").read_text())
    assert (run.given["project"], run.given["resume"]) == ("convnets", "allow")
    for name, expected in logged(tmp_path).items():
        assert {step: row[name] for step, row in run.rows if name in row} == expected
    assert [step for step, _ in run.rows] == sorted(step for step, _ in run.rows)
    result = json.loads((folder / "result.json").read_text())
    assert run.summary == {name: result[name] for name in ("top1", "top5", "test_loss")}
    assert run.code == 0


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_what_is_not_installed_is_told_of_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    needed = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}[name]
    monkeypatch.setitem(sys.modules, needed, None)
    with pytest.raises(EnvironmentFailure, match=r"pip install 'convnets\[track\]'") as caught:
        followed(tmp_path, name)
    assert caught.value.exit_code == 5
    assert not list(tmp_path.iterdir())


def test_several_observers_are_told_everything_in_order() -> None:
    told: list[Any] = []

    class Keeps(Observer):
        def __init__(self, name: str) -> None:
            self.name = name

        def note(self, text: str) -> None:
            told.append((self.name, text))

        def finished(self, plan: Any, result: Any, *, before: bool) -> None:
            told.append((self.name, before))

    both = Several(Keeps("one"), Keeps("two"))
    both.note("hello")
    both.finished(None, None, before=True)  # type: ignore[arg-type]
    both.evaluating(1, 2)
    assert told == [("one", "hello"), ("two", "hello"), ("one", True), ("two", True)]
    events = {name for name in vars(Observer) if not name.startswith("_")}
    assert events <= vars(both).keys()
