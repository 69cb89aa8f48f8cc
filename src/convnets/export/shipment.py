"""What ``convnets ship`` found of each form, as ship.json holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from convnets.errors import BadInput, first_problem
from convnets.files import read_json
from convnets.records import Record

NAME = "ship.json"


class Shipped(Record):
    """One form, measured: ``top1`` and ``agreement`` are shares of the test images.

    ``agreement`` counts the answers that are those of the network as it was trained; ``latency``
    is the median in seconds of one image, ``batch_latency`` of 32; ``size`` is in bytes. ``key``
    hashes all that the figures depend on, ``files`` are what was written. ``refused`` says why a
    form's files were not.
    """

    form: str
    key: str
    size: int
    top1: float
    agreement: float
    latency: float
    batch_latency: float
    files: tuple[str, ...]
    refused: str | None = None

    def row(self) -> dict[str, Any]:
        """The record for CSV."""
        return {**self.model_dump(exclude={"key"}), "files": " ".join(self.files)}


class Shipment(Record):
    """The forms of one network on one machine, in order of what is gained."""

    schema_version: Literal[1] = 1
    model: str
    data: str
    test_images: int
    threads: int
    forms: tuple[Shipped, ...]
    missing: tuple[str, ...] = ()


def read_shipment(out: Path) -> Shipment:
    """Read a folder's ship.json; raises ``BadInput``."""
    path = out / NAME
    try:
        return Shipment.model_validate(read_json(path))
    except ValidationError as error:
        raise BadInput(
            f"{path}: {first_problem(error.errors())}; remove it to measure anew"
        ) from error
