"""Every fault, at length, and one table of how many were survived.

    python -m tests.runs.faults [FILE]

A row is all tests that are marked with its name, the slow ones too; a test that counts trials says
so by ``record_property("trials", (passed, tried))``. The table goes to FILE too, as Markdown. The
exit code is 1 where a row falls short, its control is void, or a fault could not be tried here.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from convnets.files import atomic_write
from convnets.runs.machine import this_machine

ROWS = {
    "A1": "killed at each point of a write or of pruning, at checkpoints 3, 10 and 20",
    "A2": "killed at three random moments, 30 % of them inside a write",
    "A3": "interrupted at steps 0, 1, 7, 8, 9, 39, for each thing with a state to lose",
    "A4": "SIGTERM, SIGINT, two SIGINT: in a step, a test, a write, a wait for data",
    "A5": "newest checkpoint cut, flipped, emptied or replaced by a folder",
    "A6": "no space left, limit on files, short write, own full disk, read-only disk",
    "A7": "loss, slope or pixel that is not finite, float32 and bfloat16",
    "A8": "out of memory in training or in a test",
    "A9": "an image that hangs, is gone, damaged or fails while training",
    "A10": "clock and times of files that jump",
    "A11": "two processes on one folder, one of them killed, 2 x 200 results",
    "A12": "another plan or engine in a run's folder",
    "B1": "two and three replicas are one process: float64 1e-12, float32 5e-6",
    "B2": "two and three ranks with shards are one process: the same bounds",
    "B3": "torchrun: a rank killed in a step or in a write, started again",
    "B4": "torchrun and ranks: a signal to all, to one; one step, one checkpoint",
    "B5": "a save that fails on the main rank ends all",
    "B6": "begun on two ranks, goes on on one, and the other way round",
}
PROCESSES = 2


@dataclass
class Tally:
    """What came of each row's trials."""

    survived: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tried: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    void: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test, or the trials that it counted itself."""
        found = dict(report.user_properties)
        row = str(found.get("fault", ""))
        if not row or (report.when != "call" and report.passed):
            return
        if report.skipped:
            self.void.append(f"{report.nodeid}: {report.longrepr[2]}")
        passed, tried = found.get("trials", (int(report.passed), 1))
        self.survived[row] += passed
        self.tried[row] += tried
        if report.failed:
            self.void.append(report.nodeid)

    def table(self) -> list[tuple[str, str, str]]:
        """Row, what was done, and how many were survived of how many."""
        return [
            (row, what, f"{self.survived[row]}/{self.tried[row]}") for row, what in ROWS.items()
        ]

    @property
    def good(self) -> bool:
        """Whether every row was tried and survived in full."""
        full = all(self.survived[row] == self.tried[row] > 0 for row in ROWS)
        return full and not self.void


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each test's report say whose row it counts for."""
    for item in items:
        if mark := item.get_closest_marker("fault"):
            item.user_properties.append(("fault", mark.args[0]))


def markdown(tally: Tally, minutes: float) -> str:
    """The table with what it was measured on."""
    machine = this_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = [
        "# Faults",
        "",
        "What a run survives: after each fault the same command ends with the bits of a run that",
        "nothing disturbed, or it refuses with an error that names the cause.",
        "",
        "| | fault | survived |",
        "|---|---|---|",
        *(f"| {row} | {what} | {count} |" for row, what, count in tally.table()),
        "",
        f"Measured by `make faults` in {minutes:.1f} minutes on {machine.processor}, "
        f"{machine.cores} cores, {platform.system()}; {versions}.",
        "",
    ]
    return "\n".join(lines)


def main(path: str | None = None) -> int:
    """Try every fault; print the table and return 0 if all were survived."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    tally, begun = Tally(), time.monotonic()
    tests = [str(Path(__file__).parents[1] / room) for room in ("runs", "training", "data")]
    options = [
        "-p",
        "tests.runs.faults",
        "-m",
        "fault",
        "-q",
        "--no-header",
        "-n",
        str(PROCESSES),
        "--dist",
        "worksteal",
    ]
    pytest.main([*options, *tests], plugins=[tally])
    minutes = (time.monotonic() - begun) / 60
    for row, what, count in tally.table():
        print(f"{row:4} {what:82} {count:>9}")
    for reason in tally.void:
        print(f"void: {reason}")
    print(f"{minutes:.1f} minutes")
    if path is not None:
        atomic_write(Path(path), markdown(tally, minutes))
    return 0 if tally.good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
