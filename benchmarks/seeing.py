"""Time per image of Grad-CAM and of a class's deconvnet: ours against captum, in one run.

    pip install -c constraints.txt -e ".[test]"
    python -m benchmarks.seeing [--repeats 15] [--out results/seeing/timing.json]

Both get the same network with random weights, the same image, and its likeliest class as the
target, which neither has to look for. The network's ReLUs do not work in place, which captum cannot
take. The repeats are interleaved, and the ratio is captum's median over ours. What the two return
is compared, too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import captum.attr
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from convnets import create_model
from convnets.layers.network import ConvNet
from convnets.runs.machine import this_machine
from convnets.visualize.attribution import class_deconvnet
from convnets.visualize.cam import grad_cam

NETWORKS = ("resnet18", "vgg16")
SIZE = 224

Ways = dict[str, Callable[[Tensor], np.ndarray]]


def ways_of(network: ConvNet, target: int) -> dict[str, Ways]:
    """Each method in both libraries, as functions of an image (1, 3, 224, 224)."""
    last_stage = list(network.features.children())[-1]
    layer_cam = captum.attr.LayerGradCam(network, last_stage)
    deconvolution = captum.attr.Deconvolution(network)

    def captum_cam(image: Tensor) -> np.ndarray:
        maps = layer_cam.attribute(image, target=target, relu_attributions=True)
        return F.interpolate(maps, (SIZE, SIZE), mode="bilinear").detach()[:, 0].numpy()

    def captum_deconvnet(image: Tensor) -> np.ndarray:
        pixels = image.clone().requires_grad_()
        found: np.ndarray = deconvolution.attribute(pixels, target=target).detach().numpy()
        return found

    return {
        "grad-cam": {
            "convnets": lambda image: grad_cam(network, image, target=target).values,
            "captum": captum_cam,
        },
        "deconvnet": {
            "convnets": lambda image: class_deconvnet(network, image, target=target).values,
            "captum": captum_deconvnet,
        },
    }


def compared(ways: Ways, image: Tensor, repeats: int) -> dict[str, object]:
    """Seconds of each library, first one after the other and then in turns."""
    first, second = (way(image) for way in ways.values())
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way(image)
            times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {
        "seconds": medians,
        "quartiles": {name: statistics.quantiles(each, n=4)[::2] for name, each in times.items()},
        "ratio": medians["captum"] / medians["convnets"],
        "largest difference": float(np.abs(first - second).max() / np.abs(second).max()),
    }


def main() -> None:
    """Time both libraries on every network; print a line each; write a record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # captum's, on the hooks that it sets
    rows = []
    for name in NETWORKS:
        torch.manual_seed(0)
        network = create_model(name).eval()
        for module in network.modules():
            if hasattr(module, "inplace"):
                module.inplace = False
        image = torch.randn(1, 3, SIZE, SIZE)
        with torch.no_grad():
            target = int(network(image).argmax())
        for method, ways in ways_of(network, target).items():
            row = {"network": name, "method": method, **compared(ways, image, arguments.repeats)}
            rows.append(row)
            ours, theirs = (1e3 * row["seconds"][each] for each in ways)  # type: ignore[index]
            print(
                f"{name}, {method}: ours {ours:.1f} ms, captum {theirs:.1f} ms; "
                f"captum / ours {row['ratio']:.3f}; "
                f"largest difference {row['largest difference']:.1e}"
            )
    if arguments.out:
        record = {
            "command": " ".join(["python -m benchmarks.seeing", *sys.argv[1:]]),
            "machine": this_machine().model_dump(),
            "threads": torch.get_num_threads(),
            "captum": captum.__version__,
            "size": SIZE,
            "repeats": arguments.repeats,
            "rows": rows,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
