"""Time to vary a batch: ours against torchvision, image by image, and kornia, in one run.

    pip install -c constraints.txt -e ".[test]"
    python -m benchmarks.augment [--size 32] [--batch 128] [--repeats 7] [--out FILE.json]

Two policies: a crop of 4 padded pixels with a flip, and RandAugment(2, 9). Each tool turns the same
uint8 images into a varied batch as its manual shows: ours and torchvision's are uint8 (normalising
costs all the same), kornia's are floating point before and after. Ours and torchvision draw for
every image, kornia's RandAugment draws its operations once a batch. Tools take turns over the same
batches, with the same draws in every repeat; a batch's fastest repeat counts, and the mean over the
batches is shown. It is processor time of one thread, which others on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import tests.conftest  # noqa: F401  # what torchvision needs beside a CPU build of torch

# isort: split
import kornia
import torch
from torch import Tensor
from torchvision.transforms import v2

from convnets.data.augment import Augmentation, RandAugment, cropped, placement
from convnets.data.draws import Draws
from convnets.data.policies import recoloured
from convnets.runs.machine import this_machine
from convnets.training.engine import choose_engine

PADDING = 4
CROP = Augmentation(padding=PADDING, padding_mode="zero", flip=True)
RAND = Augmentation(rand_augment=RandAugment(operations=2, magnitude=9))
Make = Callable[[int], Tensor]


def crop_and_flip(images: Tensor) -> dict[str, Make]:
    """A random crop of the padded image, mirrored half of the time."""
    size, samples = images.shape[-1], torch.arange(len(images))
    held = torch.nn.functional.pad(images, [PADDING] * 4)  # as a set lies on the device
    one_by_one = v2.Compose([v2.RandomCrop(size, padding=PADDING), v2.RandomHorizontalFlip()])
    at_once = kornia.augmentation.AugmentationSequential(
        kornia.augmentation.RandomCrop((size, size), padding=PADDING),
        kornia.augmentation.RandomHorizontalFlip(),
    )
    floats = images / 255
    return {
        "convnets": lambda epoch: cropped(held, samples, size, placement(CROP, 0, epoch, samples)),
        "torchvision": lambda _: torch.stack([one_by_one(image) for image in images]),
        "kornia": lambda _: at_once(floats),
    }


def rand_augment(images: Tensor) -> dict[str, Make]:
    """Two of the 14 operations at magnitude 9 of 30."""
    samples, fill = torch.arange(len(images)), torch.zeros(images.shape[1])
    one_by_one = v2.RandAugment(num_ops=2, magnitude=9)
    at_once = kornia.augmentation.auto.RandAugment(n=2, m=9)
    floats = images / 255
    return {
        "convnets": lambda epoch: recoloured(images, RAND, Draws(0, epoch, samples), fill),
        "torchvision": lambda _: torch.stack([one_by_one(image) for image in images]),
        "kornia": lambda _: at_once(floats),
    }


def milliseconds(make: Make, batches: int) -> list[float]:
    """For each of some batches; the draws are the same at each call."""
    torch.manual_seed(0)
    found = []
    for epoch in range(batches):
        started = time.process_time()
        make(epoch)
        found.append((time.process_time() - started) * 1e3)
    return found


def main() -> None:
    """Time every tool on every policy; print a table; write a record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=20, help="in each repeat")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    choose_engine("cpu")  # memory as a training run has it, for all alike
    torch.manual_seed(0)
    shape = (arguments.batch, 3, arguments.size, arguments.size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    rows = []
    for name, policy in (("crop and flip", crop_and_flip), ("RandAugment(2, 9)", rand_augment)):
        tools = policy(images)
        times: dict[str, list[list[float]]] = {tool: [] for tool in tools}
        for _ in range(arguments.repeats):
            for tool, make in tools.items():
                times[tool].append(milliseconds(make, arguments.batches))
        fastest = {
            tool: statistics.mean(min(each) for each in zip(*repeats, strict=True))
            for tool, repeats in times.items()
        }
        ratios = {tool: fastest[tool] / fastest["convnets"] for tool in tools}
        rows.append({"policy": name, "milliseconds": fastest, "peer / ours": ratios})
        cells = [f"{tool} {fastest[tool]:.2f} ms ({ratios[tool]:.1f}x)" for tool in tools]
        print(f"{name}, {arguments.batch} images of {arguments.size}: {', '.join(cells)}")
    if arguments.out:
        record = {
            "command": " ".join(["python -m benchmarks.augment", *sys.argv[1:]]),
            "machine": this_machine().model_dump(),
            "peers": {tool: metadata.version(tool) for tool in ("torchvision", "kornia")},
            "shape": shape,
            "rows": rows,
        }
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
