"""Searched cells: a cell is data, and here it is built and stacked into a network.

The search space of NASNet (Zoph, Vasudevan, Shlens and Le 2017, arXiv:1707.07012, Section 3), in
which PNASNet and AmoebaNet were found too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convnets.errors import UsageError
from convnets.layers.cell_operations import (
    EPS,
    OPERATIONS,
    FactorizedReduction,
    Operation,
    relu_conv,
)
from convnets.layers.conv import conv_bn
from convnets.layers.network import stack

Row = tuple[Operation, int, Operation, int]
Numbers = tuple[int, int, int, int]
Maps = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Genotype:
    """A cell as a search gives it.

    A row (operation, map, operation, map) makes the next map, the sum of the two results. Map 0 is
    the output of the cell before, map 1 that of the one before it, both brought to the cell's
    width; the rows make maps 2, 3, ... The ``joined`` maps, side by side, are the cell's output.
    """

    rows: tuple[Row, ...]
    joined: tuple[int, ...]


def spelt(rows: Sequence[Numbers]) -> Genotype:
    """A cell from the numbers of a search: in each row operation, map, operation, map.

    Operations are counted from 0 in the order of ``OPERATIONS``. Maps that no row takes are joined
    (Zoph et al. 2017, Section 3). Raises ``UsageError``.
    """
    names = list(OPERATIONS)
    spelled: list[Row] = []
    for number, (left, first, right, second) in enumerate(rows):
        if not 0 <= max(left, right) < len(names):
            raise UsageError(f"row {number}: operations are numbered from 0 to {len(names) - 1}")
        if not 0 <= max(first, second) < number + 2:
            raise UsageError(f"row {number}: maps before it are numbered from 0 to {number + 1}")
        spelled.append((names[left], first, names[right], second))
    taken = {source for _, first, _, second in rows for source in (first, second)}
    joined = tuple(place for place in range(2, len(rows) + 2) if place not in taken)
    return Genotype(tuple(spelled), joined)


@dataclass(frozen=True)
class Cells:
    """The two cells that a search gives: one keeps the size of its maps, one halves it."""

    normal: Genotype
    reduction: Genotype


@dataclass(frozen=True)
class Step:
    """One cell of a network: ``width`` is the channels of each map inside it.

    After a step that ``keeps_older``, the next cell has the same older input as this one had.
    """

    genotype: Genotype
    width: int
    stride: int = 1
    keeps_older: bool = False


class Shape(NamedTuple):
    """Of a map between cells: its channels, and how often it was halved since the first one."""

    channels: int
    halvings: int


class Combination(nn.Module):
    """One row of a genotype: two operations on maps of the cell, and their sum."""

    def __init__(self, row: Row, channels: Sequence[int], width: int, stride: int) -> None:
        super().__init__()
        left, self.first, right, self.second = row

        def build(name: Operation, source: int) -> nn.Module:
            return OPERATIONS[name](channels[source], width, stride if is_input(source) else 1)

        self.left = build(left, self.first)
        self.right = build(right, self.second)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        out: Tensor = self.left(maps[self.first]) + self.right(maps[self.second])
        return out


class Cell(nn.Module):
    """The cell of a genotype; takes the outputs of the two cells before it, the older first.

    ``older`` is None for the first cell of a network, which has one input: that map, as it is, is
    its map 1.
    """

    def __init__(self, step: Step, older: Shape | None, newer: Shape) -> None:
        super().__init__()
        width, genotype = step.width, step.genotype
        self.keeps_older = step.keeps_older
        self.joined = genotype.joined
        self.previous = matched(older, newer, width)
        self.current = relu_conv(newer.channels, width)
        channels = [width, newer.channels if older is None else width]
        channels += [width] * len(genotype.rows)
        self.pairs = nn.ModuleList(
            Combination(row, channels, width, step.stride) for row in genotype.rows
        )
        self.joins = nn.ModuleList(
            beside_sums(channels[source], width, step.stride if is_input(source) else 1)
            for source in genotype.joined
        )

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        maps = [self.current(newer), self.previous(older)]
        for pair in self.pairs:
            maps.append(pair(maps))
        joined = zip(self.joins, self.joined, strict=True)
        return torch.cat([join(maps[source]) for join, source in joined], dim=1)


def is_input(source: int) -> bool:
    """Whether a map comes from outside the cell; the cell's stride is for those alone."""
    return source < 2


