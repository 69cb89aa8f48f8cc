"""Milliseconds of an image and of 32: the forms that we ship, our network and timm's, in one run.

    pip install -c constraints.txt -e ".[test,openvino]"
    OMP_NUM_THREADS=2 python -m benchmarks.latency [--rounds 5] [--out results/latency.json]

Weights are random: speed does not depend on them. timm's network gets normalised float images in
its usual layout, as its users write it, and gives logits. Ours get images in bytes and give
probabilities, so that they normalise as well. The median counts. What stands behind is the largest
difference of a probability from our network's.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import tests.conftest  # noqa: F401  # what torchvision, and so timm, needs beside a CPU build

# isort: split
import numpy as np
import openvino
import timm
import torch
from torch import nn

from convnets import create_model
from convnets.export.agreement import Run, answers
from convnets.export.deployed import Deployed
from convnets.export.fold import fold_norms
from convnets.export.int8 import quantised
from convnets.export.onnx_file import network_model, session
from convnets.export.openvino_file import converted, openvino_run
from convnets.runs.machine import this_machine
from convnets.weights import ModelDescription

# Ours and timm's names.
NETWORKS = {
    "resnet18": "resnet18",
    "mobilenet_v2": "mobilenetv2_100",
    "convnext_tiny": "convnext_tiny",
}
SIZE = 224
CALLS = {1: 10, 32: 3}  # of each form in a round, for each batch size
PEER, OURS = "timm eager", "eager"


def peer(name: str) -> Run:
    """timm's network on float images, as its users run it."""
    network = timm.create_model(name).eval()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(FLOATS[len(images)]).numpy()

    return run


FLOATS = {batch: torch.randn(batch, 3, SIZE, SIZE) for batch in CALLS}


def described(name: str) -> ModelDescription:
    """ImageNet's preprocessing and number of classes."""
    return ModelDescription(
        model=name,
        stem="paper",
        classes=tuple(f"class {index}" for index in range(1000)),
        in_chans=3,
        input_size=SIZE,
        mean=(0.485, 0.456, 0.406),
        deviation=(0.229, 0.224, 0.225),
        data="none",
    )


def in_bfloat16(module: nn.Module) -> Run:
    """A module under autocast."""

    def run(images: np.ndarray) -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
            return module(torch.from_numpy(images)).float().numpy()

    return run


def compiled(deployed: Deployed) -> Callable[[torch.Tensor], torch.Tensor]:
    """Inductor with the weights frozen into the program."""
    torch._inductor.config.freezing = True
    torch._dynamo.config.recompile_limit = 64  # it is compiled anew for each autocast and shape
    return torch.compile(copy.deepcopy(deployed))


def forms(name: str) -> dict[str, Run]:
    """Every form of one of our networks, compiled for no batch size in particular."""
    description = described(name)
    network = create_model(name).eval()
    plain = Deployed(network, description).eval()
    folded = fold_norms(network).network.to(memory_format=torch.channels_last)
    last = Deployed(folded, description, torch.channels_last).eval()
    frozen = compiled(last)
    frozen_half = compiled(last)
    exported = network_model(Deployed(fold_norms(network).network, description).eval(), description)
    random = np.random.default_rng(0)
    shape = (8, SIZE, SIZE, 3)
    int8 = quantised(exported, [random.integers(0, 256, shape, np.uint8) for _ in range(4)])
    content, int8_content = exported.SerializeToString(), int8.SerializeToString()
    xml, weights = converted(exported, description)
    int8_xml, int8_weights = converted(int8, description)

    def frozen_run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return frozen(torch.from_numpy(images)).numpy()

    def frozen_half_run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return frozen_half(torch.from_numpy(images)).float().numpy()

    return {
        OURS: lambda images: answers(plain, images),
        "channels last, folded": lambda images: answers(last, images),
        "channels last, folded, bfloat16": in_bfloat16(last),
        "compiled": frozen_run,
        "compiled, bfloat16": frozen_half_run,
        "onnxruntime": session(content),
        "onnxruntime int8": session(int8_content),
        "openvino": openvino_run(xml, weights),
        "openvino bfloat16": openvino_run(xml, weights, precision="bf16"),
        "openvino int8": openvino_run(int8_xml, int8_weights),
    }


def timed(runs: dict[str, Run], images: np.ndarray, rounds: int) -> dict[str, float]:
    """Median seconds of each run: in every round a few calls of each in turn, after one more.

    That one lets the threads of the form before it come to rest.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run(images)
            for _ in range(CALLS[len(images)]):
                started = time.perf_counter()
                run(images)
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    """Time every form of every network; print a table; write a record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.networks:
        ours = forms(name)
        runs = {PEER: peer(NETWORKS[name]), **ours}
        pictures = np.random.default_rng(1).integers(0, 256, (32, SIZE, SIZE, 3), np.uint8)
        expected = ours[OURS](pictures[:8])
        apart = {form: float(abs(run(pictures[:8]) - expected).max()) for form, run in ours.items()}
        row: dict[str, object] = {"network": name, "largest_difference": apart}
        for batch in CALLS:
            seconds = timed(runs, pictures[:batch], arguments.rounds)
            best = min(ours, key=lambda form: seconds[form])
            row[f"batch {batch}"] = {
                "seconds": seconds,
                "best": best,
                "peer / best": seconds[PEER] / seconds[best],
                "ours eager / best": seconds[OURS] / seconds[best],
            }
            print(f"{name}, batch {batch}, {torch.get_num_threads()} threads:")
            for form, each in seconds.items():
                difference = f"{apart[form]:.0e}" if form in apart else ""
                print(
                    f"  {form:32} {1e3 * each:8.2f} ms {batch / each:8.1f} images/s "
                    f"{seconds[PEER] / each:5.2f} x  {difference}"
                )
        rows.append(row)
    if arguments.out:
        record = {
            "command": " ".join(["python -m benchmarks.latency", *sys.argv[1:]]),
            "machine": this_machine().model_dump(),
            "threads": torch.get_num_threads(),
            "versions": {"timm": timm.__version__, "openvino": openvino.__version__},
            "rows": rows,
        }
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
