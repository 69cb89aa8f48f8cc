"""One training step at 32x32, batch 128: our network and loop against torchvision's network.

    python -m benchmarks.step [--steps 12] [--rounds 3] [--out results/step.json]

torchvision's network runs in the plain loop with SGD in three forms: as it is, in channels_last,
and compiled by torch.compile. Ours runs in the loop of ``convnets train``, as it is and compiled,
in float32, from the same initial recipe: cross-entropy, SGD with momentum. Both see one batch that
lies in memory, so that only the step counts. The contestants take turns, each in a process of its
own; the median step of the best round counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import tests.conftest  # noqa: F401  # what torchvision needs beside a CPU build of torch

# isort: split
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.data.batches import Batch
from convnets.models import create_model
from convnets.runs.machine import this_machine
from convnets.training.engine import choose_engine
from convnets.training.loop import steps
from convnets.training.settings import Constant, Optimisation, Sgd
from convnets.training.state import TrainingState

BATCH, SIDE, CLASSES, WARM_UP = 128, 32, 10, 3
SETTINGS = Optimisation(
    epochs=1, batch_size=BATCH, optimizer=Sgd(lr=1e-3, weight_decay=0.0), schedule=Constant()
)
NETWORKS: dict[str, tuple[str, Callable[[], nn.Module], float]] = {
    # ours, torchvision's, and the ratio to its plain form that is aimed at
    "resnet18": ("resnet18", lambda: torchvision.models.resnet18(num_classes=CLASSES), 1.15),
    "mobilenet_v2": (
        "mobilenet_v2", lambda: torchvision.models.mobilenet_v2(num_classes=CLASSES), 1.9,
    ),
    "googlenet": (
        "googlenet_bn",
        lambda: torchvision.models.googlenet(
            num_classes=CLASSES, aux_logits=False, init_weights=False
        ),
        1.3,
    ),
    "convnext_tiny": (
        "convnext_tiny", lambda: torchvision.models.convnext_tiny(num_classes=CLASSES), 1.1,
    ),
}  # fmt: skip
Contestant = Iterator[float]
"""Seconds of one training step after another."""


class OneBatch:
    """The same images at every step."""

    def __init__(self, images: Tensor, targets: Tensor, steps: int) -> None:
        self.batch = Batch(images, targets, torch.arange(len(targets)))
        self.steps = steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        while True:
            yield self.batch


def ours(name: str, images: Tensor, targets: Tensor, *, compiled: bool) -> Contestant:
    """The loop of ``convnets train``."""
    engine = choose_engine("cpu", compiled=compiled)
    network = create_model(name, num_classes=CLASSES, stem="paper")
    state = TrainingState(network, SETTINGS, engine)
    images = images.contiguous(memory_format=torch.channels_last)
    begun = time.perf_counter()
    for _ in steps(state, OneBatch(images, targets, 1 << 30), SETTINGS, engine):
        yield time.perf_counter() - begun
        begun = time.perf_counter()


def usual(network: nn.Module, images: Tensor, targets: Tensor, form: str) -> Contestant:
    """The plain loop; ``form`` is plain, channels_last or compiled."""
    if form == "channels_last":
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    network.train()
    forward = torch.compile(network) if form == "compiled" else network
    while True:
        begun = time.perf_counter()
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(images), targets)
        loss.backward()
        optimizer.step()
        loss.item()
        yield time.perf_counter() - begun


def contestant(name: str, form: str) -> Contestant:
    """The steps of one form of a network on a batch that lies in memory."""
    own, build, _ = NETWORKS[name]
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 3, SIDE, SIDE, generator=draw)
    targets = torch.randint(CLASSES, (BATCH,), generator=draw)
    torch.manual_seed(0)
    if form.startswith("ours"):
        return ours(own, images, targets, compiled=form == "ours compiled")
    return usual(build(), images, targets, form)


def measured(name: str, form: str, count: int) -> float:
    """Median seconds of a step in a process of its own, so that none changes another's memory."""
    command = [sys.executable, "-m", "benchmarks.step", "--one", name, form, "--steps", str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def contest(name: str, count: int, rounds: int, compiled: bool) -> dict[str, float]:
    """Median seconds of a step of each contestant, of its best round."""
    forms = ["ours", "plain", "channels_last", *(("compiled", "ours compiled") if compiled else ())]
    turns = [{form: measured(name, form, count) for form in forms} for _ in range(rounds)]
    return {form: min(turn[form] for turn in turns) for form in forms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled forms out")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        steps_of = contestant(*arguments.one)
        times = [next(steps_of) for _ in range(WARM_UP + arguments.steps)]
        print(statistics.median(times[WARM_UP:]))
        return
    rows = []
    for name in arguments.networks:
        seconds = contest(name, arguments.steps, arguments.rounds, not arguments.no_compile)
        peers = {form: seconds[form] for form in seconds if not form.startswith("ours")}
        fastest = min(peers, key=lambda form: peers[form])
        mine = min(value for form, value in seconds.items() if form.startswith("ours"))
        row = {
            "network": name,
            "seconds": seconds,
            "aim": NETWORKS[name][2],
            "ratio to plain": seconds["plain"] / seconds["ours"],
            "fastest peer": fastest,
            "ratio to fastest peer": peers[fastest] / mine,
            "ratio to fastest peer, ours as it is": peers[fastest] / seconds["ours"],
        }
        rows.append(row)
        shown = ", ".join(f"{form} {1000 * value:.0f} ms" for form, value in seconds.items())
        print(
            f"{name:14} {shown}: {row['ratio to plain']:.2f}x plain (aim {row['aim']}), "
            f"{row['ratio to fastest peer']:.2f}x the fastest ({fastest})",
            flush=True,
        )
    record = {
        "command": " ".join(["python -m benchmarks.step", *sys.argv[1:]]),
        "batch": BATCH,
        "side": SIDE,
        "threads": torch.get_num_threads(),
        "machine": this_machine().model_dump(),
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
