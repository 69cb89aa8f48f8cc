"""A trained network read back from a run's folder, one of its checkpoints, or a model file.

A file names a network by its registered name and bounded numbers; the tensors must then fit the
network exactly. Nothing in a file is run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from torch import Tensor

from convnets.errors import BadModelFile, UsageError, first_problem
from convnets.files import parse_json, to_json
from convnets.layers.network import ConvNet
from convnets.models import create_model
from convnets.records import Record
from convnets.training.checkpoints import MAGIC, load_checkpoint, newest_checkpoint
from convnets.training.state import weights_sha256
from convnets.weights.changes import Changes, change
from convnets.weights.hub import fetch_hub, is_repository
from convnets.weights.tensor_file import LENGTH, Form, read_header, read_tensors

Name = Annotated[str, Field(max_length=200)]
LARGEST = 1e6
LONGEST = 400
FORMAT: Literal[1] = 1
RECORD, RECORD_SHA256 = "convnets", "convnets_sha256"


class ModelDescription(Record):
    """Which network a file holds, and how images become its input.

    Images of ``in_chans`` channels are fitted to ``input_size`` pixels, divided by 255, less
    ``mean``, over ``deviation``, channel by channel. ``changes`` are to the registered network's
    structure; a file of an unchanged network does not name them.
    """

    model: Name
    stem: Literal["paper", "small"]
    classes: tuple[Name, ...] = Field(min_length=1, max_length=100_000)
    in_chans: int = Field(ge=1, le=64)
    input_size: int = Field(ge=1, le=4096)
    mean: tuple[Annotated[float, Field(ge=-LARGEST, le=LARGEST)], ...]
    deviation: tuple[Annotated[float, Field(ge=1 / LARGEST, le=LARGEST)], ...]
    data: Name
    changes: Changes | None = None

    @model_serializer(mode="wrap")
    def _without_changes_unless_there_are(
        self, content: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        found: dict[str, Any] = content(self)
        if self.changes is None:
            found.pop("changes", None)
        return found

    @model_validator(mode="after")
    def _one_mean_and_deviation_a_channel(self) -> Self:
        if not len(self.mean) == len(self.deviation) == self.in_chans:
            raise ValueError(f"mean and deviation are of another number than {self.in_chans}")
        return self


class Origin(Record):
    """What is known of where weights come from.

    ``run`` is the run that made them, ``recipe`` its recipe and ``plan`` the hash of its plan.
    ``top1`` is the share of ``test_images``, of the data they were trained on, that they call
    right. ``licence`` is as whoever saved them gave it.
    """

    run: Name | None = None
    recipe: Name | None = None
    plan: Name | None = None
    top1: float | None = Field(default=None, ge=0, le=1)
    test_images: int | None = Field(default=None, ge=1)
    licence: Name = "unknown"


UNKNOWN = Origin()


class ModelRecord(Record):
    """What a model file says of itself: all but the tensors, whose digest it holds.

    ``sha256`` is over names, types, shapes and bytes in order of name, as a run's result has it.
    """

    format: Literal[1] = FORMAT
    convnets: Name
    model: ModelDescription
    origin: Origin
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    def metadata(self) -> dict[str, str]:
        """The record as a safetensors file's metadata, with a digest of its own."""
        text = to_json(self.model_dump(mode="json"), indent=None)
        return {"format": "pt", RECORD: text, RECORD_SHA256: _sha256(text)}


@dataclass(frozen=True)
class LoadedModel:
    """A network in eval mode, its description, and the file it came from."""

    network: ConvNet
    description: ModelDescription
    path: Path
    notes: tuple[str, ...] = ()
    origin: Origin = UNKNOWN


def build(description: ModelDescription) -> ConvNet:
    """The described network with random weights.

    Raises ``UsageError`` for an unknown name, and for changes that the network cannot have.
    """
    network = create_model(
        description.model,
        num_classes=len(description.classes),
        in_chans=description.in_chans,
        stem=description.stem,
    )
    if description.changes is not None:
        change(network, description.changes, description.input_size)
    return network


