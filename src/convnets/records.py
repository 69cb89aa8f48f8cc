"""What a finished run leaves behind: ``bench`` writes it as result.json, ``report`` reads it.

Counts are plain integers, durations are seconds of a monotonic clock, shares are fractions of 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from convnets.errors import BadInput, first_problem
from convnets.files import read_json


class Record(BaseModel):
    """A frozen record that refuses unknown fields, NaN and values of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataRecord(Record):
    """The data set a run saw. ``image_size`` is (height, width) as stored."""

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    channels: int
    image_size: tuple[int, int] | None
    train_images: int
    test_images: int


class EpochRecord(Record):
    """One line of a learning curve, after ``epoch`` epochs (from 1) and ``step`` steps.

    ``seconds`` is training time since the run began, evaluation and waiting left out.
    """

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    test_loss: float
    test_top1: float
    seconds: float


class Mistake(Record):
    """A test image that the network is most wrong about; ``png`` is base64."""

    index: int
    label: int
    predicted: int
    probability: float
    png: str


class Machine(Record):
    """Where a run was made."""

    processor: str
    cores: int
    memory_bytes: int
    accelerator: str | None
    system: str
    versions: dict[str, str]


class Engine(Record):
    """How the numbers were computed; two runs of one plan are bit-equal only under one engine.

    ``ranks`` are those that ended the run; a run that changed their number has bits of its own.
    """

    device: str
    precision: Literal["float32", "bfloat16"]
    channels_last: bool
    compiled: bool
    threads: int
    ranks: int = 1
    sharded: bool = False
    graphs: bool = False


class Result(Record):
    """A finished training run and its test.

    ``macs`` are multiply-adds of one forward pass of one image at ``input_size``;
    ``training_macs`` count three such passes (forward, and twice that backward) for each image
    seen. ``top1`` and ``top5`` are shares of the test images; ``top5`` is None where there are
    five classes or fewer. ``confusion[i][j]`` counts test images of class i called j.
    ``images_per_second`` is the speed of training over ``seconds``.
    ``peak_memory_bytes`` is the process's resident peak on a CPU and the allocator's peak on an
    accelerator. ``plan`` repeats the run.
    """

    schema_version: Literal[1] = 1
    run: str
    model: str
    family: str
    year: int
    stem: str
    recipe: str
    seed: int
    epochs: int
    input_size: int
    data: DataRecord
    plan: dict[str, Any]
    params: int
    macs: int
    training_macs: int
    top1: float
    top5: float | None
    test_loss: float
    confusion: tuple[tuple[int, ...], ...]
    curve: tuple[EpochRecord, ...]
    mistakes: tuple[Mistake, ...]
    skipped_files: tuple[str, ...]
    seconds: float
    images_per_second: float
    peak_memory_bytes: int
    weights_sha256: str
    engine: Engine
    machine: Machine
    command: str


def read_result(path: Path) -> Result:
    """Read one result.json; raises ``BadInput`` with the path and the first wrong field."""
    try:
        return Result.model_validate(read_json(path))
    except ValidationError as error:
        reason = first_problem(error.errors())
        raise BadInput(f"{path}: {reason}; not a result of this version") from error


def read_results(folder: Path) -> list[Result]:
    """Read every ``*/result.json`` below ``folder`` (or ``folder`` itself), ordered by run name."""
    paths = sorted(Path(folder).rglob("result.json"))
    if not paths:
        raise BadInput(f"{folder}: no result.json in it; finish a run there first")
    return sorted((read_result(path) for path in paths), key=lambda result: result.run)
