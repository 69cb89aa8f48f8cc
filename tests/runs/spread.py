"""The run that every trial makes, on each rank that torchrun starts.

    torchrun --standalone --nproc-per-node=2 -m tests.runs.spread FOLDER [DEED RANK STEP]

DEED ``kill`` ends the rank after that step by SIGKILL, ``save`` in the middle of writing the
checkpoint of that step, each in the first start alone; ``slow`` makes it wait after each step.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch

from convnets import files
from convnets.errors import ConvnetsError
from convnets.runs import run as runs
from convnets.training.loop import StepReport
from convnets.training.ranks import joined
from tests.runs import crash

STEP_SECONDS = 0.1


def disturb(deed: str, step: int) -> None:
    """Arrange for what is to happen to this rank."""

    def after(report: StepReport) -> StepReport:
        if deed == "slow":
            time.sleep(STEP_SECONDS)
        if deed == "kill" and report.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return report

    if deed == "save":  # the plan is the first file, and each checkpoint is saved after 2 steps
        files._PIECE = crash.PIECE
        os.environ["CONVNETS_FAULT"] = f"pre-rename:{1 + step // 2}"
    steps = runs.steps
    runs.steps = lambda *given: map(after, steps(*given))  # type: ignore[assignment]


def main(folder: str, deed: str = "", rank: str = "0", step: str = "0") -> int:
    """Make the run; return its exit code."""
    torch.set_num_threads(1)
    os.fsync = lambda _descriptor: None  # type: ignore[assignment]
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    with joined("cpu") as ranks, crash.pocket_model():
        Path(folder, f"pid-{os.getpid()}-{again}-{ranks.rank}").touch()
        if deed and ranks.rank == int(rank) and not again:
            disturb(deed, int(step))
        try:
            crash.go(Path(folder) / "out", ranks=ranks)
        except ConvnetsError as error:
            sys.stderr.write(f"rank {ranks.rank}: {error}\n")
            sys.stderr.flush()
            Path(folder, f"exit-{ranks.rank}-{error.exit_code}").touch()
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
