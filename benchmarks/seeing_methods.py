"""Whether the attribution methods mean anything on a trained network, over many test images.

    python -m benchmarks.seeing_methods RUN --data cifar10 [--out results/seeing/methods-X.json]

Each seed draws images of the test split that no other seed has, the random orders of pixels, and
the random weights. A method passes a check with a seed as ``convnets.visualize.sanity`` has it:
deletion and insertion with a smaller and a larger area than every random order, randomisation with
a rank correlation below the limit. The target is the class that the network predicts, and what
replaces pixels the mean colour.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convnets import load_data
from convnets.cli.seeing import batches
from convnets.data import ImageSet
from convnets.runs.machine import this_machine
from convnets.visualize.methods import METHODS
from convnets.visualize.sanity import ALIKE, deletion, insertion, randomisation_check
from convnets.visualize.scores import predicted
from convnets.weights import LoadedModel, load_model

STEPS, ORDERS = 10, 3
CHECKS = ("deletion", "insertion", "randomisation")


def images_of(loaded: LoadedModel, image_set: ImageSet, seeds: int, each: int) -> list[Tensor]:
    """``each`` images of the test split for every seed, prepared as the network's input."""
    order = np.random.default_rng(0).permutation(len(image_set.test))[: seeds * each]
    wanted = torch.from_numpy(order)
    inputs = torch.cat(
        [batch.images for batch in batches(loaded, image_set.test, torch.device("cpu")).epoch(0)]
    )
    return list(inputs[wanted].split(each))


def checked(name: str, loaded: LoadedModel, images: Tensor, seed: int) -> dict[str, Any]:
    """One method's checks with one seed."""
    network, method = loaded.network, METHODS[name]
    target = predicted(network, images, None)
    picture = method(network, images, target=target)
    order: dict[str, Any] = {"steps": STEPS, "random_orders": ORDERS, "seed": seed}
    pixels = {
        check.__name__: check(network, images, picture, target=target, **order)
        for check in (deletion, insertion)
    }
    random = randomisation_check(network, images, method, target=target, seed=seed)
    found: dict[str, Any] = {
        kind: {"value": check.area, "random": list(check.random), "passed": check.passed}
        for kind, check in pixels.items()
    }
    found["randomisation"] = {
        "value": random.correlation,
        "by layer": dict(zip(random.layers, random.correlations, strict=True)),
        "passed": random.passed,
    }
    return found


def main() -> None:
    """Check every method with every seed; print a line each; write a record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=40, help="for each seed")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    loaded, image_set = load_model(arguments.run), load_data(arguments.data)
    shown = images_of(loaded, image_set, arguments.seeds, arguments.images)
    methods: dict[str, list[dict[str, Any]]] = {name: [] for name in METHODS}
    started = time.perf_counter()
    for seed, images in enumerate(shown):
        for name, runs in methods.items():
            runs.append(checked(name, loaded, images, seed))
            verdicts = (f"{kind} {runs[-1][kind]['value']:.3f}" for kind in CHECKS)
            print(f"seed {seed}, {name}: {', '.join(verdicts)}", flush=True)
    record = {
        "command": " ".join(["python -m benchmarks.seeing_methods", *sys.argv[1:]]),
        "machine": this_machine().model_dump(),
        "seconds": time.perf_counter() - started,
        "model": loaded.description.model,
        "data": image_set.name,
        "seeds": arguments.seeds,
        "images": arguments.seeds * arguments.images,
        "steps": STEPS,
        "random orders": ORDERS,
        "limit": ALIKE,
        "methods": methods,
    }
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
