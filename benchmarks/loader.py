"""Images a second from 224-pixel JPEGs: our folders and tar shards, and torchvision's ImageFolder.

    pip install -c constraints.txt -e ".[test]"
    python -m benchmarks.loader [--images 2000] [--rounds 5] [--out results/loader.json]

The images are squares cut from the two photographs that scikit-learn brings, saved at quality 90,
in ten class folders and in tar shards. A batch of 64 is wanted as normalised float32, for training
(random resized crops, mirrored half of the time) and for testing (whole images). torchvision's
ImageFolder feeds a DataLoader with as many workers as there are cores, with transforms of PIL
images, as its examples have it, and of uint8 tensors (v2), as its manual advises; batches are
collated as by default. An epoch's time starts when its iterator is asked for, workers and all.
They take turns; the fastest of the rounds counts, each tool's own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import tests.conftest  # noqa: F401  # what torchvision needs beside a CPU build of torch

# isort: split
import numpy as np
import sklearn.datasets
import torch
import torchvision
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from convnets.data import load_data
from convnets.data.augment import Augmentation, ResizedCrop
from convnets.data.batches import make_batches
from convnets.runs.machine import this_machine
from convnets.training.engine import choose_engine

SIDE, BATCH, CLASSES, SHARDS = 224, 64, 10, 4
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CROP = Augmentation(resized_crop=ResizedCrop(), flip=True)
Epoch = Callable[[int], Iterator[Tensor]]


def write_images(folder: Path, shards: Path, count: int) -> None:
    """The same JPEGs in class folders and in tar shards."""
    photographs = sklearn.datasets.load_sample_images().images
    draw = np.random.default_rng(0)
    with ExitStack() as files:
        paths = [shards / f"train-{number}.tar" for number in range(SHARDS)]
        archives = [files.enter_context(tarfile.open(path, "w")) for path in paths]
        for number in range(count):
            photograph = photographs[number % len(photographs)]
            top, left = (draw.integers(limit - SIDE) for limit in photograph.shape[:2])
            encoded = io.BytesIO()
            square = Image.fromarray(photograph[top : top + SIDE, left : left + SIDE])
            square.save(encoded, "jpeg", quality=90)
            label = number % CLASSES
            path = folder / f"{label}" / f"{number:05}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded.getvalue())
            archive = archives[number % SHARDS]
            for suffix, content in (("jpg", encoded.getvalue()), ("cls", f"{label}".encode())):
                entry = tarfile.TarInfo(f"{number:05}.{suffix}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def ours(source: Path, *, training: bool) -> Epoch:
    """Batches as ``convnets train`` makes them of files, streamed."""
    batches = make_batches(
        load_data(str(source)).train,
        size=SIDE,
        batch_size=BATCH,
        mean=MEAN,
        deviation=DEVIATION,
        device=torch.device("cpu"),
        seed=0,
        augmentation=CROP,
        training=training,
        memory_limit=0,
    )
    return lambda epoch: (batch.images for batch in batches.epoch(epoch))


def theirs(folder: Path, *, training: bool, tensors: bool) -> Epoch:
    """torchvision's ImageFolder in a DataLoader."""
    varied = [v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()]
    made = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)]
    first = [v2.PILToTensor()] if tensors else []
    last = [] if tensors else [v2.PILToTensor()]
    steps = [*first, *(varied if training else []), *last, *made]
    loader = DataLoader(
        ImageFolder(folder, v2.Compose(steps)),
        batch_size=BATCH,
        shuffle=training,
        num_workers=os.cpu_count() or 1,
    )
    return lambda _: (images for images, _ in loader)


def rate(epoch: Iterator[Tensor]) -> float:
    """Images a second, the whole epoch."""
    begun = time.perf_counter()
    count = sum(len(images) for images in epoch)
    return count / (time.perf_counter() - begun)


def contest(folder: Path, shards: Path, rounds: int, *, training: bool) -> dict[str, float]:
    """The best rate of each contestant."""
    contestants = {
        "convnets, folder": ours(folder, training=training),
        "convnets, shards": ours(shards, training=training),
        "torchvision, PIL": theirs(folder, training=training, tensors=False),
        "torchvision, uint8 tensors": theirs(folder, training=training, tensors=True),
    }
    best = dict.fromkeys(contestants, 0.0)
    for number in range(rounds):
        for name, epoch in contestants.items():
            best[name] = max(best[name], rate(epoch(number)))
    return best


def main() -> None:
    """Measure, print a line a row, and write a record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    choose_engine("cpu")  # keeps freed memory, as in every training of ours; here for all
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder, shards = Path(place) / "folder", Path(place) / "shards"
        shards.mkdir()
        write_images(folder, shards, arguments.images)
        for work in ("training", "testing"):
            rates = contest(folder, shards, arguments.rounds, training=work == "training")
            peer = max(value for name, value in rates.items() if name.startswith("torchvision"))
            ratios = {n: v / peer for n, v in rates.items() if n.startswith("convnets")}
            rows.append({"work": work, "images a second": rates, "of the fastest peer": ratios})
            shown = ", ".join(f"{name} {value:,.0f}" for name, value in rates.items())
            times = ", ".join(f"{value:.2f}x" for value in ratios.values())
            print(f"{work}, images/s: {shown}; of the fastest peer {times}", flush=True)
    record = {
        "command": " ".join(["python -m benchmarks.loader", *sys.argv[1:]]),
        "machine": this_machine().model_dump(),
        "torchvision": torchvision.__version__,
        "images": arguments.images,
        "rounds": arguments.rounds,
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
