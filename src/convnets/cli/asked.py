"""What ``convnets see`` is asked beyond images, and what each of its methods answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from convnets.cli.seeing import Scan, Seen
from convnets.data import ImageSet
from convnets.errors import UnknownName, UsageError
from convnets.visualize import maps

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a method beyond images."""

    layer: str | None = None
    units: tuple[int, ...] = ()
    data: Callable[[], ImageSet] | None = None
    limit: int = 2000
    projection: Literal["pca", "tsne"] = "pca"
    check: bool = False
    checkpoints: tuple[Path, ...] = ()

    def scan(self, seen: Seen) -> Scan:
        """The data set to look through; raises ``UsageError`` where none is given."""
        if self.data is None:
            raise UsageError("this method looks through a data set: give --data")
        return Scan(seen.loaded, self.data(), self.limit, seen.inputs.device)

    def unit(self) -> int | None:
        """The one unit asked for."""
        if len(self.units) > 1:
            raise UsageError(f"{len(self.units)} units; this method takes one --unit")
        return self.units[0] if self.units else None


@dataclass(frozen=True)
class Drawn:
    """A figure, what it shows as JSON, and for some methods what it shows as a table."""

    figure: Figure
    record: dict[str, Any] = field(default_factory=dict)
    table: Table | None = None


def layer_of(seen: Seen, asked: Asked) -> str:
    """The path of the layer asked for, ``stage2`` short for ``features.stage2``; without one, the
    last stage."""
    modules = [name for name, _ in seen.network.named_modules() if name]
    if asked.layer is None:
        return stages(seen)[-1]
    for path in (asked.layer, f"features.{asked.layer}"):
        if path in modules:
            return path
    raise UnknownName("layer", asked.layer, modules)


def stages(seen: Seen) -> list[str]:
    """The paths of the network's stages."""
    return [f"features.{name}" for name, _ in seen.loaded.network.features.named_children()]


def size_of(seen: Seen, layer: str | None) -> int:
    """How many units a layer has, or classes the network."""
    if layer is None:
        return len(seen.about.classes)
    shape = (1, seen.about.in_chans, seen.about.input_size, seen.about.input_size)
    blank = seen.inputs.new_zeros(shape)
    return len(maps.feature_maps(seen.network, blank, layer).values[0])
