"""A run on two ranks is stopped, killed or denied its disk: all ranks agree, and it goes on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convnets.records import read_results
from convnets.runs.observer import Observer
from convnets.training.checkpoints import checkpoints, load_checkpoint
from convnets.training.loop import StepReport
from convnets.training.ranks import Ranks
from tests.company import together
from tests.runs import crash, spread

ROUNDING = 5e-6


def go(folder: Path, world: int = 2, watch: Callable[[Ranks], Observer] | None = None) -> list[Any]:
    """The trial's run on so many ranks: each one's exit code and last words."""

    def work(ranks: Ranks) -> None:
        os.fsync = lambda _descriptor: None  # type: ignore[assignment]
        crash.go(folder, observer=watch(ranks) if watch else None, ranks=ranks)

    return together(world, work)


@pytest.fixture(scope="module", name="whole")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two ranks that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with crash.pocket_model():
        assert [code for code, _ in go(folder)] == [0, 0]
    return folder


@pytest.fixture(scope="module", name="expected")
def _expected(whole: Path) -> dict[str, Any]:
    return crash.final_state(whole)


class Sends(Observer):
    """The main rank sends a signal to some ranks after a step, or in the test after it."""

    def __init__(
        self, ranks: Ranks, to: tuple[int, ...], step: int, number: signal.Signals, testing: bool
    ) -> None:
        pids = ranks.gathered(os.getpid())
        self.to = [pids[rank] for rank in to]
        self.step, self.number, self.testing, self.seen = step, number, testing, 0

    def _send(self) -> None:
        for pid in self.to:
            os.kill(pid, self.number)

    def stepped(self, report: StepReport) -> None:
        self.seen = report.step
        if self.seen == self.step and not self.testing:
            self._send()

    def evaluating(self, done: int, total: int) -> None:
        if self.seen == self.step and self.testing:
            self._send()


@pytest.mark.fault("B4")
@pytest.mark.parametrize(
    ("to", "step", "number", "testing"),
    [
        ((1,), 5, signal.SIGTERM, False),
        ((0,), 8, signal.SIGTERM, True),
        ((0, 1), 11, signal.SIGINT, False),
    ],
)
def test_a_signal_to_any_rank_stops_all_at_one_step(
    tmp_path: Path,
    expected: dict[str, Any],
    to: tuple[int, ...],
    step: int,
    number: signal.Signals,
    testing: bool,
) -> None:
    found = go(tmp_path, watch=lambda ranks: Sends(ranks, to, step, number, testing))
    code = 130 if number == signal.SIGINT else 143
    assert [each[0] for each in found] == [code, code], found
    assert found[0][1] == found[1][1]
    run = crash.only_run(tmp_path)
    newest = checkpoints(run)[0]
    assert newest[0] in ((step,) if testing else (step, step + 1))
    assert f"stopped by {number.name} after step {newest[0]}; {run}" in found[0][1]
    assert load_checkpoint(newest[1])[1]["progress"]["step"] == newest[0]
    assert not list(run.glob(".tmp.*"))
    assert [code for code, _ in go(tmp_path)] == [0, 0]
    assert crash.final_state(tmp_path) == expected


@pytest.mark.fault("B5")
def test_a_save_that_fails_on_the_main_rank_ends_all(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    def full(ranks: Ranks) -> Observer:
        write, turns = os.write, iter(range(1000))

        def refused(descriptor: int, data: bytes) -> int:
            if len(data) > 10_000 and next(turns) >= 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, data)

        if ranks.main:
            os.write = refused  # type: ignore[assignment]
        return Observer()

    begun = time.monotonic()
    found = go(tmp_path, watch=full)
    assert time.monotonic() - begun < 15
    assert [code for code, _ in found] == [5, 5], found
    assert all(".ckpt: cannot write: No space left on device" in text for _, text in found)
    run = crash.only_run(tmp_path)
    assert [step for step, _ in checkpoints(run)] == [4, 2]
    assert [code for code, _ in go(tmp_path)] == [0, 0]
    assert crash.final_state(tmp_path) == expected


class Stops(Observer):
    """Stops its run after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, report: StepReport) -> None:
        if report.step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.fault("B6")
