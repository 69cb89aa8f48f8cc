"""The spaces there are: NASNet's cells, MnasNet's stages, and a small one for trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convnets.errors import UnknownName, UsageError
from convnets.layers.cell import Genotype, Numbers
from convnets.layers.cell_operations import OPERATIONS
from convnets.models import mnasnet, mobilenet_v2
from convnets.models.nasnet import NASNET_A
from convnets.search.spaces import Decision, Space, Values, space

NAMES = tuple(OPERATIONS)
CELLS = {"normal": NASNET_A.normal, "reduction": NASNET_A.reduction}


def cells(blocks: int = 5) -> Space:
    """NASNet's space (Zoph et al. 2017, Section 3): two cells, a normal and a reduction one.

    Each of a cell's ``blocks`` takes two earlier maps and applies an operation to each; their sum
    is its map. Maps that no block takes are joined.
    """
    # Differs: the paper's controller also chooses how two results are combined; all that it found
    # add them, and PNASNet (Liu et al. 2017, Section 3.1) fixes that. Of the paper's 13 operations
    # there are the 7 that the published cells are made of.
    decisions = [
        Decision(f"{cell}{block}.{what}", options)
        for cell in CELLS
        for block in range(1, blocks + 1)
        for what, options in (
            ("left.map", tuple(range(block + 1))),
            ("right.map", tuple(range(block + 1))),
            ("left", NAMES),
            ("right", NAMES),
        )
    ]
    return space("cells", "nasnet_a_cifar@depth=1,width=8", decisions, CellByCell(blocks))


@dataclass(frozen=True)
class CellByCell:
    """Decisions as the two cells of NASNet's spec."""

    blocks: int

    def fields(self, values: Values) -> Mapping[str, object]:
        # NASNet-A's own cells are the spec's None: its authors join maps beside the unused ones.
        found = {cell: self.rows(values, cell) for cell in CELLS}
        return {
            cell: None if rows == numbers(CELLS[cell]) else rows for cell, rows in found.items()
        }

    def rows(self, values: Values, cell: str) -> tuple[Numbers, ...]:
        """The numbers of one cell's blocks: operation, map, operation, map."""
        return tuple(
            (
                NAMES.index(values[f"{cell}{block}.left"]),
                values[f"{cell}{block}.left.map"],
                NAMES.index(values[f"{cell}{block}.right"]),
                values[f"{cell}{block}.right.map"],
            )
            for block in range(1, self.blocks + 1)
        )

    def values(self, spec: Any) -> Values:
        found: dict[str, Any] = {}
        for cell, own in CELLS.items():
            rows = getattr(spec, cell) or numbers(own)
            for block, (left, first, right, second) in enumerate(rows, start=1):
                found[f"{cell}{block}.left.map"], found[f"{cell}{block}.left"] = first, NAMES[left]
                found[f"{cell}{block}.right.map"] = second
                found[f"{cell}{block}.right"] = NAMES[right]
        if len(found) != 8 * self.blocks:
            raise UsageError(f"its cells have another number of blocks than {self.blocks}")
        return found


def numbers(cell: Genotype) -> tuple[Numbers, ...]:
    """A cell's rows in the numbers of a search."""
    return tuple(
        (NAMES.index(left), first, NAMES.index(right), second)
        for left, first, right, second in cell.rows
    )


def mobile() -> Space:
    """MnasNet's factorised space (Tan et al. 2018, Section 4.1): one set of choices a stage.

    Kernel, expansion and squeeze-and-excitation; channels as a share of MobileNetV2's, and layers
    more or less than its. The first stage, a separable convolution, stays.
    """
    # Differs: of the paper's block types there is the inverted residual alone, with its own skip.
    decisions = [
        decision
        for stage, row in enumerate(mobilenet_v2.TABLE_2[1:], start=2)
        for decision in (
            Decision(f"stage{stage}.kernel", (3, 5)),
            Decision(f"stage{stage}.expansion", (3, 6)),
            Decision(f"stage{stage}.squeeze", (False, True)),
            Decision(f"stage{stage}.channels", (0.75, 1.0, 1.25)),
            Decision(f"stage{stage}.layers", (-1, 0, 1) if row.depth > 1 else (0, 1)),
        )
    ]
    return space("mobile", "mnasnet_a1", decisions, StageByStage())


@dataclass(frozen=True)
class StageByStage:
    """Decisions as the stages of MnasNet's spec, relative to MobileNetV2's (Table 2)."""

    def fields(self, values: Values) -> Mapping[str, object]:
        first, *others = mobilenet_v2.TABLE_2
        stages = [mnasnet.Stage(1, 3, first.channels, first.depth, first.stride)]
        for stage, row in enumerate(others, start=2):
            stages.append(
                mnasnet.Stage(
                    values[f"stage{stage}.expansion"],
                    values[f"stage{stage}.kernel"],
                    round(row.channels * values[f"stage{stage}.channels"]),
                    row.depth + values[f"stage{stage}.layers"],
                    row.stride,
                    values[f"stage{stage}.squeeze"],
                )
            )
        return {"stages": tuple(stages)}

    def values(self, spec: Any) -> Values:
        found: dict[str, Any] = {}
        pairs = zip(spec.stages[1:], mobilenet_v2.TABLE_2[1:], strict=True)
        for stage, (own, row) in enumerate(pairs, start=2):
            found |= {
                f"stage{stage}.kernel": own.kernel,
                f"stage{stage}.expansion": own.expansion,
                f"stage{stage}.squeeze": own.squeeze,
                f"stage{stage}.channels": own.channels / row.channels,
                f"stage{stage}.layers": own.depth - row.depth,
            }
        return found


def residual() -> Space:
    """Blocks, width and shortcut of a ResNet for CIFAR: 75 networks, for trials."""
    decisions = [
        Decision("blocks", (1, 2, 3, 4, 5)),
        Decision("width", (8, 12, 16, 24, 32)),
        Decision("shortcut", ("A", "B", "C")),
    ]
    return space("residual", "resnet20", decisions)


SPACES = {"cells": cells, "mobile": mobile, "residual": residual}


def find_space(name: str) -> Space:
    """A space by name; raises ``UnknownName``."""
    if name not in SPACES:
        raise UnknownName("space", name, SPACES)
    return SPACES[name]()
