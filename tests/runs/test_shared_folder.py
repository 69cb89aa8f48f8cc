"""Several processes on one folder: each run is made once, and a dead one's run is taken over."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convnets.records import read_result, read_results
from convnets.runs import Bench, bench
from convnets.runs.observer import Observer
from convnets.runs.plan import make_plan
from convnets.runs.run import Conduct
from convnets.runs.store import RunFolder
from tests.children import in_child, start, wait
from tests.runs import crash
from tests.runs.test_crash import Ends, finished
from tests.runs.tiny import CPU, RECIPE, tiny_set

EACH = 200


def slow(seconds: float = 0.02) -> Observer:
    """An observer that takes its time after each step."""
    observer = Observer()
    observer.stepped = lambda report: time.sleep(seconds)  # type: ignore[method-assign]
    return observer


def until(there: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.fault("A11")
def test_a_live_run_is_refused_to_a_second_process(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    first = crash.fork(tmp_path, observer=slow())
    until(lambda: list(tmp_path.glob("*/step-*.ckpt")))
    code, message = in_child(lambda: crash.go(tmp_path))
    assert code == 5
    assert f"process {first} on {os.uname().nodename}" in message
    assert wait(first) == 0
    assert crash.final_state(tmp_path) == expected


@pytest.mark.fault("A11")
def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path, expected: dict[str, Any]) -> None:
    assert wait(crash.fork(tmp_path, observer=Ends(9, signal.SIGKILL))) == -signal.SIGKILL
    run = crash.only_run(tmp_path)
    assert (run / ".lock").read_text().startswith("process ")
    (run / ".tmp.1.left").write_bytes(b"by a process that was killed while writing")
    assert finished(tmp_path) == expected


@pytest.mark.fault("A11")
def test_one_of_many_processes_makes_the_run(tmp_path: Path, expected: dict[str, Any]) -> None:
    children = [crash.fork(tmp_path) for _ in range(4)]
    codes = sorted(wait(child) for child in children)
    assert codes[0] == 0
    assert set(codes) <= {0, 5}
    assert crash.final_state(tmp_path) == expected


@pytest.mark.fault("A11")
def test_two_processes_write_two_hundred_results_each(
    tmp_path: Path, whole: Path, record_property: Callable[[str, object], None]
) -> None:
    one = read_result(crash.only_run(whole) / "result.json")

    def write(first: int) -> Callable[[], None]:
        def work() -> None:
            os.fsync = lambda _descriptor: None  # type: ignore[assignment]
            for seed in range(first, first + EACH):
                plan = make_plan("pocket", crash.pocket_set(), crash.RECIPE, seed)
                folder = RunFolder(tmp_path, plan)
                with folder.lock():
                    folder.claim()
                    folder.finish(one.model_copy(update={"run": plan.run_name, "seed": seed}))

        return work

    children = [start(write(first)) for first in (0, EACH)]
    assert [wait(child) for child in children] == [0, 0]
    found = read_results(tmp_path)
    whole_ones = {result.seed for result in found if result.run.startswith("pocket-noise")}
    record_property("trials", (len(whole_ones), 2 * EACH))
    assert len(found) == len({result.run for result in found}) == 2 * EACH
    assert whole_ones == set(range(2 * EACH))


@pytest.mark.fault("A11")
def test_of_two_benches_one_makes_what_the_other_was_killed_at(tmp_path: Path) -> None:
    def compared(observer: Observer | None = None) -> Bench:
        return bench(
            ["lenet5", "lenet5_modern"],
            tiny_set(),
            RECIPE,
            seeds=range(2),
            out=tmp_path,
            engine=CPU,
            conduct=Conduct(checkpoint_steps=1),
            observer=observer,
        )

    first = start(lambda: compared(slow(0.1)) and None)
    until(lambda: list(tmp_path.glob("*/step-*.ckpt")))

    class Kills(Observer):
        """Ends the other process once its own first run is done."""

        def finished(self, plan: object, result: object, *, before: bool) -> None:
            os.kill(first, signal.SIGKILL)

    outcome = compared(Kills())
    assert wait(first) == -signal.SIGKILL
    assert outcome.failures == ()
    assert len(outcome.results) == len(read_results(tmp_path)) == 4
    alone = bench(
        ["lenet5", "lenet5_modern"],
        tiny_set(),
        RECIPE,
        seeds=range(2),
        out=tmp_path / "alone",
        engine=CPU,
    )
    hashes = [result.weights_sha256 for result in alone.results]
    assert [result.weights_sha256 for result in outcome.results] == hashes


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
