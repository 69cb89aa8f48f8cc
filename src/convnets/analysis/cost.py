"""The record of what a network costs: one row for each time a module ran, and the totals.

Rows hold what a module does itself, without its children, so every column adds up to its total.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from convnets.analysis.grid import Field


@dataclass(frozen=True)
class LayerCost:
    """One run of one module, its children left out; the residual ``+`` of a block is the block's.

    ``name`` is the module's path in the network ("" for the network itself) and ``parent`` the
    index of the row of the module that called it (None at the top); ``depth`` is that nesting.
    ``output_shape`` is the shape of the (first) tensor it returned. ``params`` are counted at the
    first use, so a shared module costs multiply-adds at each run and parameters once.

    ``macs`` are multiply-adds of convolutions and matrix products. ``flops`` are floating-point
    operations: two for each multiply-add and those of everything else by the rules of
    ``convnets.analysis.counting``. ``activation_bytes`` is the size of the feature maps it
    allocated (views and in-place operations allocate none), ``kept_bytes`` what autograd newly
    keeps of them, or of its inputs, for backward. ``moved_bytes`` counts each operation's inputs,
    parameters and outputs as read or written once.

    ``field`` is the receptive field of the output, None where its units lie on no grid.
    """

    name: str
    kind: str
    parent: int | None
    depth: int
    output_shape: tuple[int, ...]
    params: int
    macs: int
    flops: int
    activation_bytes: int
    kept_bytes: int
    moved_bytes: int
    field: Field | None

    @property
    def receptive_field(self) -> float | tuple[float, ...] | None:
        """Side of the receptive field in input pixels: one number where it is square."""
        return None if self.field is None else _square(axis.size for axis in self.field)

    @property
    def stride(self) -> float | tuple[float, ...] | None:
        """Input pixels from one unit to the next: one number where both axes agree."""
        return None if self.field is None else _square(axis.stride for axis in self.field)

    @property
    def centre(self) -> float | tuple[float, ...] | None:
        """Centre of the first unit's field; pixel 0 lies at 0, padding has negative places."""
        return None if self.field is None else _square(axis.centre for axis in self.field)

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: FLOPs a byte moved (0 where nothing is)."""
        return self.flops / self.moved_bytes if self.moved_bytes else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The row as plain JSON values, the derived columns in place of ``field``."""
        row = {**vars(self), "output_shape": list(self.output_shape)}
        del row["field"]
        for column in ("receptive_field", "stride", "centre", "intensity"):
            value = getattr(self, column)
            row[column] = list(value) if isinstance(value, tuple) else value
        return row


@dataclass(frozen=True)
class Profile:
    """What one forward pass in eval mode costs, for a batch of ``input_shape``.

    ``params`` counts every parameter of the module once; ``unused_params`` those of them that no
    operation read (auxiliary heads, which eval mode leaves out). The other totals are the sums of
    ``layers``, which are in order of execution, a module before its children. ``uncounted`` lists
    operations that have no rule and how often each ran: their multiply-adds and FLOPs are missing.
    """

    input_shape: tuple[int, ...]
    params: int
    unused_params: int
    macs: int
    flops: int
    activation_bytes: int
    kept_bytes: int
    layers: tuple[LayerCost, ...]
    uncounted: tuple[tuple[str, int], ...]

    def subtotals(self, depth: int) -> dict[str, dict[str, int]]:
        """Sums of params, macs, flops, activation_bytes and kept_bytes by part of the network.

        A part is the first ``depth`` components of a path: ``"features.stage1"`` at depth 2. What
        is done outside any part of that depth is listed under its own shorter path.
        """
        columns = ("params", "macs", "flops", "activation_bytes", "kept_bytes")
        parts: dict[str, dict[str, int]] = {}
        for layer in self.layers:
            part = ".".join(layer.name.split(".")[:depth])
            sums = parts.setdefault(part, dict.fromkeys(columns, 0))
            for column in columns:
                sums[column] += getattr(layer, column)
        return parts

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values, every layer included."""
        return {
            **vars(self),
            "input_shape": list(self.input_shape),
            "layers": [layer.to_dict() for layer in self.layers],
            "uncounted": dict(self.uncounted),
        }


def _square(values: Iterable[float]) -> float | tuple[float, ...]:
    sides = tuple(int(value) if value == int(value) else value for value in values)
    return sides[0] if len(set(sides)) == 1 else sides
