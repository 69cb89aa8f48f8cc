"""Charts that compare networks before any training; matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convnets.analysis.cost import LayerCost, Profile
from convnets.report.format import tick

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_AREA = 2600.0
BARS: tuple[tuple[str, str, Callable[[LayerCost], float]], ...] = (
    ("memory, KB", "#4c78a8", lambda layer: layer.activation_bytes / 1e3),
    ("parameters, K", "#f58518", lambda layer: layer.params / 1e3),
    ("MFLOP", "#54a24b", lambda layer: layer.flops / 1e6),
)


@dataclass(frozen=True)
class Point:
    """A network in a chart: its cost on the axis, its accuracy in percent, its parameters."""

    name: str
    cost: float
    accuracy: float
    params: int


def layer_bars(costs: Mapping[str, Profile]) -> Figure:
    """Memory, parameters and MFLOP of every layer that computes, a column a network."""
    from matplotlib.figure import Figure

    layers = {name: _working(cost) for name, cost in costs.items()}
    widths = [max(len(rows), 8) for rows in layers.values()]
    figure = Figure(figsize=(min(3 + 0.22 * sum(widths), 40), 8), layout="constrained")
    grid = figure.subplots(len(BARS), len(layers), squeeze=False, width_ratios=widths, sharex="col")
    for column, (name, rows) in enumerate(layers.items()):
        for place, (title, colour, value) in enumerate(BARS):
            axes = grid[place][column]
            axes.bar(range(len(rows)), [value(row) for row in rows], color=colour)
            axes.set_ylabel(title)
            axes.margins(x=0.01)
        grid[0][column].set_title(name)
        axes = grid[-1][column]
        axes.set_xticks(range(len(rows)), [_short(row) for row in rows], rotation=90, fontsize=7)
    return figure


def _working(cost: Profile) -> list[LayerCost]:
    """Layers that multiply, and poolings."""
    return [layer for layer in cost.layers if layer.macs or "Pool" in layer.kind]


def _short(layer: LayerCost) -> str:
    parts = [part for part in layer.name.split(".") if part not in ("features", "conv")]
    return ".".join(parts[-3:])


def accuracy_against(points: Sequence[Point], cost: str, source: str, *, log: bool) -> Figure:
    """Accuracy against a cost, the parameters as area, and the networks that no other beats."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.2), layout="constrained")
    axes = figure.add_subplot()
    largest = max(point.params for point in points)
    sizes = [LARGEST_AREA * point.params / largest for point in points]
    places = [point.cost for point in points]
    axes.scatter(places, [p.accuracy for p in points], s=sizes, alpha=0.35, color="#4c78a8")
    best = front(points)
    axes.plot([p.cost for p in best], [p.accuracy for p in best], "--", color="#444", lw=1)
    named = points if len(points) <= 40 else best
    for point in named:
        drop = math.sqrt(LARGEST_AREA * point.params / largest / math.pi) + 3
        axes.annotate(
            point.name,
            (point.cost, point.accuracy),
            (0, -drop),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
        )
    if log:
        axes.set_xscale("log")
        for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            axis(lambda value, _place: tick(value))
    axes.margins(0.12)
    axes.set_xlabel(cost)
    axes.set_ylabel(f"top-1 accuracy in percent, {source}")
    return figure


def front(points: Sequence[Point]) -> list[Point]:
    """The points that none beats in both cost and accuracy, from cheap to dear."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each.cost, -each.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best


def picture(figure: Figure, form: str) -> bytes:
    """The figure as a file's bytes; ``form`` is ``png`` or ``svg``."""
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=150)
    return file.getvalue()
