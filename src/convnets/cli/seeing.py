"""What ``convnets see`` looks at: a network, images as its input, and what it says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convnets.cli.console import tracked
from convnets.compress import load_any
from convnets.data import ImageArrays, ImageSet
from convnets.data.batches import Batches, make_batches
from convnets.data.decode import decode, read_image
from convnets.data.fit import fitted
from convnets.data.sets import Split
from convnets.errors import BadData, BadModelFile, UnknownName, UsageError, printable
from convnets.models import VARIANTS, create_model, find_variant
from convnets.training.checkpoints import NAME, checkpoints
from convnets.training.engine import choose_engine
from convnets.visualize.figures import pixels
from convnets.visualize.sheets import Array
from convnets.weights import LoadedModel, ModelDescription
from convnets.weights.prediction import images_in
from convnets.weights.pretrained import load_weights

MOST_IMAGES = 24
TOP = 3
AT_ONCE = 100
# What torchvision's weights, and most of timm's, were trained with.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def subject(name: str, weights: str | None, stem: Any, size: int | None) -> LoadedModel:
    """A network of the zoo by name, with random weights or others, or one of a checkpoint.

    A network that brings no preprocessing gets ImageNet's, and its classes are numbered.
    """
    if name.partition("@")[0] not in VARIANTS:
        path = Path(name)
        if not path.exists():
            raise UnknownName("network or checkpoint", name, VARIANTS)
        if weights or stem or size:
            raise UsageError(f"{name} is a checkpoint: it brings its own weights, stem and size")
        return load_any(path)
    pixel_side = size or find_variant(name)[1].input_size
    torch.manual_seed(0)
    network = create_model(name, stem=stem or "paper", input_size=pixel_side)
    notes = load_weights(network, name, weights) if weights else ["the weights are random"]
    grey = (0.5,) * network.in_chans
    mean, deviation = IMAGENET if network.in_chans == 3 else (grey, grey)
    description = ModelDescription(
        model=name,
        stem=network.spec.stem,
        classes=tuple(f"class {index}" for index in range(network.num_classes)),
        in_chans=network.in_chans,
        input_size=pixel_side,
        mean=mean,
        deviation=deviation,
        data=weights or "random weights",
    )
    return LoadedModel(network.eval(), description, Path(name), tuple(notes))


def checkpoints_in(paths: Sequence[Path]) -> list[Path]:
    """Checkpoints in the order given, and those of a run's folder in the order of their steps.

    Raises ``BadModelFile`` for a folder that has none.
    """
    found: list[Path] = []
    for path in paths:
        inside = [file for _, file in reversed(checkpoints(path))] if path.is_dir() else [path]
        if not inside:
            raise BadModelFile(f"{path}: no checkpoint in it; was it trained with --no-weights?")
        found += inside
    return found


def named(checkpoint: Path) -> str:
    """What to call a checkpoint: by its step, if its name tells it."""
    step = NAME.fullmatch(checkpoint.name)
    return f"step {int(step[1])}" if step else printable(checkpoint.name)


def form_of(out: Path | None, gallery: bool) -> str | None:
    """What kind of file is wanted, by its ending; raises ``UsageError`` for another."""
    if out is None:
        return None
    form, known = out.suffix.removeprefix(".").lower(), ("html",) if gallery else ("png", "svg")
    if form not in known:
        wanted = " or ".join(f".{each}" for each in known)
        raise UsageError(f"--out {out}: a {'gallery' if gallery else 'figure'} is a {wanted} file")
    return form


@dataclass(frozen=True)
class Seen:
    """A network with the images it is shown; all tensors are on its device."""

    loaded: LoadedModel
    paths: tuple[Path, ...]
    inputs: Tensor
    wanted: str | None = None

    @property
    def network(self) -> torch.nn.Module:
        return self.loaded.network

    @property
    def about(self) -> ModelDescription:
        return self.loaded.description

    @cached_property
    def images(self) -> Array:
        """The images as the network sees them, (n, height, width, channels) between 0 and 1."""
        return pixels(self.inputs.cpu().numpy(), self.about.mean, self.about.deviation)

    @cached_property
    def probabilities(self) -> Tensor:
        """(images, classes)."""
        with torch.no_grad():
            found: Tensor = self.network(self.inputs).float().softmax(1).cpu()
        return found

    @cached_property
    def target(self) -> Tensor:
        """The class in question for each image: the one asked for, or the likeliest."""
        if self.wanted is None:
            return self.probabilities.argmax(1)
        return torch.full((len(self.inputs),), class_index(self.wanted, self.about.classes))

    def likeliest(self, image: int) -> list[tuple[str, float]]:
        """Classes and probabilities, the target first if it was asked for."""
        row = self.probabilities[image]
        order = row.topk(min(TOP, len(row))).indices.tolist()
        if self.wanted is not None:
            chosen = int(self.target[image])
            order = [chosen, *(index for index in order if index != chosen)][:TOP]
        return [(self.about.classes[index], float(row[index])) for index in order]

    def caption(self, image: int) -> str:
        """The image's file, its likeliest classes and their probabilities."""
        lines = [f"{name}: {share:.1%}" for name, share in self.likeliest(image)]
        return "\n".join([printable(self.paths[image].name), *lines])

    @property
    def captions(self) -> list[str]:
        return [self.caption(image) for image in range(len(self.paths))]

    def records(self) -> list[dict[str, Any]]:
        """What the network says of each image, as JSON."""
        return [
            {
                "path": printable(str(path)),
                "target": self.about.classes[int(self.target[image])],
                "classes": [
                    {"name": name, "probability": share} for name, share in self.likeliest(image)
                ],
            }
            for image, path in enumerate(self.paths)
        ]


