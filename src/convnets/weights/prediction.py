"""Use a trained network: the classes of images."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from convnets.data import ImageArrays
from convnets.data.decode import decode, read_image
from convnets.data.fit import fitted
from convnets.errors import BadData, BadImage, printable
from convnets.files import walk
from convnets.training.engine import Engine, choose_engine
from convnets.weights.model_file import LoadedModel, ModelDescription
from convnets.weights.testing import Tracker, prepared, some

BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Encoded:
    """The bytes of an image that has no file; ``path`` is what it is called."""

    path: Path
    content: bytes


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


def predict(
    loaded: LoadedModel,
    paths: Iterable[str | Path],
    engine: Engine | None = None,
    *,
    top: int = 3,
    batch_size: int = 64,
    progress: Tracker | None = None,
) -> Outcome:
    """Classify images and the images in folders; what cannot be read is set aside, not raised.

    Raises ``BadData`` where there is no file at all. ``predictions`` does the same one by one.
    """
    found: list[Prediction] = []
    unreadable: list[BadImage] = []
    files = images_in(Path(path) for path in paths)
    for one in predictions(
        loaded, files, engine, top=top, batch_size=batch_size, progress=progress
    ):
        if isinstance(one, BadImage):
            unreadable.append(one)
        else:
            found.append(one)
    return Outcome(tuple(found), tuple(unreadable))


def predictions(
    loaded: LoadedModel,
    images: Sequence[Path | Encoded],
    engine: Engine | None = None,
    *,
    top: int = 3,
    batch_size: int = 64,
    progress: Tracker | None = None,
) -> Iterator[Prediction | BadImage]:
    """Classify images in their order; yield what each is, or why it cannot be read.

    However many there are, no more than a few batches are in memory at a time: threads decode the
    next ones while the network is at work. Raises ``BadData`` for a network whose input has neither
    one channel nor three.
    """
    description = loaded.description
    if description.in_chans not in (1, 3):
        raise BadData(f"the network takes {description.in_chans} channels; images have 1 or 3")
    engine = engine or choose_engine()
    network = engine.place(loaded.network).eval()
    done = 0
    for batch in _decoded(images, description, batch_size):
        readable = [pixels for pixels in batch if not isinstance(pixels, BadImage)]
        likeliest = iter(_likeliest(network, description, readable, engine, top))
        for image, pixels in zip(images[done : done + len(batch)], batch, strict=True):
            if isinstance(pixels, BadImage):
                yield pixels
            else:
                yield Prediction(_path(image), next(likeliest))
        done += len(batch)
        if progress is not None:
            progress(done, len(images))


def _path(image: Path | Encoded) -> Path:
    return image.path if isinstance(image, Encoded) else image


def _decoded(
    images: Sequence[Path | Encoded], description: ModelDescription, batch_size: int
) -> Iterator[list[np.ndarray | BadImage]]:
    """Batches of images (1, size, size, channels), decoded a few batches ahead in threads: Pillow
    and torch let go of the interpreter."""

    def prepare(image: Path | Encoded) -> np.ndarray | BadImage:
        try:
            content = image.content if isinstance(image, Encoded) else read_image(image)
            pixels = decode(content, name=_path(image), channels=description.in_chans)
        except BadImage as error:
            return error
        return fitted(pixels[None], description.input_size)

    pending: deque[list[Future[np.ndarray | BadImage]]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for start in range(0, len(images), batch_size):
                part = images[start : start + batch_size]
                pending.append([pool.submit(prepare, image) for image in part])
                if len(pending) > BATCHES_AHEAD:
                    yield [future.result() for future in pending.popleft()]
            while pending:
                yield [future.result() for future in pending.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@torch.no_grad()
def _likeliest(
    network: nn.Module,
    description: ModelDescription,
    pixels: Sequence[np.ndarray],
    engine: Engine,
    top: int,
) -> list[tuple[tuple[str, float], ...]]:
    """Names and probabilities of the ``top`` likeliest classes of each image."""
    if not pixels:
        return []
    split = ImageArrays(np.concatenate(pixels), np.zeros(len(pixels), np.int64))
    (batch,) = prepared(description, split, engine, len(pixels)).epoch(0)
    with engine.autocast():
        logits = network(batch.images)
    found = logits.float().softmax(1).topk(min(top, len(description.classes)), dim=1)
    return [
        tuple((description.classes[label], value) for value, label in zip(*row, strict=True))
        for row in zip(found.values.tolist(), found.indices.tolist(), strict=True)
    ]


def images_in(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those below the folders named; raises ``BadData`` if there are none."""
    paths = list(paths)
    files = [file for path in paths for file in (walk(path) if os.path.isdir(path) else [path])]
    if not files:
        raise BadData(f"no file in {some([str(path) for path in paths])}")
    return files
