"""Limits on what a network may cost, as a person writes them: ``params<5M,macs<600M``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from convnets.catalog import Family, Variant
from convnets.errors import UsageError

Compare = Callable[[float, float], bool]
RELATIONS: dict[str, Compare] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "MS": 1e-3, "S": 1.0}
FIELDS = ("params", "macs", "year", "input", "error", "latency")
LIMIT = re.compile(r"\s*(\w+)\s*(<=|>=|<|>|=)\s*([0-9.]+)\s*([a-zA-Z]*)\s*")


@dataclass(frozen=True)
class Limit:
    """One condition; ``latency`` is in seconds, ``error`` the published top-1 error in percent."""

    field: str
    relation: str
    bound: float

    def allows(self, figures: Mapping[str, float | None]) -> bool:
        """Whether the figure is known and within the limit."""
        figure = figures.get(self.field)
        return figure is not None and RELATIONS[self.relation](figure, self.bound)


def parse_budget(text: str) -> tuple[Limit, ...]:
    """Read limits with commas between them; raises ``UsageError`` with the part that is none."""
    limits = []
    for part in text.split(","):
        found = LIMIT.fullmatch(part)
        if found is None or found[1] not in FIELDS or found[4].upper() not in UNITS:
            raise UsageError(
                f"budget {part.strip()!r} is not a limit such as params<5M, macs<=600M or "
                f"latency<20ms; fields: {', '.join(FIELDS)}"
            )
        try:
            bound = float(found[3]) * UNITS[found[4].upper()]
        except ValueError as error:
            raise UsageError(f"budget {part.strip()!r}: {found[3]} is not a number") from error
        limits.append(Limit(found[1], found[2], bound))
    return tuple(limits)


def published_figures(family: Family, variant: Variant) -> dict[str, float | None]:
    """What the catalogue knows of a network, by the field of a limit."""
    error = variant.published.top1_error if variant.published else None
    return {
        "params": variant.params or None,
        "macs": variant.macs or None,
        "year": family.year,
        "input": variant.input_size,
        "error": None if error is None else float(error),
    }
