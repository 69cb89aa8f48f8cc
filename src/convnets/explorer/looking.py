"""A network that looks at one image: the classes it finds, and pictures of why.

Pixels reach the network by the way they take in ``convnets predict``, so the logits are the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convnets.analysis import profile
from convnets.analysis.cost import LayerCost
from convnets.compress import load_any
from convnets.data import ImageArrays
from convnets.data.decode import decode
from convnets.data.fit import fitted
from convnets.errors import BadInput, BadModelFile, UnknownName, UsageError
from convnets.explorer.listing import LONGEST_SHOWN
from convnets.explorer.networks import described_field
from convnets.explorer.painting import coloured, grids
from convnets.training.engine import Engine, choose_engine
from convnets.visualize import deconvnet, figures, maps
from convnets.visualize.arrays import Picture
from convnets.visualize.attribution import occlusion
from convnets.visualize.methods import METHODS
from convnets.weights import LoadedModel
from convnets.weights.testing import prepared

KEPT = 3
LIKELIEST = 5
SHOWN_MAPS = 16
IN_COLOUR = ("deconvnet", "guided-backpropagation")
Check = Callable[[int, int], None]


@dataclass(frozen=True)
class Question:
    """What is asked of an image: ``how`` to look, at which class, layer, unit and place.

    ``how`` is ``classes``, ``maps``, ``projection``, or a method of ``METHODS``.
    """

    how: str
    target: int | None = None
    layer: str | None = None
    unit: int | None = None
    position: tuple[int, int] | None = None


class Viewer:
    """A loaded network on its engine. Only the queue's thread uses it."""

    def __init__(self, loaded: LoadedModel, engine: Engine) -> None:
        self.loaded, self.engine = loaded, engine
        self.network = engine.place(loaded.network).eval()

    @cached_property
    def layers(self) -> dict[str, LayerCost]:
        """What gives maps in ``features``, by path, in order of execution."""
        about = self.loaded.description
        cost = profile(self.network, about.input_size, in_chans=about.in_chans)
        rows = {layer.name: layer for layer in cost.layers}
        return {
            name: layer
            for name, layer in rows.items()
            if name.startswith("features.") and len(layer.output_shape) in (3, 4)
        }

    @property
    def stages(self) -> list[str]:
        """The paths of the network's stages."""
        return [f"features.{name}" for name, _ in self.loaded.network.features.named_children()]

    def about(self) -> dict[str, Any]:
        """What the page says of the network before it is shown anything."""
        about = self.loaded.description
        return {
            "model": about.model,
            "stem": about.stem,
            "data": about.data,
            "input_size": about.input_size,
            "in_chans": about.in_chans,
            "classes": list(about.classes),
            "notes": list(self.loaded.notes),
            "stages": [name for name in self.stages if name in self.layers],
            "layers": [
                {
                    "name": name,
                    "kind": layer.kind,
                    "shape": list(layer.output_shape[1:]),
                    "field": described_field(layer.field),
                }
                for name, layer in self.layers.items()
            ],
        }

    def look(self, content: bytes, question: Question, check: Check) -> dict[str, Any]:
        """Answer a question about an encoded image.

        Raises ``BadImage`` for one that cannot be decoded, ``UnknownName`` and ``UsageError`` for a
        question that the network has no answer to.
        """
        seen = self._input(content)
        match question.how:
            case "classes":
                return self._classes(*seen)
            case "maps":
                return self._maps(seen[1], self._layer(question))
            case "projection":
                return self._projection(seen[1], question)
            case method if method in METHODS:
                return self._attribution(seen[1], question, check)
            case unknown:
                raise UnknownName("way to look", unknown[:LONGEST_SHOWN], METHODS)

    def _input(self, content: bytes) -> tuple[np.ndarray, Tensor]:
        """An image as (size, size, channels) uint8, and as the network's input (1, ...)."""
        about = self.loaded.description
        if about.in_chans not in (1, 3):
            raise BadInput(f"the network takes {about.in_chans} channels; images have 1 or 3")
        pixels = decode(content, name="the image", channels=about.in_chans)
        image = fitted(pixels[None], about.input_size)
        split = ImageArrays(image, np.zeros(1, np.int64))
        (batch,) = prepared(about, split, self.engine, 1).epoch(0)
        return image[0], batch.images

    @torch.no_grad()
    def _classes(self, image: np.ndarray, inputs: Tensor) -> dict[str, Any]:
        names = self.loaded.description.classes
        with self.engine.autocast():
            logits = self.network(inputs)
        logits = logits.float()
        if not bool(logits.isfinite().all()):
            raise BadInput("the network answers with values that are not finite")
        found = logits.softmax(1).topk(min(LIKELIEST, len(names)), dim=1)
        ranked = zip(found.values[0].tolist(), found.indices[0].tolist(), strict=True)
        return {
            "classes": [
                {"index": index, "name": names[index], "probability": share}
                for share, index in ranked
            ],
            "logits": logits[0].tolist(),
            "input": coloured(np.divide(image, 255, dtype=np.float32)),
        }

    def _attribution(self, inputs: Tensor, question: Question, check: Check) -> dict[str, Any]:
        method = METHODS[question.how]
        if question.how == "occlusion":
            method = partial(occlusion, progress=check)
        picture = method(self.network, inputs, target=question.target)
        return _shown(picture, in_colour=question.how in IN_COLOUR)

    def _maps(self, inputs: Tensor, layer: str) -> dict[str, Any]:
        """The maps that respond most, all on one scale."""
        values = maps.feature_maps(self.network, inputs, layer).values[0]
        strongest = values.max(axis=(1, 2))
        order = np.argsort(-strongest, kind="stable")[:SHOWN_MAPS]
        return {
            "layer": layer,
            "count": len(values),
            "field": described_field(self.layers[layer].field),
            "maps": [
                {"unit": unit, "strongest": float(strongest[unit]), "picture": picture}
                for unit, picture in zip(order.tolist(), grids(values[order]), strict=True)
            ],
        }

    def _projection(self, inputs: Tensor, question: Question) -> dict[str, Any]:
        """One activation led back to the pixels."""
        layer = self._layer(question)
        picture = deconvnet.deconvnet(self.network, inputs, layer, question.unit, question.position)
        return _shown(picture, in_colour=True)

    def _layer(self, question: Question) -> str:
        if question.layer is None:
            raise UsageError("name a layer")
        if question.layer not in self.layers:
            raise UnknownName("layer", question.layer[:LONGEST_SHOWN], self.layers)
        return question.layer


def _shown(picture: Picture, *, in_colour: bool) -> dict[str, Any]:
    """A picture of one image: in the image's colours where it has three, else its values."""
    if in_colour and picture.values.shape[1] == 3:
        painted = coloured(figures.in_colour(picture.values)[0][0])
    else:
        (painted,) = grids(figures.summed(picture)[:1])
    return {"about": picture.about, "picture": painted}


class Viewers:
    """The networks looked through last, so that a picture does not wait for a file."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int], Viewer] = OrderedDict()

    def of(self, path: Path) -> Viewer:
        """The network of a run's folder or a file; raises ``BadModelFile``."""
        try:
            key = (path, path.stat().st_mtime_ns)
        except OSError as error:
            raise BadModelFile(f"{path}: cannot read: {error.strerror}") from error
        if key not in self._kept:
            self._kept[key] = Viewer(load_any(path), choose_engine())
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
