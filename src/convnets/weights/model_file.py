"""A trained network read back from a run's folder or one of its checkpoints.

A file names a network by its registered name and bounded numbers; the tensors must then fit the
network exactly. Nothing in a file is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor

from convnets.errors import BadModelFile, UsageError, first_problem
from convnets.layers.network import ConvNet
from convnets.models import create_model
from convnets.records import Record
from convnets.training.checkpoints import load_checkpoint, newest_checkpoint

Name = Annotated[str, Field(max_length=200)]
LARGEST = 1e6


class ModelDescription(Record):
    """Which network a file holds, and how images become its input.

    Images of ``in_chans`` channels are fitted to ``input_size`` pixels, divided by 255, less
    ``mean``, over ``deviation``, channel by channel.
    """

    model: Name
    stem: Literal["paper", "small"]
    classes: tuple[Name, ...] = Field(min_length=1, max_length=100_000)
    in_chans: int = Field(ge=1, le=64)
    input_size: int = Field(ge=1, le=4096)
    mean: tuple[Annotated[float, Field(ge=-LARGEST, le=LARGEST)], ...]
    deviation: tuple[Annotated[float, Field(gt=0, le=LARGEST)], ...]
    data: Name

    @model_validator(mode="after")
    def _one_mean_and_deviation_a_channel(self) -> Self:
        if not len(self.mean) == len(self.deviation) == self.in_chans:
            raise ValueError(f"mean and deviation are of another number than {self.in_chans}")
        return self


@dataclass(frozen=True)
class LoadedModel:
    """A network in eval mode, its description, and the file it came from."""

    network: ConvNet
    description: ModelDescription
    path: Path
    notes: tuple[str, ...] = ()


def build(description: ModelDescription) -> ConvNet:
    """The described network with random weights; raises ``UsageError`` for an unknown name."""
    return create_model(
        description.model,
        num_classes=len(description.classes),
        in_chans=description.in_chans,
        stem=description.stem,
    )


def load_model(path: str | Path) -> LoadedModel:
    """Load the network of a checkpoint, or of the newest good one in a run's folder.

    The moving average is what counts where the run kept one. Raises ``BadModelFile``.
    """
    path = Path(path)
    notes: list[str] = []
    if path.is_dir():
        found = newest_checkpoint(path)
        if found is None:
            raise BadModelFile(f"{path}: no checkpoint in it; was it trained with --no-weights?")
        tensors, state, notes = found
    else:
        tensors, state = load_checkpoint(path)
    try:
        description = ModelDescription.model_validate(state.get("model"))
        with torch.device("meta"):
            network = build(description)
    except (ValidationError, UsageError) as error:
        reason = first_problem(error.errors()) if isinstance(error, ValidationError) else error
        raise BadModelFile(f"{path}: does not describe a network of ours: {reason}") from error
    prefix = "average." if any(name.startswith("average.") for name in tensors) else "model."
    weights = {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    _fit(network, weights, path)
    return LoadedModel(network.eval(), description, path, tuple(notes))


def _fit(network: ConvNet, weights: dict[str, Tensor], path: Path) -> None:
    """Put ``weights`` in place; every name, shape and type must be the network's own."""
    wanted = network.state_dict()
    if wrong := sorted(wanted.keys() ^ weights.keys()):
        raise BadModelFile(f"{path}: tensors do not fit the network: {', '.join(wrong[:3])}")
    for name, value in weights.items():
        own = wanted[name]
        if value.shape != own.shape or value.dtype != own.dtype:
            raise BadModelFile(
                f"{path}: {name} is {tuple(value.shape)} {value.dtype}, "
                f"the network has {tuple(own.shape)} {own.dtype}"
            )
    network.load_state_dict(weights, assign=True)