def matched(older: Shape | None, newer: Shape, width: int) -> nn.Module:
    """Bring the older input to the newer one's size and to the cell's width."""
    if older is None or older == Shape(width, newer.halvings):
        return nn.Identity()
    if older.halvings == newer.halvings:
        return relu_conv(older.channels, width)
    return stack(("act", nn.ReLU()), ("reduce", FactorizedReduction(older.channels, width)))


def beside_sums(in_channels: int, width: int, stride: int) -> nn.Module:
    """Bring a map that is part of the output to the shape of the sums."""
    if stride > 1:
        return FactorizedReduction(in_channels, width)
    if in_channels != width:
        return conv_bn(in_channels, width, 1, eps=EPS, act=None)
    return nn.Identity()


class Stage(nn.Sequential):
    """Cells one after another; takes and returns the outputs of two cells, the newer first."""

    def forward(self, maps: Maps) -> Maps:
        newer, older = maps
        for cell in self:
            out = cell(older, newer)
            newer, older = out, (older if cell.keeps_older else newer)
        return newer, older


class Stem(nn.Module):
    """The first convolution, and the cells right after it if there are any."""

    def __init__(self, conv: nn.Module, cells: Stage) -> None:
        super().__init__()
        self.conv = conv
        self.cells = cells

    def forward(self, images: Tensor) -> Maps:
        first = self.conv(images)
        maps: Maps = self.cells((first, first))
        return maps


class CellFeatures(nn.Sequential):
    """``stem``, ``stage1``, ... hand on the outputs of two cells; ``final`` sees the last one.

    ``channels`` are those of the map that it returns.
    """

    channels: int

    def forward(self, images: Tensor) -> Tensor:
        *stages, final = self
        maps = images
        for stage in stages:
            maps = stage(maps)
        out: Tensor = final(maps[0])
        return out


def cell_features(
    in_chans: int,
    width: int,
    stem_width: int | None,
    stem_cell: Genotype,
    stages: Sequence[Mapping[str, Step]],
) -> CellFeatures:
    """Build ``features`` of a network of cells.

    ``stem_width`` is the width of the ImageNet stem: a 3x3 convolution of stride 2 and two cells of
    stride 2, a quarter and a half as wide as the first stage's ``width``. None is for the CIFAR
    stem, a 3x3 convolution of three times that width.
    """
    if stem_width is None:
        steps = {}
        newer = Shape(3 * width, 0)
        conv = conv_bn(in_chans, newer.channels, 3, eps=EPS, act=None)
    else:
        steps = {
            "cell1": Step(stem_cell, width // 4, stride=2),
            "cell2": Step(stem_cell, width // 2, stride=2),
        }
        newer = Shape(stem_width, 0)
        conv = conv_bn(in_chans, stem_width, 3, stride=2, padding=0, eps=EPS, act=None)
    older: Shape | None = None
    built = []
    for each in (steps, *stages):
        stage = Stage()
        for name, step in each.items():
            stage.add_module(name, Cell(step, older, newer))
            older = older if step.keeps_older else newer
            channels = step.width * len(step.genotype.joined)
            newer = Shape(channels, newer.halvings + (step.stride == 2))
        built.append(stage)
    features = CellFeatures()
    features.add_module("stem", Stem(conv, built[0]))
    for number, stage in enumerate(built[1:], start=1):
        features.add_module(f"stage{number}", stage)
    features.add_module("final", nn.ReLU())
    features.channels = newer.channels
    return features


def alternating_stages(
    cells: Cells, depth: int, width: int, *, keeps_older: bool = False
) -> list[dict[str, Step]]:
    """Three stages of ``depth`` normal cells; a reduction cell begins the second and the third.

    The width doubles with each stage.
    """
    stages = []
    for stage in range(3):
        channels = width * 2**stage
        steps = {}
        if stage:
            steps["reduction"] = Step(cells.reduction, channels, 2, keeps_older)
        for block in range(1, depth + 1):
            steps[f"block{block}"] = Step(cells.normal, channels)
        stages.append(steps)
    return stages
