"""What is known of a network before it is built: families, their variants and published figures.

Frozen records of the standard library alone, so that a table of them costs no import of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Stem = Literal["paper", "small"]


@dataclass(frozen=True)
class Published:
    """Figures as a paper or a maintainer prints them, and where.

    Numbers are strings, digits as printed: the tolerance of a comparison is one unit in the last
    digit. Errors and accuracies are in percent on ImageNet-1k's validation set unless ``source``
    says otherwise.
    """

    source: str
    params: str | None = None
    macs: str | None = None
    top1_error: str | None = None
    top5_error: str | None = None


@dataclass(frozen=True)
class Variant:
    """One row of a family's table.

    ``params`` and ``params_10`` are exact counts of trainable parameters with ``num_classes`` and
    with 10 classes; ``macs`` are multiply-adds of convolutions and matrix products for one image of
    ``input_size``. All three come from a source that is not this package, ``counted_in``; they are
    0 where a user changed the row, whose counts nobody has published.
    """

    spec: Any
    params: int
    params_10: int
    macs: int
    counted_in: str
    input_size: int = 224
    in_chans: int = 3
    num_classes: int = 1000
    published: Published | None = None
    note: str = ""


@dataclass(frozen=True)
class Family:
    """The networks of one paper: how to build them, and one row for each."""

    name: str
    title: str
    year: int
    paper: str
    url: str
    network: Callable[..., Any]
    variants: Mapping[str, Variant]
    pocket: Any
    small_stem: str = field(default="as published")
