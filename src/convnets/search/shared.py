"""One network that holds every operation of NASNet's space, so that candidates share weights.

ENAS (Pham, Guan, Zoph, Le and Dean 2018, arXiv:1802.03268), Section 2.3: a candidate is a path
through the large network, and what one path learns the others have too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from convnets.errors import UsageError
from convnets.layers.cell import (
    Cell,
    Cells,
    Genotype,
    Numbers,
    Shape,
    Step,
    alternating_stages,
    is_input,
    matched,
    spelt,
)
from convnets.layers.cell_operations import EPS, OPERATIONS, Operation, relu_conv
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet
from convnets.models.nasnet import NASNet, Spec

UNSET = Genotype((), ())


class Operations(nn.Module):
    """Every operation on every map that one side of a block may take."""

    def __init__(self, channels: Sequence[int], width: int, stride: int) -> None:
        super().__init__()
        for source, entering in enumerate(channels):
            for number, build in enumerate(OPERATIONS.values()):
                module = build(entering, width, stride if is_input(source) else 1)
                self.add_module(f"map{source}_{number}", module)

    def chosen(self, operation: Operation, source: int) -> nn.Module:
        """The one operation on one map."""
        return self.get_submodule(f"map{source}_{list(OPERATIONS).index(operation)}")


class SharedCell(nn.Module):
    """A cell whose blocks hold all operations on all maps; its genotype says which are used.

    All of its maps are handed on side by side, zeros in the place of those that are not joined:
    what reads them then has the weights of every candidate, and those of zeros count nothing.
    """

    def __init__(self, step: Step, blocks: int, older: Shape | None, newer: Shape) -> None:
        super().__init__()
        self.step, self.genotype = step, UNSET
        width = step.width
        self.previous = matched(older, newer, width)
        if older is not None and isinstance(self.previous, nn.Identity):
            # All maps together may have the cell's width where those of a path have not.
            self.previous = relu_conv(older.channels, width)
        self.current = relu_conv(newer.channels, width)
        inputs = [width, newer.channels if older is None else width]
        channels = [[*inputs, *[width] * block] for block in range(blocks)]
        self.lefts = nn.ModuleList(Operations(each, width, step.stride) for each in channels)
        self.rights = nn.ModuleList(Operations(each, width, step.stride) for each in channels)
        self.passed: Tensor | None = None
        """The channels of the older input that a network of its own takes as they are."""

    def pair(self, block: int) -> tuple[nn.Module, nn.Module]:
        """The two operations of a block that the genotype takes."""
        left, first, right, second = self.genotype.rows[block]
        lefts, rights = self.lefts[block], self.rights[block]
        assert isinstance(lefts, Operations)
        assert isinstance(rights, Operations)
        return lefts.chosen(left, first), rights.chosen(right, second)

    def joined(self) -> Tensor:
        """Which channels of the output are not zeros."""
        first = torch.tensor(self.genotype.joined)[:, None] - 2
        return (first * self.step.width + torch.arange(self.step.width)).flatten()

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        before = self.previous(older) if self.passed is None else older[:, self.passed]
        maps = [self.current(newer), before]
        for block, (_, first, _, second) in enumerate(self.genotype.rows):
            left, right = self.pair(block)
            maps.append(left(maps[first]) + right(maps[second]))
        joined = self.genotype.joined
        kept = [m if n in joined else torch.zeros_like(m) for n, m in enumerate(maps) if n > 1]
        return torch.cat(kept, dim=1)


class SharedFeatures(nn.Sequential):
    """The stem and the cells in order; each takes the outputs of the two before it."""

    def forward(self, images: Tensor) -> Tensor:
        stem, *cells, final = self
        newer = older = stem(images)
        for cell in cells:
            newer, older = cell(older, newer), newer
        out: Tensor = final(newer)
        return out


class SharedCells(ConvNet):
    """NASNet's network with the CIFAR stem, every operation of its space in each of its cells.

    ``follow`` sets the path that ``forward`` takes; ``child`` gives a network of its own with that
    path's weights. Batch normalisation has the statistics of the batch at hand, in tests too:
    running ones would be a mixture of all paths.
    """

    def __init__(
        self, spec: Spec, blocks: int, *, in_chans: int = 3, num_classes: int = 10
    ) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        if spec.keeps_older or (spec.stem_width is not None and spec.stem != "small"):
            raise UsageError("weights are shared in networks of cells with the CIFAR stem alone")
        self.cells: dict[str, SharedCell] = {}
        """By the names that a network of its own has for them."""
        older, newer = None, Shape(3 * spec.width, 0)
        stem = conv_bn(in_chans, newer.channels, 3, eps=EPS, act=None)
        stages = alternating_stages(Cells(UNSET, UNSET), spec.depth, spec.width)
        for number, steps in enumerate(stages, start=1):
            for name, step in steps.items():
                cell = SharedCell(step, blocks, older, newer)
                self.cells[f"stage{number}.{name}"] = cell
                halvings = newer.halvings + (step.stride == 2)
                older, newer = newer, Shape(step.width * blocks, halvings)
        named: list[tuple[str, nn.Module]] = [
            (name.replace(".", "_"), cell) for name, cell in self.cells.items()
        ]
        parts = OrderedDict([("stem", stem), *named, ("final", nn.ReLU())])
        self.features = SharedFeatures(parts)
        self.head = pooled_head(newer.channels, num_classes)
        initialise_he2015(self)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None

    def follow(self, normal: Sequence[Numbers], reduction: Sequence[Numbers]) -> None:
        """Let ``forward`` take the path of these two cells."""
        genotypes = {1: spelt(normal), 2: spelt(reduction)}
        older: tuple[SharedCell | None, Shape] | None = None
        newer: tuple[SharedCell | None, Shape] = None, Shape(3 * self.spec.width, 0)
        for cell in self.cells.values():
            cell.genotype = genotypes[cell.step.stride]
            same = Shape(cell.step.width, newer[1].halvings)
            # A network of its own has no layer before a map that is of the right shape already.
            source = older[0] if older is not None and older[1] == same else None
            cell.passed = None if source is None else source.joined()
            halvings = newer[1].halvings + (cell.step.stride == 2)
            channels = cell.step.width * len(cell.genotype.joined)
            older, newer = newer, (cell, Shape(channels, halvings))

    @torch.no_grad()
    def child(self, normal: Sequence[Numbers], reduction: Sequence[Numbers]) -> NASNet:
        """A network of its own of these two cells, with the weights that its path has here."""
        self.follow(normal, reduction)
        spec = replace(self.spec, normal=tuple(normal), reduction=tuple(reduction))
        network = NASNet(spec, in_chans=self.in_chans, num_classes=self.num_classes)
        stem = network.features.get_submodule("stem.conv")
        _copy(self.features.get_submodule("stem"), stem)
        older = newer = torch.arange(3 * self.spec.width)
        for name, cell in self.cells.items():
            own = network.features.get_submodule(name)
            assert isinstance(own, Cell)
            _copy(cell.current, own.current, newer)
            _copy(cell.previous, own.previous, older)
            for block in range(len(own.pairs)):
                for side, shared in zip(("left", "right"), cell.pair(block), strict=True):
                    _copy(shared, own.pairs.get_submodule(f"{block}.{side}"))
            older, newer = newer, cell.joined()
        _copy(self.head, network.head, newer)
        return network


def _copy(shared: nn.Module, alone: nn.Module, inputs: Tensor | None = None) -> None:
    """Copy the weights of ``alone`` out of ``shared``, of whose inputs it has these."""
    for name, value in alone.named_parameters():
        source = shared.get_parameter(name)
        value.copy_(source if source.shape == value.shape or inputs is None else source[:, inputs])
