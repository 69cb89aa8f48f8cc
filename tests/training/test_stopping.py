"""Signals, sent for real: a run stops at a step boundary with its checkpoint, and goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convnets import files
from convnets.data import batches
from convnets.errors import Stopped
from convnets.runs.observer import Observer
from convnets.training.checkpoints import checkpoints, load_checkpoint
from convnets.training.loop import StepReport
from convnets.training.stopping import StopFlag
from tests.children import in_child, wait
from tests.runs import crash

EVERY = 2
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


@pytest.fixture(autouse=True)
def _pocket() -> Iterator[None]:
    with crash.pocket_model():
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the run ends with when nobody stops it."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with crash.pocket_model():
        assert wait(crash.fork(folder)) == 0
    return crash.final_state(folder)


class AtStep(Observer):
    """Does something after a step, from 1; or at the first test batch after it."""

    def __init__(self, step: int, act: Callable[[], object], *, testing: bool = False) -> None:
        self.step, self.act, self.testing, self.seen = step, act, testing, 0

    def stepped(self, report: StepReport) -> None:
        self.seen = report.step
        if self.seen == self.step and not self.testing:
            self.act()

    def evaluating(self, done: int, total: int) -> None:
        if self.seen == self.step and self.testing:
            self.act()


def test_a_signal_after_an_inner_flags_last_look_is_handed_on() -> None:
    with StopFlag() as around:
        with StopFlag():
            os.kill(os.getpid(), signal.SIGTERM)
        assert around.received == signal.SIGTERM


def test_a_signal_that_an_inner_flag_acts_on_is_not() -> None:
    def stopped() -> None:
        with StopFlag() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            raise inner.stopped(inner.received or 0, "here")

    with StopFlag() as around:
        with pytest.raises(Stopped, match="stopped by SIGTERM here"):
            stopped()
        assert around.received is None


def send(*numbers: signal.Signals) -> Callable[[], None]:
    """An action: signals to this very process."""

    def act() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    return act


def goes_on(folder: Path) -> dict[str, object]:
    """The end of the same run, after the same call."""
    assert wait(crash.fork(folder)) == 0
    return crash.final_state(folder)


@pytest.mark.fault("A4")
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(("step", "testing"), [(5, False), (6, False), (8, True), (40, True)])
def test_a_signal_stops_after_a_checkpoint_of_that_step(
    tmp_path: Path,
    uninterrupted: dict[str, object],
    number: signal.Signals,
    step: int,
    testing: bool,
) -> None:
    watcher = AtStep(step, send(number), testing=testing)
    code, message = in_child(lambda: crash.go(tmp_path, observer=watcher))
    assert code == CODES[number]
    assert message.startswith(f"stopped by {number.name} after step {step}; ")
    run = crash.only_run(tmp_path)
    assert str(run) in message
    assert checkpoints(run)[0][0] == step
    assert load_checkpoint(checkpoints(run)[0][1])[1]["progress"]["step"] == step
    assert not list(run.glob(".tmp.*"))
    assert not (run / "result.json").exists()
    assert goes_on(tmp_path) == uninterrupted


@pytest.mark.fault("A4")
@pytest.mark.parametrize("number", CODES)
def test_a_signal_within_a_write_lets_it_end(
    tmp_path: Path, uninterrupted: dict[str, object], number: signal.Signals
) -> None:
    def work() -> None:
        turns = iter(range(100))
        files.failpoint = lambda name: name == "pre-rename" and next(turns) == 3 and act()
        crash.go(tmp_path)

    act = send(number)
    assert in_child(work)[0] == CODES[number]
    run = crash.only_run(tmp_path)
    assert [step for step, _ in checkpoints(run)] == [7, 6]  # the third, and that of the next step
    assert goes_on(tmp_path) == uninterrupted


@pytest.mark.fault("A4")
@pytest.mark.parametrize("number", CODES)
def test_a_signal_while_data_is_waited_for_lets_the_step_end(
    tmp_path: Path, uninterrupted: dict[str, object], number: signal.Signals
) -> None:
    def work() -> None:
        turns, made_ahead = iter(range(100)), batches.made_ahead

        def waited(wanted: Any, make: Callable[[Any], Any]) -> Iterator[Any]:
            def slow(given: Any) -> Any:
                if next(turns) == 20:
                    act()
                    time.sleep(0.5)
                return make(given)

            return made_ahead(wanted, slow)

        batches.made_ahead = waited
        batches.DeviceBatches = lambda split, plan, _: batches.StreamedBatches(split, plan)
        crash.go(tmp_path)

    act = send(number)
    begun = time.monotonic()
    assert in_child(work)[0] == CODES[number]
    assert time.monotonic() - begun < 10
    run = crash.only_run(tmp_path)
    assert 8 < checkpoints(run)[0][0] < crash.STEPS
    assert not list(run.glob(".tmp.*"))
    assert goes_on(tmp_path) == uninterrupted


@pytest.mark.fault("A4")
def test_a_signal_from_outside_is_answered_within_a_step(tmp_path: Path) -> None:
    watcher = AtStep(0, lambda: None)
    watcher.stepped = lambda report: time.sleep(0.05)  # type: ignore[method-assign]
    child = crash.fork(tmp_path, observer=watcher)
    while not list(tmp_path.glob("*/step-*.ckpt")):
        time.sleep(0.01)
    os.kill(child, signal.SIGTERM)
    begun = time.monotonic()
    assert wait(child) == 143
    assert time.monotonic() - begun < 5


@pytest.mark.fault("A4")
def test_a_second_interrupt_ends_at_once_and_the_last_checkpoint_is_good(
    tmp_path: Path, uninterrupted: dict[str, object]
) -> None:
    watcher = AtStep(5, send(signal.SIGINT, signal.SIGINT))
    assert in_child(lambda: crash.go(tmp_path, observer=watcher)) == (130, "interrupted")
    run = crash.only_run(tmp_path)
    assert [step for step, _ in checkpoints(run)] == [4, 2]
    assert not list(run.glob(".tmp.*"))
    assert goes_on(tmp_path) == uninterrupted


def test_handlers_are_put_back() -> None:
    def work() -> None:
        before = [signal.getsignal(number) for number in CODES]
        with StopFlag() as flag:
            assert flag.received is None
            send(signal.SIGTERM)()
            assert flag.received == signal.SIGTERM
            assert flag.stopped(flag.received, "here").exit_code == 143
        assert [signal.getsignal(number) for number in CODES] == before

    assert in_child(work) == (0, None)
