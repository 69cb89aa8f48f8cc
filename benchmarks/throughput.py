"""Images a second of training in bfloat16, compiled: our loop and network against timm's network.

    pip install -c constraints.txt -e ".[test]"
    python -m benchmarks.throughput [--device cuda] [--rounds 3] [--out results/throughput.json]

Three settings: ResNet-18 at 32 pixels, ResNet-50 and ConvNeXt-T at 224. timm's network runs in the
plain loop that its users write: autocast, channels_last, torch.compile, SGD. Ours runs in the loop
of ``convnets train`` with the engine's own choices, compiled as well, or with ``--cuda-graphs``
replayed as a CUDA graph. Both see one batch that lies on the device, and take turns; the best
round's median counts. Utilisation is six operations a multiply-add over the
rate of a large matrix product in bfloat16, measured in the same run.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401  # what torchvision, and so timm, needs beside a CPU build

# isort: split
import timm
import torch
from benchmarks.step import SETTINGS, Contestant, OneBatch
from torch import Tensor
from torch.nn import functional as F

from convnets import create_model, profile
from convnets.analysis.measure import matmul_peak
from convnets.runs.machine import this_machine
from convnets.training.engine import choose_engine
from convnets.training.loop import steps
from convnets.training.state import TrainingState

NETWORKS: dict[str, tuple[str, int, int]] = {
    # timm's name, pixels, images a batch
    "resnet18": ("resnet18", 32, 1024),
    "resnet50": ("resnet50", 224, 256),
    "convnext_tiny": ("convnext_tiny", 224, 256),
}
WARM_UP = 5
Row = dict[str, Any]


def waited(device: torch.device, contestant: Iterator[object]) -> Contestant:
    """Seconds of each step, the device's work included."""
    while True:
        begun = time.perf_counter()
        next(contestant)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        yield time.perf_counter() - begun


def ours(name: str, images: Tensor, targets: Tensor, *, compiled: bool, graphs: bool) -> Contestant:
    """The loop of ``convnets train``."""
    engine = choose_engine(images.device.type, "bfloat16", compiled=compiled, graphs=graphs)
    network = create_model(name, num_classes=10).to(images.device)
    state = TrainingState(network, SETTINGS, engine)
    batches = OneBatch(images, targets, 1 << 30)
    yield from waited(images.device, steps(state, batches, SETTINGS, engine))


def usual(name: str, images: Tensor, targets: Tensor, *, compiled: bool) -> Contestant:
    """The plain loop on timm's network."""

    def loop() -> Iterator[None]:
        network = timm.create_model(NETWORKS[name][0], num_classes=10).to(images.device)
        network = network.to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
        forward = torch.compile(network) if compiled else network
        while True:
            optimizer.zero_grad()
            with torch.autocast(images.device.type, torch.bfloat16):
                loss = F.cross_entropy(forward(images), targets)
            loss.backward()
            optimizer.step()
            yield

    torch._dynamo.reset()
    yield from waited(images.device, loop())


def contest(name: str, device: torch.device, batch: int, arguments: argparse.Namespace) -> Row:
    """Images a second and utilisation of both, and the ratio."""
    _, side, _ = NETWORKS[name]
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, side, side, generator=draw).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    targets = torch.randint(10, (batch,), generator=draw).to(device)
    makers: dict[str, Callable[..., Contestant]] = {
        "convnets": partial(ours, graphs=arguments.cuda_graphs),
        "timm": usual,
    }
    rates = dict.fromkeys(makers, 0.0)
    for _ in range(arguments.rounds):
        for who, make in makers.items():
            contestant = make(name, images, targets, compiled=not arguments.no_compile)
            for _ in range(WARM_UP):
                next(contestant)
            seconds = statistics.median(next(contestant) for _ in range(arguments.steps))
            rates[who] = max(rates[who], batch / seconds)
            contestant.close()
            gc.collect()
    network = create_model(name, num_classes=10)
    operations = 6 * profile(network, input_size=side).macs
    peak = matmul_peak(device, torch.bfloat16)
    return {
        "network": name,
        "pixels": side,
        "batch": batch,
        "images a second": rates,
        "utilisation": {who: operations * rate / peak for who, rate in rates.items()},
        "ratio": rates["convnets"] / rates["timm"],
        "peak": peak,
    }


def main() -> None:
    """Measure, print a line a network, and write a record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--batch", type=int, help="images a batch, instead of each network's own")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--cuda-graphs", action="store_true", help="for ours")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = choose_engine(arguments.device, "bfloat16").device
    rows = []
    for name in arguments.networks:
        row = contest(name, device, arguments.batch or NETWORKS[name][2], arguments)
        rows.append(row)
        shown = ", ".join(
            f"{who} {rate:,.0f} images/s ({100 * row['utilisation'][who]:.0f} % of the peak)"
            for who, rate in row["images a second"].items()
        )
        print(f"{name} at {row['pixels']}: {shown}; ratio {row['ratio']:.2f}", flush=True)
    record = {
        "command": " ".join(["python -m benchmarks.throughput", *sys.argv[1:]]),
        "machine": this_machine().model_dump(),
        "timm": timm.__version__,
        "compiled": not arguments.no_compile,
        "cuda graphs": arguments.cuda_graphs,
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
