"""Use a trained network: classes of images, and its accuracy on a test split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convnets.data import ImageArrays, ImageSet
from convnets.data.batches import Batches, make_batches
from convnets.data.decode import decode, read_image
from convnets.data.fit import fitted
from convnets.data.sets import Split
from convnets.errors import BadData, BadImage, printable
from convnets.files import walk
from convnets.training.engine import Engine
from convnets.training.evaluation import Evaluation, evaluate
from convnets.weights.model_file import LoadedModel, ModelDescription

Tracker = Callable[[int, int], None]


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one image with their probabilities, likeliest first."""

    path: Path
    classes: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON: path, and a list of names and probabilities."""
        guesses = [{"name": name, "probability": value} for name, value in self.classes]
        return {"path": printable(str(self.path)), "classes": guesses}


@dataclass(frozen=True)
class Outcome:
    """Predictions in the order of the paths, and the images that could not be read."""

    predictions: tuple[Prediction, ...]
    unreadable: tuple[BadImage, ...]


@dataclass(frozen=True)
class Tested:
    """A network's evaluation on a data set."""

    description: ModelDescription
    data: str
    evaluation: Evaluation

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON; accuracies are shares of 1."""
        found = self.evaluation
        return {
            "model": self.description.model,
            "stem": self.description.stem,
            "data": self.data,
            "classes": list(self.description.classes),
            "samples": found.samples,
            "top1": found.top1,
            "top5": found.top5,
            "loss": found.loss,
            "confusion": found.confusion.tolist(),
        }


def evaluate_on(
    loaded: LoadedModel, image_set: ImageSet, engine: Engine, *, progress: Tracker | None = None
) -> Tested:
    """Test a network on a set's test split; raises ``BadData`` if its classes are others."""
    description = loaded.description
    if image_set.classes != description.classes:
        raise BadData(
            f"{image_set.name} has the classes {_some(image_set.classes)}; "
            f"the network was trained on {_some(description.classes)}"
        )
    if image_set.channels != description.in_chans:
        raise BadData(
            f"{image_set.name} has {image_set.channels} channels; "
            f"the network takes {description.in_chans}"
        )
    batches = _batches(description, image_set.test, engine, 250)
    done = 0

    def between() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, batches.steps)

    network = engine.place(loaded.network)
    found = evaluate(
        network, batches, engine, num_classes=len(description.classes), between=between
    )
    return Tested(description, image_set.name, found)


@torch.no_grad()
def predict(
    loaded: LoadedModel,
    paths: Iterable[Path],
    engine: Engine,
    *,
    top: int = 3,
    batch_size: int = 64,
    progress: Tracker | None = None,
) -> Outcome:
    """Classify images and the images in folders; what cannot be read is set aside, not raised."""
    description = loaded.description
    network = engine.place(loaded.network).eval()
    files = images_in(paths)
    predictions: list[Prediction] = []
    unreadable: list[BadImage] = []
    for start in range(0, len(files), batch_size):
        readable, pixels = [], []
        for path in files[start : start + batch_size]:
            try:
                image = decode(read_image(path), name=path, channels=description.in_chans)
            except BadImage as error:
                unreadable.append(error)
                continue
            readable.append(path)
            pixels.append(fitted(image[None], description.input_size))
        if readable:
            split = ImageArrays(np.concatenate(pixels), np.zeros(len(readable), np.int64))
            (batch,) = _batches(description, split, engine, batch_size).epoch(0)
            with engine.autocast():
                logits = network(batch.images)
            likeliest = logits.float().softmax(1).topk(min(top, len(description.classes)), dim=1)
            for path, values, indices in zip(
                readable, likeliest.values.tolist(), likeliest.indices.tolist(), strict=True
            ):
                names = (description.classes[index] for index in indices)
                predictions.append(Prediction(path, tuple(zip(names, values, strict=True))))
        if progress is not None:
            progress(min(start + batch_size, len(files)), len(files))
    return Outcome(tuple(predictions), tuple(unreadable))


def images_in(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those below the folders named; raises ``BadData`` if there are none."""
    paths = list(paths)
    files = [file for path in paths for file in (walk(path) if path.is_dir() else [path])]
    if not files:
        raise BadData(f"no file in {', '.join(str(path) for path in paths)}")
    return files


def _batches(
    description: ModelDescription, split: Split, engine: Engine, batch_size: int
) -> Batches:
    """A split's batches in its own order, prepared as the network's file says."""
    return make_batches(
        split,
        size=description.input_size,
        batch_size=batch_size,
        mean=description.mean,
        deviation=description.deviation,
        device=engine.device,
        seed=0,
        augmentation=None,
        training=False,
        channels_last=engine.channels_last,
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown}, ... ({len(names)})" if len(names) > 5 else shown
