"""A trained network as one file that any reader of safetensors opens.

Its metadata hold a ``ModelRecord``: all that is needed to build the network again, to prepare
images for it, and to know where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from convnets import __version__
from convnets.analysis import Profile, profile
from convnets.errors import NonFinite, UsageError, first_problem
from convnets.files import atomic_write, short_hash
from convnets.records import Result, read_result
from convnets.training.state import weights_sha256
from convnets.weights.model_file import (
    LoadedModel,
    ModelDescription,
    ModelRecord,
    Origin,
    build,
    load_model,
)
from convnets.weights.tensor_file import pieces


@dataclass(frozen=True)
class Packed:
    """A model file before it is written: its record, its tensors by name, and the finished run
    that they are the final weights of, where they lie in its folder."""

    record: ModelRecord
    tensors: dict[str, Tensor]
    result: Result | None

    def content(self) -> Iterator[bytes]:
        """The file, piece by piece; equal models give equal bytes."""
        return pieces(self.tensors, self.record.metadata())


def pack(model: LoadedModel | str | Path, *, licence: str | None = None) -> Packed:
    """Make a model file of a network, a run's folder, a checkpoint, or another model file.

    A run's figures go along only if the weights are the very ones that it tested. ``licence`` is
    that of the weights, and of the data where it binds them; without it, what the model says
    already. Raises ``BadModelFile``, and ``NonFinite`` rather than pack a NaN or an infinity.
    """
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    tensors = dict(loaded.network.state_dict())
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise NonFinite(f"{loaded.path}: not saved: {name} holds a NaN or an infinity")
    digest = weights_sha256(loaded.network)
    result = _result(loaded.path, digest)
    terms = loaded.origin.licence if licence is None else licence
    record = ModelRecord(
        convnets=__version__,
        model=loaded.description,
        origin=_origin(loaded.origin, result, terms),
        sha256=digest,
    )
    return Packed(record, tensors, result)


def save_model(
    model: LoadedModel | str | Path, path: str | Path, *, licence: str | None = None
) -> ModelRecord:
    """Write a model file and return what it says of itself; see ``pack``.

    Raises ``DiskFull`` where it cannot be written; a file appears whole or not at all.
    """
    packed = pack(model, licence=licence)
    atomic_write(Path(path), packed.content())
    return packed.record


def cost_of(description: ModelDescription) -> Profile:
    """What one image costs the described network."""
    with torch.device("meta"):
        network = build(description)
    return profile(network, description.input_size, in_chans=description.in_chans)


def _result(path: Path, digest: str) -> Result | None:
    """The result in a run's folder, if it is that of these weights."""
    file = (path if path.is_dir() else path.parent) / "result.json"
    if not file.is_file():
        return None
    result = read_result(file)
    return result if result.weights_sha256 == digest else None


def _origin(known: Origin, result: Result | None, licence: str) -> Origin:
    """What a result says where there is one, else what was known already, on these terms."""
    fields = known.model_dump()
    if result is not None:
        fields = {
            "run": result.run,
            "recipe": result.recipe,
            "plan": short_hash(result.plan),
            "top1": result.top1,
            "test_images": result.data.test_images,
        }
    try:
        return Origin.model_validate({**fields, "licence": licence})
    except ValidationError as error:
        raise UsageError(first_problem(error.errors())) from error
