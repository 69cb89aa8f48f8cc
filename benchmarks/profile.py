"""Time to profile five networks: ours against torchinfo, fvcore and ptflops, in one run.

    pip install -c constraints.txt -e ".[peers]"
    python -m benchmarks.profile [--repeats 3] [--out results/profile.json]

Each tool gets the same built network in turn, as its manual shows, and its fastest time of the
repeats counts. ``MACs`` is what each says; ours equals torch's own counter exactly, the others'
differ by what they leave out or add.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import tests.conftest  # noqa: F401  # what torchvision needs beside a CPU build of torch

# isort: split
import timm
import torch
import torchvision
from fvcore.nn import FlopCountAnalysis
from ptflops import get_model_complexity_info
from torch import nn
from torchinfo import summary

from convnets import profile
from convnets.runs.machine import this_machine

# Of torchvision and timm, since some tools know a layer by its exact class.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet152": (torchvision.models.resnet152, 224),
    "densenet201": (torchvision.models.densenet201, 224),
    "efficientnet_b7": (torchvision.models.efficientnet_b7, 600),
    "nasnetalarge": (lambda: timm.create_model("nasnetalarge"), 331),
    "convnext_base": (torchvision.models.convnext_base, 224),
}
OUR_COLUMNS = (
    "name, kind, output shape, parameters, MACs, FLOPs, activation memory, kept for backward, "
    "bytes moved, receptive field, stride, centre, arithmetic intensity"
)


def ours(network: nn.Module, size: int) -> int:
    """Every layer with all its columns."""
    return profile(network, size).macs


def by_torchinfo(network: nn.Module, size: int) -> int:
    """Name, kind, output shape, parameters, multiply-adds."""
    columns = ("output_size", "num_params", "mult_adds")
    return int(
        summary(
            network, (1, 3, size, size), col_names=columns, verbose=0, device="cpu"
        ).total_mult_adds
    )


def by_fvcore(network: nn.Module, size: int) -> int:
    """Name, operation counts by module."""
    analysis = FlopCountAnalysis(network, torch.zeros(1, 3, size, size))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(analysis.total())


def by_ptflops(network: nn.Module, size: int) -> int:
    """Parameters and multiply-adds by module, with its default backend."""
    macs, _ = get_model_complexity_info(
        network, (3, size, size), as_strings=False, print_per_layer_stat=False, verbose=False
    )
    return int(macs)


TOOLS: dict[str, Callable[[nn.Module, int], int]] = {
    "convnets": ours,
    "torchinfo": by_torchinfo,
    "fvcore": by_fvcore,
    "ptflops": by_ptflops,
}


def main() -> None:
    """Time every tool on every network; print a table; write a record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    rows = []
    for name, (build, size) in NETWORKS.items():
        network = build().eval()
        row: dict[str, object] = {"network": name, "size": size}
        times: dict[str, list[float]] = {tool: [] for tool in TOOLS}
        for _ in range(arguments.repeats):
            for tool, count in TOOLS.items():
                gc.collect()  # what one tool leaves is not the next one's to clear away
                started = time.perf_counter()
                with torch.no_grad():
                    macs = count(network, size)
                times[tool].append(time.perf_counter() - started)
                row[tool] = {"seconds": min(times[tool]), "macs": macs}
        rows.append(row)
        fastest = min(row[tool]["seconds"] for tool in TOOLS if tool != "convnets")  # type: ignore[index]
        row["ratio"] = fastest / row["convnets"]["seconds"]  # type: ignore[index]
        cells = [f"{t} {row[t]['seconds']:.2f} s {row[t]['macs']:,}" for t in TOOLS]  # type: ignore[index]
        print(f"{name} at {size}: {'; '.join(cells)}; fastest peer / ours {row['ratio']:.2f}")
    if arguments.out:
        record = {
            "command": " ".join(["python -m benchmarks.profile", *sys.argv[1:]]),
            "machine": this_machine().model_dump(),
            "our columns": OUR_COLUMNS,
            "rows": rows,
        }
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
