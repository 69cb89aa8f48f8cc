"""A campaign: many rows, each a network at a size under a protocol, for machines lent in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from convnets.records import Record


class Row(Record):
    """One network under one protocol. ``printed`` is the accuracy in percent to lay beside it.

    ``recipe`` is a recipe's name, ``changes`` are as after ``--set``; ``epochs`` is what the row
    wants, and it is given fewer where they do not fit a piece. A row whose first run takes less
    than a minute is run with ``quick_seeds`` seeds in all.
    """

    protocol: str = Field(pattern=r"^[a-z0-9-]{1,20}$")
    model: str
    stem: Literal["paper", "small", "auto"]
    size: int = Field(ge=1)
    recipe: str
    epochs: int = Field(ge=1)
    seeds: int = Field(default=1, ge=1)
    quick_seeds: int = Field(default=1, ge=1)
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
    # our name        at 32  at 224  our recipe
    ("lenet_wide",     72.5,  66.4, "sprint-plain"),
    ("alexnet_owt",    69.5,  72.2, "sprint-plain"),
    ("zfnet",          67.8,  67.3, "sprint-plain"),
    ("vgg11",          78.0,  81.0, "sprint-plain"),
    ("vgg16",          78.9,  81.5, "sprint-plain"),
    ("vgg19",          78.6,  80.2, "sprint-plain"),
    ("googlenet_bn",   80.5,  86.4, "sprint"),
    ("resnet18",       77.4,  86.8, "sprint"),
    ("resnet34",       77.0,  85.9, "sprint"),
    ("resnet50",       75.7,  85.6, "sprint"),
    ("resnet101",      75.4,  86.0, "sprint"),
    ("mobilenet_v1",   75.6,  85.6, "sprint"),
    ("mobilenet_v2",   67.4,  87.5, "sprint"),
    ("convnext_tiny",  62.2,  81.1, "sprint-plain"),
    ("convnext_small", 62.5,  82.2, "sprint-plain"),
    ("convnext_base",  62.6,  81.0, "sprint-plain"),
)
# fmt: on
"""The lecture's table, accuracy in percent on CIFAR-10 trained from scratch, and our recipe."""

AT_32, AT_224 = 30, 15
"""Epochs at each size: what a network of this table needs to settle, halved at 224 for its cost."""
SLOWER: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    ("vgg11", "vgg16", "vgg19"), ("optimizer.lr=0.0003",)
)
"""Ours for deep networks without normalisation: vgg16 learned faster so in a short trial."""
LONGEST: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "resnet18": (100, ("augmentation.trivial_augment=true",))
}
"""At 32, the epochs and changes of a cheap network that shows how far a long run goes."""
ENLARGED = ("augmentation.padding=28", "augmentation.cutout=56")
"""Our crops and cuts at 224, in the pixels of an image enlarged seven times."""
QUICK_SEEDS = 3


def _lecture_rows() -> tuple[Row, ...]:
    """Small images first, as they are cheap, and ours before the lecture's, as each is a claim."""
    small = [(model, printed, recipe) for model, printed, _, recipe in PRINTED]
    large = [(model, printed, recipe) for model, _, printed, recipe in PRINTED]
    return (
        *(_ours_small(*entry) for entry in small),
        *(_lectures(model, printed, 32, AT_32) for model, printed, _ in small),
        *(_ours_large(*entry) for entry in large),
        *(_lectures(model, printed, 224, AT_224) for model, printed, _ in large),
    )


def _lectures(model: str, printed: float, size: int, epochs: int) -> Row:
    return Row(
        protocol="lecture", model=model, stem="auto", size=size, recipe="lecture", epochs=epochs,
        quick_seeds=QUICK_SEEDS, printed=printed,
    )  # fmt: skip


def _ours_small(model: str, printed: float, recipe: str) -> Row:
    epochs, changes = LONGEST.get(model, (AT_32, SLOWER.get(model, ())))
    return Row(
        protocol="ours", model=model, stem="small", size=32, recipe=recipe, epochs=epochs,
        changes=changes, quick_seeds=QUICK_SEEDS, printed=printed,
    )  # fmt: skip


def _ours_large(model: str, printed: float, recipe: str) -> Row:
    return Row(
        protocol="ours", model=model, stem="paper", size=224, recipe=recipe, epochs=AT_224,
        changes=(*ENLARGED, *SLOWER.get(model, ())), quick_seeds=QUICK_SEEDS, printed=printed,
    )  # fmt: skip


LECTURE_CAMPAIGN = Campaign(
    name="lecture",
    summary="the lecture's sixteen networks at 32 and 224, under its protocol and under ours",
    data="cifar10",
    source="the lecture's table of accuracies on CIFAR-10",
    rows=_lecture_rows(),
)
CAMPAIGNS = {LECTURE_CAMPAIGN.name: LECTURE_CAMPAIGN}