@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_goes_on_on_another_number_of_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, then: int
) -> None:
    """With batch normalisation in pieces as begun; without dropout, which ranks draw anew."""
    recipe = crash.RECIPE.model_copy(update={"dropout": 0.0, "accumulation": 2})
    monkeypatch.setattr(crash.go, "__defaults__", (recipe,))

    def log(folder: Path) -> list[dict[str, Any]]:
        text = (crash.only_run(folder) / "metrics.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def made(folder: Path, world: int, stop: int = 0) -> set[int]:
        watch = (lambda ranks: Stops(stop)) if stop else None
        return {code for code, _ in go(folder, world, watch)}

    assert made(tmp_path / "whole", first) == {0}
    assert made(tmp_path / "cut", first, stop=20) == {143}
    assert made(tmp_path / "cut", then) == {0}
    one, other = log(tmp_path / "whole"), log(tmp_path / "cut")
    assert len(one) == len(other) == crash.STEPS + recipe.epochs
    for mine, yours in zip(one, other, strict=True):
        for name in mine.keys() - {"seconds"}:
            assert mine[name] == pytest.approx(yours[name], abs=ROUNDING), name
    result = json.loads((crash.only_run(tmp_path / "cut") / "result.json").read_text())
    assert result["engine"]["ranks"] == then


def test_ranks_that_are_to_make_different_runs_refuse(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> None:
        recipe = crash.RECIPE.model_copy(update={"epochs": 5 + ranks.rank})
        crash.go(tmp_path, recipe, ranks=ranks)

    found = together(2, work)
    assert [code for code, _ in found] == [2, 2]
    assert "give all the same" in found[0][1]
    assert not list(tmp_path.iterdir())


# --- under torchrun ---------------------------------------------------------------------------


def torchrun(folder: Path, *deed: str, restarts: int = 0) -> subprocess.Popen[bytes]:
    folder.mkdir()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    options = ["--nproc-per-node=2", f"--max-restarts={restarts}", "-m", spread.__name__]
    return subprocess.Popen(
        [*launcher, *options, str(folder), *deed],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )


def starts(folder: Path) -> list[tuple[int, int, int]]:
    """Process id, number of the start, and rank of each rank that was started."""
    found = [path.name.split("-")[1:] for path in folder.glob("pid-*")]
    return [(int(pid), int(again), int(rank)) for pid, again, rank in found]


def alive(folder: Path) -> list[int]:
    """The ranks' processes that are still there."""
    return [pid for pid, _, _ in starts(folder) if Path(f"/proc/{pid}").exists()]


@pytest.mark.fault("B3")
@pytest.mark.slow
@pytest.mark.parametrize("deed", ["kill 1 5", "kill 0 12", "save 0 6"])
def test_torchrun_starts_a_killed_rank_again(
    tmp_path: Path, expected: dict[str, Any], deed: str
) -> None:
    folder = tmp_path / "spread"
    assert torchrun(folder, *deed.split(), restarts=2).wait(120) == 0
    assert sorted((again, rank) for _, again, rank in starts(folder)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert not alive(folder)
    assert crash.final_state(folder / "out") == expected


@pytest.mark.fault("B4")
@pytest.mark.slow
@pytest.mark.parametrize("to", ["torchrun", "rank"])
def test_torchrun_and_ranks_are_stopped_after_a_checkpoint(
    tmp_path: Path, expected: dict[str, Any], to: str
) -> None:
    folder = tmp_path / "spread"
    launched = torchrun(folder, "slow", "0", "0")
    deadline = time.monotonic() + 60
    while not list(folder.glob("out/*/step-*.ckpt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (pid,) = [pid for pid, _, rank in starts(folder) if rank == 1]
    os.kill(launched.pid if to == "torchrun" else pid, signal.SIGTERM)
    begun = time.monotonic()
    launched.wait(60)
    assert time.monotonic() - begun < 30
    assert sorted(path.name for path in folder.glob("exit-*")) == ["exit-0-143", "exit-1-143"]
    assert not alive(folder)
    run = crash.only_run(folder / "out")
    assert not list(run.glob(".tmp.*"))
    step = checkpoints(run)[0][0]
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in log) == step < crash.STEPS
    assert [code for code, _ in go(folder / "out")] == [0, 0]
    assert crash.final_state(folder / "out") == expected


def commanded(folder: Path, *words: str, ranks: int = 2) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line under torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launcher, f"--nproc-per-node={ranks}", "-m", "convnets", *words, "--out", str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("shard", [(), ("--shard",)])
def test_the_command_line_is_the_same_under_torchrun(
    tmp_path: Path, shard: tuple[str, ...]
) -> None:
    words = ("lenet5_modern", "--data", "digits", "--epochs", "1", "--set", "accumulation=2")
    code, out, err = commanded(tmp_path / "spread", "train", *words, *shard)
    assert code == 0, err
    assert out.count("weights SHA-256") == err.count("epoch 1/1") == 1  # one rank speaks
    command = [sys.executable, "-m", "convnets", "train", *words, "--out", str(tmp_path / "alone")]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
    (one,), (two,) = read_results(tmp_path / "spread"), read_results(tmp_path / "alone")
    assert (one.engine.ranks, one.engine.sharded) == (2, bool(shard))
    assert (one.run, one.confusion, one.macs) == (two.run, two.confusion, two.macs)
    assert one.test_loss == pytest.approx(two.test_loss, abs=ROUNDING)
    again, out, err = commanded(tmp_path / "spread", "bench", *words, *shard)
    assert again == 0, err
    assert "finished before" in err
    assert out.count("report:") + err.count("report:") == 1


@pytest.mark.slow
def test_an_error_of_all_ranks_is_told_once(tmp_path: Path) -> None:
    code, out, err = commanded(tmp_path / "out", "train", "resnet19", "--data", "digits")
    assert code == 1  # torchrun's own
    assert err.count("convnets: unknown model 'resnet19'") == 1
    assert out == ""
    assert not (tmp_path / "out").exists()
