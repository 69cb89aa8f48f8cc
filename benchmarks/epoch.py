"""One CIFAR-10 epoch with crop and flip: ours against the usual script, in one run.

    python benchmarks/epoch.py [--data-dir DIR] [--images N] [--out FILE.json]

The usual script is what tutorials teach: torchvision's PIL transforms in a DataLoader with two
workers, torchvision's network, a plain loop with SGD, batch 128, float32. Ours is the loop of
``convnets train`` with the same network, batch and optimizer, in float32 and in bfloat16
(``--precision bfloat16``), which pays on some networks and some processors. For LeNet-5 the usual
script runs twice: with the very network of 1998 that ours trains, and with the lighter textbook
form (dense C3, plain pooling, linear output).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from convnets.data import ImageArrays, load_data
from convnets.data.augment import Augmentation
from convnets.data.batches import make_batches, normalisation
from convnets.models import create_model
from convnets.runs.machine import this_machine
from convnets.training.engine import Precision, choose_engine
from convnets.training.loop import steps
from convnets.training.objective import make_objective
from convnets.training.settings import Constant, Optimisation, Sgd
from convnets.training.state import TrainingState

BATCH = 128
WARM_UP = 5
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
SETTINGS = Optimisation(
    epochs=2, batch_size=BATCH, optimizer=Sgd(lr=1e-3, weight_decay=0.0), schedule=Constant()
)
# torchvision's compiled operators are absent beside a CPU build of torch from elsewhere; its
# import needs their names alone.
OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
for schema in (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
):
    OPERATORS.define(schema)


def textbook_lenet() -> nn.Module:
    """LeNet-5 as tutorials write it."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def ours(name: str, split: ImageArrays, precision: Precision) -> float:
    """Images a second of our loop, after a few steps of warm-up."""
    engine = choose_engine("cpu", precision)
    mean, deviation = normalisation(split)
    network = create_model(name, num_classes=10, in_chans=3, stem="auto", input_size=32)
    state = TrainingState(network, SETTINGS, engine)
    batches = make_batches(
        split,
        size=32,
        batch_size=BATCH,
        mean=mean,
        deviation=deviation,
        device=engine.device,
        seed=0,
        augmentation=Augmentation(padding=4, padding_mode="zero", flip=True),
        training=True,
        channels_last=engine.channels_last,
    )
    begun, images = 0.0, 0
    for report in steps(state, batches, SETTINGS, engine):
        if report.step == WARM_UP:
            begun = time.perf_counter()
        elif report.step > WARM_UP:
            images += report.samples
    return images / (time.perf_counter() - begun)


class Pictures(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """What torchvision.datasets.CIFAR10 does: an array a picture, made a PIL image each time."""

    def __init__(self, split: ImageArrays) -> None:
        from torchvision import transforms

        mean, deviation = normalisation(split)
        self.split = split
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(mean, deviation),
            ]
        )

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.split.images[index])
        return self.transform(image), int(self.split.labels[index])


def usual(network: nn.Module, split: ImageArrays) -> float:
    """Images a second of the usual script, after a few steps of warm-up."""
    own = hasattr(network, "criterion")
    criterion = make_objective(network, SETTINGS).criterion if own else F.cross_entropy
    loader = torch.utils.data.DataLoader(
        Pictures(split), batch_size=BATCH, shuffle=True, num_workers=2
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    network.train()
    begun, counted = 0.0, 0
    for step, (images, labels) in enumerate(loader, 1):
        optimizer.zero_grad()
        loss = criterion(network(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        if step == WARM_UP:
            begun = time.perf_counter()
        elif step > WARM_UP:
            counted += len(labels)
    return counted / (time.perf_counter() - begun)


def contests() -> list[tuple[str, str, Callable[[], nn.Module]]]:
    """Our name, what the usual script trains, and how that is built."""
    from torchvision import models

    return [
        ("lenet5", "same network", lambda: create_model("lenet5", in_chans=3)),
        ("lenet5", "textbook LeNet-5", textbook_lenet),
        ("resnet18", "torchvision resnet18", lambda: models.resnet18(num_classes=10)),
        ("mobilenet_v2", "torchvision mobilenet_v2", lambda: models.mobilenet_v2(num_classes=10)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--images", type=int, default=50_000, help="of the training split")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    image_set = load_data("cifar10", data_dir=arguments.data_dir)
    wanted = min(arguments.images, len(image_set.train))
    pictures = np.stack([image_set.train.image(row) for row in range(wanted)])
    split = ImageArrays(pictures, image_set.train.labels[:wanted])
    rows = []
    for name, peer, build in contests():
        torch.manual_seed(0)
        slow = usual(build(), split)
        for precision in PRECISIONS:
            fast = ours(name, split, precision)
            row = {
                "network": name,
                "precision": precision,
                "ours": fast,
                "usual script": peer,
                "usual": slow,
                "ratio": fast / slow,
            }
            rows.append(row)
            print(
                f"{name:14} ours, {precision:8} {fast:8,.0f} images/s, "
                f"{peer:24} {slow:8,.0f}: {fast / slow:.2f}x",
                flush=True,
            )
    record = {
        "command": " ".join(["python -m benchmarks.epoch", *sys.argv[1:]]),
        "data": image_set.name,
        "images": wanted,
        "batch": BATCH,
        "threads": torch.get_num_threads(),
        "machine": this_machine().model_dump(),
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
