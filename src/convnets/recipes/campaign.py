"""A campaign: many rows, each a network at a size under a protocol, for machines lent in pieces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from convnets.records import Record


class Row(Record):
    """One network under one protocol. ``printed`` is the accuracy in percent to lay beside it.

    ``recipe`` is a recipe's name, ``changes`` are as after ``--set``; ``epochs`` is what the row
    wants, and it is given fewer where they do not fit a piece.
    """

    protocol: str = Field(pattern=r"^[a-z0-9-]{1,20}$")
    model: str
    stem: Literal["paper", "small", "auto"]
    size: int = Field(ge=1)
    recipe: str
    epochs: int = Field(ge=1)
    seeds: int = Field(default=1, ge=1)
    changes: tuple[str, ...] = ()
    printed: float

    @property
    def group(self) -> str:
        """The folder of the rows that belong in one table."""
        return f"{self.protocol}-{self.size}"


class Campaign(Record):
    """Rows in the order in which they are run, on one data set."""

    name: str
    summary: str
    data: str
    source: str
    rows: tuple[Row, ...]


# fmt: off
PRINTED = (
    # our name        at 32  at 224
    ("lenet_wide",     72.5,  66.4),
    ("alexnet_owt",    69.5,  72.2),
    ("zfnet",          67.8,  67.3),
    ("vgg11",          78.0,  81.0),
    ("vgg16",          78.9,  81.5),
    ("vgg19",          78.6,  80.2),
    ("googlenet_bn",   80.5,  86.4),
    ("resnet18",       77.4,  86.8),
    ("resnet34",       77.0,  85.9),
    ("resnet50",       75.7,  85.6),
    ("resnet101",      75.4,  86.0),
    ("mobilenet_v1",   75.6,  85.6),
    ("mobilenet_v2",   67.4,  87.5),
    ("convnext_tiny",  62.2,  81.1),
    ("convnext_small", 62.5,  82.2),
    ("convnext_base",  62.6,  81.0),
)
# fmt: on
"""The lecture's table: accuracy in percent on CIFAR-10, trained from scratch."""

AT_32, AT_224 = 30, 15
"""Epochs at each size: what a network of this table needs to settle, halved at 224 for its cost."""


def _lecture_rows() -> tuple[Row, ...]:
    """Small images first, as they are cheap; then 224; the cheapest networks first in each."""
    rows = []
    for size, epochs, column in ((32, AT_32, 1), (224, AT_224, 2)):
        for entry in PRINTED:
            name, printed = str(entry[0]), float(entry[column])
            shared = {"model": name, "size": size, "epochs": epochs, "printed": printed}
            rows.append(Row(protocol="lecture", stem="auto", recipe="lecture", **shared))
            stem = "small" if size == 32 else "paper"
            rows.append(Row(protocol="ours", stem=stem, recipe="baseline", **shared))
    return tuple(rows)


LECTURE_CAMPAIGN = Campaign(
    name="lecture",
    summary="the lecture's sixteen networks at 32 and 224, under its protocol and under ours",
    data="cifar10",
    source="the lecture's table of accuracies on CIFAR-10",
    rows=_lecture_rows(),
)
CAMPAIGNS = {LECTURE_CAMPAIGN.name: LECTURE_CAMPAIGN}
