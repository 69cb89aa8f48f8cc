"""Kill a small run at random moments and see that it ends with the same bits.

    python -m tests.runs.crash RUNS SEED

Each trial forks, so that it costs no import of torch. Writes are slowed down, so that kills land
inside them too. Nothing is synced to the disk: SIGKILL takes memory, not the system's cache.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # optimizers import it lazily; a forked trial must not wait for that
from torch import nn

from convnets import files, models
from convnets.catalog import Family, Stem, Variant
from convnets.data import ImageArrays, ImageSet
from convnets.data.augment import Augmentation
from convnets.layers.network import ConvNet, stack
from convnets.recipes import Recipe
from convnets.runs.observer import Observer
from convnets.runs.run import Conduct, train
from convnets.training.checkpoints import checkpoints, load_checkpoint
from convnets.training.engine import Engine
from convnets.training.ranks import SOLO, Ranks
from convnets.training.settings import AdamW, Cosine
from tests.children import start, wait

ENGINE = Engine(torch.device("cpu"))
STEPS = 40
KILLS = 3
SLOW_WRITE = 0.002
INSIDE = ("write", "pre-fsync", "pre-rename")
PIECE = 16 << 10
"""Bytes written at once, so that a checkpoint takes several writes."""


@dataclass(frozen=True)
class Spec:
    stem: Stem = "paper"


class Pocket(ConvNet):
    """Convolution, batch normalisation, dropout: all that has a state to lose."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 10) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        conv = nn.Conv2d(in_chans, 8, 5, stride=4)
        self.features = stack(("stem", stack(("conv", conv), ("norm", nn.BatchNorm2d(8)))))
        self.head = nn.Sequential(nn.Flatten(1), nn.Dropout(0.5), nn.Linear(8 * 7 * 7, num_classes))


FAMILY = Family(
    name="pocket", title="Pocket", year=2026, paper="", url="", network=Pocket, variants={},
    pocket=Spec(),
)  # fmt: skip
ROW = Variant(Spec(), params=0, params_10=0, macs=0, counted_in="", input_size=32)

RECIPE = Recipe(
    name="crash",
    epochs=5,
    batch_size=8,
    optimizer=AdamW(lr=1e-2),
    schedule=Cosine(warmup=0.1),
    augmentation=Augmentation(padding=2, flip=True),
    ema_decay=0.9,
    stem="paper",
)


def pocket_set() -> ImageSet:
    """64 training and 16 test images of noise in ten classes."""
    draw = np.random.default_rng(0)

    def split(count: int) -> ImageArrays:
        images = draw.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        return ImageArrays(images, np.arange(count, dtype=np.int64) % 10)

    return ImageSet(
        name="noise",
        classes=tuple("abcdefghij"),
        train=split(64),
        test=split(16),
        channels=3,
        fingerprint="noise-0",
        licence="none",
        source="noise",
    )


@contextmanager
def pocket_model() -> Iterator[str]:
    """Let ``create_model`` know the pocket network for a while."""
    models.VARIANTS["pocket"] = (FAMILY, ROW)
    try:
        yield "pocket"
    finally:
        del models.VARIANTS["pocket"]


def go(
    folder: Path,
    recipe: Recipe = RECIPE,
    *,
    observer: Observer | None = None,
    checkpoint_steps: int | None = 2,
    ranks: Ranks = SOLO,
) -> None:
    """The run that every trial makes."""
    train(
        "pocket",
        pocket_set(),
        recipe,
        out=folder,
        engine=replace(ENGINE, ranks=ranks),
        conduct=Conduct(checkpoint_steps=checkpoint_steps, command="crash"),
        observer=observer,
    )


def fork(
    folder: Path,
    recipe: Recipe = RECIPE,
    *,
    observer: Observer | None = None,
    slow: float = 0.0,
    fault: str = "",
) -> int:
    """Start the run in a child; return its process id."""

    def work() -> None:
        os.fsync = lambda _descriptor: None
        files._PIECE = PIECE
        os.environ["CONVNETS_FAULT"] = fault
        if slow:
            files.failpoint = lambda name: time.sleep(slow if name in INSIDE else 0)
        go(folder, recipe, observer=observer)

    return start(work)


def only_run(folder: Path) -> Path:
    """The folder of the one run in ``folder``."""
    (run,) = (path for path in folder.iterdir() if path.is_dir())
    return run


def final_state(folder: Path) -> dict[str, Any]:
    """All that a finished run ends with, durations left out, each number as it is."""
    run = only_run(folder)
    step, newest = checkpoints(run)[0]
    assert step == STEPS
    tensors, state = load_checkpoint(newest)
    for record in [state["progress"], *state["progress"]["curve"]]:
        record.pop("seconds")
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in log:
        line.pop("seconds", None)
    result = json.loads((run / "result.json").read_text())
    return {
        "tensors": {name: value.numpy().tobytes() for name, value in tensors.items()},
        "state": state,
        "log": log,
        "weights": result["weights_sha256"],
        "left": sorted(path.name for path in run.iterdir()),
    }


@dataclass
class Outcome:
    """How many runs ended equal, how often one was killed, and how often inside a write."""

    equal: int = 0
    runs: int = 0
    kills: int = 0
    inside_writes: int = 0


def inside_write(folder: Path) -> bool:
    """Whether a file of the run in ``folder`` is half-written now."""
    return any(folder.glob("*/.tmp.*"))


def hold_inside_write(child: int, folder: Path, seconds: float) -> None:
    """Stop the child while a file of the run in ``folder`` is half-written, on a busy machine too.

    Where none is for so many seconds, it is left running.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if inside_write(folder):
            os.kill(child, signal.SIGSTOP)
            time.sleep(1e-3)
            if inside_write(folder):
                return
            os.kill(child, signal.SIGCONT)
        time.sleep(SLOW_WRITE / 4)


def random_kills(runs: int, seed: int, folder: Path) -> Outcome:
    """Kill each of ``runs`` runs at up to three random moments, then let it end and compare.

    Every other kill waits from its moment on for the next write and lands inside it.
    """
    draw = random.Random(seed)
    begun = time.monotonic()
    assert wait(fork(folder / "whole", slow=SLOW_WRITE)) == 0
    duration = time.monotonic() - begun
    expected = final_state(folder / "whole")
    outcome = Outcome()
    for number in range(runs):
        out = folder / f"run{number}"
        for turn in range(KILLS):
            child = fork(out, slow=SLOW_WRITE)
            time.sleep(draw.uniform(0.02, 0.4) * duration)
            if (number + turn) % 2:
                hold_inside_write(child, out, duration)
            os.kill(child, signal.SIGKILL)
            if wait(child) == -signal.SIGKILL:
                outcome.kills += 1
                outcome.inside_writes += inside_write(out)
        assert wait(fork(out)) == 0
        outcome.runs += 1
        outcome.equal += final_state(out) == expected
    return outcome


if __name__ == "__main__":
    torch.set_num_threads(1)
    with pocket_model(), tempfile.TemporaryDirectory() as scratch:
        outcome = random_kills(int(sys.argv[1]), int(sys.argv[2]), Path(scratch))
    print(
        f"{outcome.equal}/{outcome.runs} runs bit-equal after {outcome.kills} kills, "
        f"{outcome.inside_writes} of them inside a write"
    )
    sys.exit(outcome.equal != outcome.runs)
