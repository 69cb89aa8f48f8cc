"""A bench on Ray makes the runs of a bench without it, bit for bit, whatever befalls its tasks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convnets.errors import EnvironmentFailure
from convnets.records import read_results
from convnets.runs.ray_cluster import bench_on_ray
from tests.runs.tiny import CPU, RECIPE, tiny_set

COMMAND = ("bench", "lenet5", "lenet5_modern", "--data", "digits", "--epochs", "2", "--seeds", "2")
PATIENCE = 240


def start(out: Path, *more: str) -> subprocess.Popen[str]:
    """The bench in a process of its own, a checkpoint after each step."""
    options = ("--out", str(out), "--checkpoint-every", "4", *more)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, "-m", "convnets", *COMMAND, *options],
        env=environment | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def made(out: Path) -> list[dict[str, Any]]:
    """All runs of a bench, by name: weights, figures and log, without durations."""
    found = []
    for result in read_results(out):
        log = (out / result.run / "metrics.jsonl").read_text().splitlines()
        lines = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in log]
        figures = (result.weights_sha256, result.top1, result.test_loss, result.confusion)
        found.append({"run": result.run, "figures": figures, "log": lines})
    return found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the bench makes in one process."""
    out = tmp_path_factory.mktemp("local")
    process = start(out)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    runs = made(out)
    assert len(runs) == 4
    return runs


def family(pid: int) -> Iterator[int]:
    """A process and all that it has started."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            yield from family(int(child))


def tasks(pid: int) -> list[int]:
    """The processes below ``pid`` that make a run now."""
    found = []
    for child in family(pid):
        name = Path(f"/proc/{child}/cmdline")
        if name.exists() and name.read_bytes().startswith(b"ray::make_run"):
            found.append(child)
    return found


def listening(pid: int) -> set[str]:
    """The addresses, as the kernel writes them, at which a family of processes listens."""
    sockets = {
        os.readlink(link)
        for child in family(pid)
        for link in Path(f"/proc/{child}/fd").glob("*")
        if link.is_symlink()
    }
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    return found


def until(process: subprocess.Popen[str], there: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := there()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


needs_ray = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('ray')",
    reason="Ray is not installed; pip install 'convnets[cluster]'",
)


@needs_ray
@pytest.mark.slow
def test_runs_on_ray_are_those_of_one_process(tmp_path: Path, local: list[dict[str, Any]]) -> None:
    process = start(tmp_path, "--on", "ray")
    until(process, lambda: tasks(process.pid))
    addresses = listening(process.pid)
    _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    assert made(tmp_path) == local
    for run in local:  # progress comes back to the console
        model, seed = run["run"].split("-")[0], run["run"].split("-s")[1][0]
        assert f"{model} seed {seed}: epoch 2/2" in text
    # 127.0.0.1 and ::1, as the kernel writes them
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert addresses
    assert addresses <= loopback


@needs_ray
@pytest.mark.slow
def test_a_task_that_is_killed_is_made_again(tmp_path: Path, local: list[dict[str, Any]]) -> None:
    process = start(tmp_path, "--on", "ray")
    until(process, lambda: list(tmp_path.glob("*/step-*.ckpt")))
    os.kill(until(process, lambda: tasks(process.pid))[0], signal.SIGKILL)
    _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    assert made(tmp_path) == local


@needs_ray
@pytest.mark.slow
def test_an_interrupt_leaves_runs_that_go_on(tmp_path: Path, local: list[dict[str, Any]]) -> None:
    process = start(tmp_path, "--on", "ray")
    until(process, lambda: list(tmp_path.glob("*/step-*.ckpt")))
    below = list(family(process.pid))
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, text
    assert "stopped by SIGINT after a checkpoint of each run" in text
    assert not list(tmp_path.glob("*/.tmp.*"))
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < deadline, "processes are left behind"
        time.sleep(0.1)
    again = start(tmp_path)
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert made(tmp_path) == local


def test_without_ray_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_worker_niceness"):
        monkeypatch.setenv(name, "")
    with pytest.raises(EnvironmentFailure, match=r"pip install 'convnets\[cluster\]'") as caught:
        bench_on_ray(["lenet5"], tiny_set(), RECIPE, out=tmp_path, engine=CPU)
    assert caught.value.exit_code == 5
    assert not list(tmp_path.iterdir())