def class_index(wanted: str, classes: Sequence[str]) -> int:
    """A class by its name or, where none is called so, its number from 0."""
    if wanted in classes:
        return classes.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(classes):
        return int(wanted)
    raise UnknownName("class", wanted, classes)


def look(loaded: LoadedModel, paths: Sequence[Path], wanted: str | None, device: str) -> Seen:
    """Put the network on the device and read the images; raises ``BadImage`` for the first that
    cannot be read."""
    engine = choose_engine(device, "float32")
    engine.place(loaded.network)
    about = loaded.description
    files = images_in(paths) if paths else []
    if len(files) > MOST_IMAGES:
        raise UsageError(f"{len(files)} images; at most {MOST_IMAGES} fit one figure")
    if wanted is not None:
        class_index(wanted, about.classes)
    shape = (about.in_chans, about.input_size, about.input_size)
    inputs = torch.empty(0, *shape)
    if files:
        decoded = [decode(read_image(path), name=path, channels=about.in_chans) for path in files]
        images = np.concatenate([fitted(image[None], about.input_size) for image in decoded])
        split = ImageArrays(images, np.zeros(len(files), np.int64))
        (batch,) = batches(loaded, split, engine.device, len(files)).epoch(0)
        inputs = batch.images
    return Seen(loaded, tuple(files), inputs, wanted)


def batches(
    loaded: LoadedModel, split: Split, device: torch.device, batch_size: int = AT_ONCE
) -> Batches:
    """A split's batches in its own order, prepared as the network's description says."""
    about = loaded.description
    return make_batches(
        split,
        size=about.input_size,
        batch_size=batch_size,
        mean=about.mean,
        deviation=about.deviation,
        device=device,
        seed=0,
        augmentation=None,
        training=False,
    )


@dataclass(frozen=True)
class Scan:
    """The first ``limit`` images of a data set's test split, and where they are looked at."""

    loaded: LoadedModel
    image_set: ImageSet
    limit: int
    device: torch.device

    def __post_init__(self) -> None:
        if self.image_set.channels != self.loaded.description.in_chans:
            raise BadData(
                f"{self.image_set.name} has {self.image_set.channels} channels; the network takes "
                f"{self.loaded.description.in_chans}"
            )

    def __len__(self) -> int:
        return min(self.limit, len(self.image_set.test))

    @property
    def labels(self) -> np.ndarray:
        """The classes of the images, as numbers."""
        return self.image_set.test.labels[: len(self)]

    def image(self, index: int) -> Array:
        """One image as the network sees it, (height, width, channels) between 0 and 1."""
        size = self.loaded.description.input_size
        image: Array = fitted(self.image_set.test.image(index)[None], size)[0] / np.float32(255)
        return image

    def inputs(self) -> Iterator[Tensor]:
        """The images as the network's input, batch by batch, with a bar."""
        seen = 0
        with tracked(f"looking at {self.image_set.name}") as progress:
            for batch in batches(self.loaded, self.image_set.test, self.device).epoch(0):
                part = batch.images[: len(self) - seen]
                yield part
                seen += len(part)
                progress(seen, len(self))
                if seen == len(self):
                    return
