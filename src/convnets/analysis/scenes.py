"""Small grids of numbers side by side: how a layer's arithmetic is shown, as text and as data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Place = tuple[int, int]
Rows = Sequence[Sequence[float]]
Cells = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Grid:
    """Cells with a title; ``marked`` ones are what a sum is about, ``added`` ones are padding, or
    zeros between values, ``weights`` are small numbers beside the cells' own."""

    title: str
    cells: Cells
    marked: frozenset[Place] = frozenset()
    added: frozenset[Place] = frozenset()
    weights: dict[Place, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The grid as text: marked cells in brackets, added ones as dots."""
        width = max(len(cell) for row in self.cells for cell in row)
        lines = [self.title]
        for i, row in enumerate(self.cells):
            texts = []
            for j, cell in enumerate(row):
                left, right = "[]" if (i, j) in self.marked else "  "
                text = "·" if (i, j) in self.added else cell
                texts.append(f"{left}{text.rjust(width)}{right}")
            lines.append("".join(texts))
        return lines


Scene = tuple[Grid | str, ...]
"""Grids from left to right with signs between them."""


@dataclass(frozen=True)
class Demonstration:
    """Scenes from top to bottom, sums as lines, grids of numbers by name, and one step a scene."""

    title: str
    scenes: tuple[Scene, ...]
    lines: tuple[str, ...]
    results: dict[str, list[list[float]]]
    steps: tuple[Scene, ...] = ()

    def __str__(self) -> str:
        scenes = [_side_by_side(scene) for scene in self.scenes]
        return "\n\n".join((self.title, *scenes, "\n".join(self.lines)))

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {"title": self.title, "lines": list(self.lines), **self.results}


def titled(name: str, values: Values) -> str:
    """The name of a grid with its size."""
    return f"{name} {shape_of(values)}"


def shape_of(values: Values) -> str:
    """Rows x columns."""
    return "x".join(str(side) for side in values.shape)


def texts(values: Iterable[float]) -> list[str]:
    """Numbers as short as they are exact to six digits; nothing for an infinite one."""
    return ["" if math.isinf(value) else f"{value:g}" for value in values]


def cells(values: Values, known: Iterable[Place] | None = None) -> Cells:
    """Numbers as cells; with ``known``, those of other places are blank."""
    shown = set(np.ndindex(*values.shape) if known is None else known)
    return tuple(
        tuple(text if (i, j) in shown else "" for j, text in enumerate(texts(row)))
        for i, row in enumerate(values)
    )


def _side_by_side(scene: Scene) -> str:
    """A scene as text; signs stand at half the height of the tallest grid."""
    blocks = [part.lines() if isinstance(part, Grid) else [part] for part in scene]
    middle = max(len(block) for block in blocks) // 2
    placed = [
        block if isinstance(part, Grid) else [""] * middle + block
        for part, block in zip(scene, blocks, strict=True)
    ]
    widths = [max(len(line) for line in block) for block in placed]
    lines = zip_longest(*placed, fillvalue="")
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
