"""Made-up results of the lecture's sixteen networks, shaped as a benchmark leaves them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from convnets.records import (
    DataRecord,
    Engine,
    EpochRecord,
    Machine,
    Mistake,
    Result,
)

CIFAR = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

# fmt: off
NETWORKS = {  # year, stem, parameters, MACs at 32 pixels, test accuracy, images/s
    "lenet_wide":     (1998, "paper",   4_500_000,    15_200_000, 0.7250, 5100.0),
    "alexnet_owt":    (2014, "small",  57_044_810,   148_000_000, 0.6950,  610.0),
    "zfnet":          (2013, "small",  58_300_000,   190_000_000, 0.6780,  540.0),
    "vgg11":          (2014, "paper", 128_807_306,   272_000_000, 0.7800,  210.0),
    "vgg16":          (2014, "paper", 134_301_514,   433_000_000, 0.7890,  140.0),
    "vgg19":          (2014, "paper", 139_611_210,   517_000_000, 0.7860,  118.0),
    "googlenet_bn":   (2014, "paper",   5_610_154,    31_000_000, 0.8050,  760.0),
    "resnet18":       (2015, "paper",  11_181_642,    37_200_000, 0.7740, 1180.0),
    "resnet34":       (2015, "paper",  21_289_802,    75_400_000, 0.7700,  690.0),
    "resnet50":       (2015, "paper",  23_528_522,    84_100_000, 0.7570,  480.0),
    "resnet101":      (2015, "paper",  42_520_650,   160_000_000, 0.7540,  270.0),
    "mobilenet_v1":   (2017, "paper",   3_217_226,    11_800_000, 0.7560, 1510.0),
    "mobilenet_v2":   (2018, "paper",   2_236_682,     6_400_000, 0.6740, 1390.0),
    "convnext_tiny":  (2022, "paper",  27_827_818,    91_000_000, 0.6220,  420.0),
    "convnext_small": (2022, "paper",  49_462_378,   178_000_000, 0.6250,  240.0),
    "convnext_base":  (2022, "paper",  87_576_714,   314_000_000, 0.6260,  150.0),
}
# fmt: on


def sixteen(
    *, seeds: Sequence[int] = (0, 1, 2), epochs: int = 12, classes: Sequence[str] = CIFAR
) -> list[Result]:
    """Every network of the lecture with every seed."""
    return [
        build(name, seed=seed, epochs=epochs, classes=classes)
        for name in NETWORKS
        for seed in seeds
    ]


def build(
    name: str,
    *,
    seed: int = 0,
    epochs: int = 12,
    classes: Sequence[str] = CIFAR,
    model: str | None = None,
    **changed: Any,
) -> Result:
    """One run of a network of ``NETWORKS``, under another name if ``model`` is given.

    ``changed`` are fields of ``Result`` that replace the made-up ones.
    """
    year, stem, params, macs, reached, speed = NETWORKS[name]
    model = model or name
    random = np.random.default_rng([seed, *name.encode()])
    images = max(10_000 // len(classes), 5) * len(classes)
    confusion = _confusion(random, len(classes), images // len(classes), reached)
    top1 = float(np.trace(confusion) / images)
    data = DataRecord(
        name="cifar10",
        fingerprint="5a1c" * 16,
        classes=tuple(classes),
        channels=3,
        image_size=(32, 32),
        train_images=50_000,
        test_images=images,
    )
    seconds = 50_000 * epochs / speed
    fields: dict[str, Any] = {
        "run": f"{model}-{stem}-s{seed}-{epochs}",
        "model": model,
        "family": model.split("_")[0],
        "year": year,
        "stem": stem,
        "recipe": "lecture",
        "seed": seed,
        "epochs": epochs,
        "input_size": 32,
        "data": data,
        "plan": {
            "model": model,
            "stem": stem,
            "seed": seed,
            "recipe": {"name": "lecture", "epochs": epochs, "optimizer": {"lr": 0.1}},
        },
        "params": params,
        "macs": macs,
        "training_macs": 3 * macs * 50_000 * epochs,
        "top1": top1,
        "top5": 1 - (1 - top1) / 8 if len(classes) > 5 else None,
        "test_loss": 1.2 * (1 - top1) + 0.3,
        "confusion": tuple(tuple(map(int, row)) for row in confusion),
        "curve": _curve(random, epochs, top1, seconds),
        "mistakes": tuple(_mistake(random, len(classes), index) for index in range(12)),
        "skipped_files": (),
        "seconds": seconds,
        "images_per_second": speed,
        "peak_memory_bytes": 600_000_000 + 16 * params,
        "weights_sha256": "0123456789abcdef" * 4,
        "engine": Engine(
            device="cpu", precision="float32", channels_last=True, compiled=False, threads=2
        ),
        "machine": Machine(
            processor="Example CPU at 2.5 GHz",
            cores=2,
            memory_bytes=8 << 30,
            accelerator=None,
            system="Linux 6.8",
            versions={"python": "3.11.9", "torch": "2.13.0", "convnets": "0.1.0"},
        ),
        "command": f"convnets train {model} --data cifar10 --recipe lecture --epochs {epochs} "
        f"--seed {seed} --out runs",
    }
    return Result(**{**fields, **changed})


def _confusion(
    random: np.random.Generator, classes: int, images: int, reached: float
) -> np.ndarray[Any, Any]:
    affinity = np.random.default_rng(7).exponential(size=(classes, classes)) ** 2
    np.fill_diagonal(affinity, 0)
    matrix = np.zeros((classes, classes), dtype=int)
    for true in range(classes):
        ease = 0.12 * np.sin(true * 2.4) + random.normal(0, 0.012)
        right = round(images * float(np.clip(reached + ease, 0.02, 0.99)))
        wrong = affinity[true] / affinity[true].sum()
        matrix[true] = random.multinomial(images - right, wrong)
        matrix[true, true] = right
    return matrix


def _curve(
    random: np.random.Generator, epochs: int, top1: float, seconds: float
) -> tuple[EpochRecord, ...]:
    records = []
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        reached = top1 * (1 - 0.55 * np.exp(-4 * share)) / (1 - 0.55 * np.exp(-4))
        noise = 0.0 if epoch == epochs else random.normal(0, 0.01)
        records.append(
            EpochRecord(
                epoch=epoch,
                step=391 * epoch,
                learning_rate=0.1 * (1 - share),
                train_loss=float(2.2 * (1 - share) + 0.4),
                test_loss=float(2.0 * (1 - share) + 0.6),
                test_top1=float(np.clip(reached + noise, 0, 1)),
                seconds=seconds * share,
            )
        )
    return tuple(records)


def _mistake(random: np.random.Generator, classes: int, index: int) -> Mistake:
    label = int(random.integers(classes))
    coarse = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    picture = io.BytesIO()
    Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(picture, "PNG")
    return Mistake(
        index=int(random.integers(10_000)),
        label=label,
        predicted=(label + 1 + int(random.integers(classes - 1))) % classes,
        probability=0.999 - 0.01 * index,
        png=base64.b64encode(picture.getvalue()).decode(),
    )