def load_model(path: str | Path) -> LoadedModel:
    """Load the network of a model file, of a checkpoint, or of a run's folder: its newest good one.

    What a file is shows in its content, not in its name. ``"OWNER/NAME"``, where no such file is
    here, is a repository on the hub. The moving average is what counts where a run kept one. Raises
    ``BadModelFile``, or ``EnvironmentFailure`` where the hub does not answer.
    """
    path = Path(path)
    if is_repository(path):
        path = fetch_hub(str(path))
    if os.path.isdir(path):
        found = newest_checkpoint(path)
        if found is None:
            raise BadModelFile(f"{path}: no checkpoint in it; was it trained with --no-weights?")
        return _from_checkpoint(path, *found)
    start = _start(path)
    if start.startswith(MAGIC):
        return _from_checkpoint(path, *load_checkpoint(path))
    if start.endswith(b"{"):
        return _from_model_file(path)
    raise BadModelFile(
        f"{path}: neither a checkpoint nor a model file of ours; create_model(NAME, weights=...) "
        "puts other libraries' weights into a network"
    )


def is_model_file(path: Path) -> bool:
    """Whether a file is a safetensors file with a record of ours; no more of it is looked at."""
    if not os.path.isfile(path):
        return False
    try:
        with path.open("rb") as file:
            return RECORD in read_header(file).metadata
    except (OSError, ValueError):
        return False


def _start(path: Path) -> bytes:
    """The bytes that tell one kind of file from another: up to the header of a safetensors file."""
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise BadModelFile(f"{path}: not a regular file")
    try:
        with path.open("rb") as file:
            return file.read(LENGTH.size + 1)
    except OSError as error:
        raise BadModelFile(f"{path}: cannot read: {error.strerror}") from error


def _from_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any], notes: Sequence[str] = ()
) -> LoadedModel:
    try:
        description = ModelDescription.model_validate(state.get("model"))
        network = _without_weights(description)
        prefix = "average." if any(name.startswith("average.") for name in tensors) else "model."
        weights = {
            name.removeprefix(prefix): value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
        _check_fit(network, {name: (tuple(v.shape), v.dtype) for name, v in weights.items()})
    except ValueError as error:
        raise BadModelFile(f"{path}: {_reason(error)}") from error
    network.load_state_dict(weights, assign=True)
    return LoadedModel(network.eval(), description, path, tuple(notes))


def _from_model_file(path: Path) -> LoadedModel:
    """Take memory for the tensors only once header, description and network are seen to agree."""
    try:
        with path.open("rb") as file:
            header = read_header(file)
            record = _record(header.metadata)
            network = _without_weights(record.model)
            _check_fit(network, header.forms)
            network.load_state_dict(read_tensors(file, header), assign=True)
    except OSError as error:
        raise BadModelFile(f"{path}: cannot read: {error.strerror}") from error
    except ValueError as error:
        raise BadModelFile(f"{path}: {_reason(error)}") from error
    if weights_sha256(network) != record.sha256:
        raise BadModelFile(f"{path}: damaged: the SHA-256 of its tensors does not match")
    return LoadedModel(network.eval(), record.model, path, origin=record.origin)


def _record(metadata: Mapping[str, str]) -> ModelRecord:
    text = metadata.get(RECORD)
    if text is None:
        raise ValueError(
            "a safetensors file, but not a model file of ours; create_model(NAME, weights=...) "
            "puts other libraries' weights into a network"
        )
    if metadata.get(RECORD_SHA256) != _sha256(text):
        raise ValueError("damaged: the SHA-256 of its description does not match")
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its description is not JSON: {error}") from error
    form = content.get("format") if isinstance(content, dict) else None
    if isinstance(form, int) and form > FORMAT:
        raise ValueError(f"its format is {form}, this version reads {FORMAT}; upgrade convnets")
    return ModelRecord.model_validate(content)


def _without_weights(description: ModelDescription) -> ConvNet:
    with torch.device("meta"):
        return build(description)


def _check_fit(network: ConvNet, found: Mapping[str, Form]) -> None:
    """Raise ``ValueError`` unless every name, shape and type is the network's own."""
    wanted = {name: (tuple(own.shape), own.dtype) for name, own in network.state_dict().items()}
    if wrong := sorted(wanted.keys() ^ found.keys()):
        raise ValueError(f"tensors do not fit the network: {', '.join(wrong[:3])}")
    for name, form in found.items():
        if form != wanted[name]:
            (shape, dtype), (own_shape, own_dtype) = form, wanted[name]
            raise ValueError(f"{name} is {shape} {dtype}, the network has {own_shape} {own_dtype}")


def _reason(error: ValueError) -> str:
    """One line of a length that a person reads, whatever names a file holds."""
    if isinstance(error, ValidationError | UsageError):
        found = first_problem(error.errors()) if isinstance(error, ValidationError) else error
        return f"does not describe a network of ours: {found}"[:LONGEST]
    return str(error)[:LONGEST]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
