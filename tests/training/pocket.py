"""Small networks and fixed batches, of which a step takes a millisecond."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.training.checkpoints import HEADER, MAGIC
from convnets.training.engine import Engine
from convnets.training.loop import StepReport, steps
from convnets.training.objective import Criterion
from convnets.training.settings import Constant, Optimisation, Sgd
from convnets.training.state import TrainingState

CPU = Engine(torch.device("cpu"), channels_last=False)
CLASSES = 4


@dataclass(frozen=True)
class FixedBatch:
    images: Tensor
    targets: Tensor
    indices: Tensor
    partners: Tensor | None = None
    shares: Tensor | None = None

    @property
    def total(self) -> int:
        return len(self.targets)


class FixedBatches:
    """Noise images in an order drawn from the epoch alone."""

    def __init__(self, samples: int = 40, batch_size: int = 8) -> None:
        draw = torch.Generator().manual_seed(7)
        self.images = torch.randn(samples, 2, 6, 6, generator=draw)
        self.targets = torch.randint(0, CLASSES, (samples,), generator=draw)
        self.samples, self.batch_size = samples, batch_size
        self.steps = -(-samples // batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FixedBatch]:
        order = torch.randperm(self.samples, generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(self.batch_size)[start:]:
            yield FixedBatch(self.images[rows], self.targets[rows], rows)


class Plain(nn.Sequential):
    """Convolution, activation, linear layer: nothing that depends on the rest of a batch."""

    def __init__(self, *middle: nn.Module) -> None:
        super().__init__(
            nn.Conv2d(2, 4, 3), nn.Tanh(), *middle, nn.Flatten(), nn.Linear(64, CLASSES)
        )


class Normed(Plain):
    """With batch normalisation and dropout: buffers, and random numbers in training."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm2d(4), nn.Dropout(0.5))


class Own(Plain):
    """A network that brings its own loss."""

    def __init__(self, criterion: Criterion) -> None:
        super().__init__()
        self.criterion = criterion


def settings(**changes: object) -> Optimisation:
    """Plain SGD at a constant rate, with changes."""
    plain = Optimisation(
        epochs=4,
        batch_size=8,
        optimizer=Sgd(lr=0.1, momentum=0.9, weight_decay=1e-3),
        schedule=Constant(),
    )
    return Optimisation.model_validate({**dict(plain), **changes})


def run(
    state: TrainingState,
    chosen: Optimisation,
    count: int,
    batches: FixedBatches | None = None,
    engine: Engine = CPU,
) -> list[StepReport]:
    """Take ``count`` steps."""
    batches = batches or FixedBatches()
    reports: list[StepReport] = []
    while len(reports) < count:
        for report in steps(state, batches, chosen, engine):
            reports.append(report)
            if len(reports) == count:
                break
    return reports


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's parameters and buffers."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two sets of tensors are the same, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def signed(payload: bytes) -> bytes:
    """A checkpoint whose checksum is right, whatever the payload."""
    length = struct.pack("<Q", len(payload))
    return HEADER.pack(MAGIC, hashlib.sha256(length + payload).digest(), len(payload)) + payload
