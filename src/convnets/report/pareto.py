"""What is worth its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Each = TypeVar("Each")


def pareto(
    every: Iterable[Each], cost: Callable[[Each], float], worth: Callable[[Each], float]
) -> list[Each]:
    """The Pareto front, cheapest first: each is worth more than all that cost no more than it."""
    best: list[Each] = []
    for each in sorted(every, key=lambda each: (cost(each), -worth(each))):
        if not best or worth(each) > worth(best[-1]):
            best.append(each)
    return best
