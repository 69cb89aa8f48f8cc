"""Charts that compare networks; matplotlib is imported when one is drawn."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convnets.analysis.cost import LayerCost, Profile
from convnets.report.charts import Axis, accuracy_axis, place_labels, radius
from convnets.report.format import tick
from convnets.report.pareto import pareto

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT = 8.0  # points
PIXEL = FONT / 13  # of the page's charts, whose text is 13 pixels high, in points
FAR = 8.0  # pixels from a disc to its name that a line must lead over
MOST_NAMES = 40
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
    colour: str = "#4c78a8"


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


def accuracy_against(
    points: Sequence[Point], cost: str, accuracy: str, *, log: bool, largest: int | None = None
) -> Figure:
    """Accuracy against a cost, the parameters as area, and the networks that no other beats.

    ``cost`` and ``accuracy`` are the titles of the axes. Beyond ``MOST_NAMES`` points, those alone
    are named that no other beats. ``largest`` is what a disc of the usual largest size stands for;
    without it that is the largest point.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    largest = largest or max(point.params for point in points)
    ordered = sorted(points, key=lambda point: -point.params)
    axes.scatter(
        [point.cost for point in ordered],
        [point.accuracy for point in ordered],
        s=[(2 * PIXEL * radius(point.params, largest)) ** 2 for point in ordered],
        c=[point.colour for point in ordered],
        alpha=0.35,
    )
    best = pareto(points, cost=lambda point: point.cost, worth=lambda point: point.accuracy)
    line = [point.cost for point in best], [point.accuracy for point in best]
    axes.plot(*line, "--", color="#444", lw=1, zorder=0)
    scale = accuracy_axis([point.accuracy / 100 for point in points], 0, 1)
    axes.set_ylim(scale.low, scale.high)
    axes.margins(x=0.14)
    if log:
        _log_scale(axes)
    axes.set_xlabel(cost)
    axes.set_ylabel(accuracy)
    figure.draw_without_rendering()  # from here on a point's place in the picture is known
    _write_names(axes, points if len(points) <= MOST_NAMES else best, largest)
    return figure


def _log_scale(axes: Axes) -> None:
    """Round values as on the page's charts, and room for two of them."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    middle = math.sqrt(low * high)
    axes.set_xlim(min(low, middle / 3), max(high, middle * 3))
    axes.set_xticks(Axis(*axes.get_xlim(), 0, 1, log=True).ticks())
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _place: tick(value))


def _write_names(axes: Axes, points: Sequence[Point], largest: int) -> None:
    """Names beside their discs, placed as on the page."""
    from matplotlib.patheffects import withStroke

    pixel = PIXEL * axes.figure.dpi / 72
    places = axes.transData.transform([(point.cost, point.accuracy) for point in points]) / pixel
    sizes = [radius(point.params, largest) for point in points]
    discs = [(float(x), float(y), size) for (x, y), size in zip(places, sizes, strict=True)]
    frame = axes.bbox
    inside = (frame.x0 / pixel, frame.y0 / pixel, frame.x1 / pixel, frame.y1 / pixel)
    boxes = place_labels(discs, [point.name for point in points], inside)
    for point, (x, y, size), (left, top, right, bottom) in zip(points, discs, boxes, strict=True):
        middle = (left + right) / 2 - x, (top + bottom) / 2 - y
        edge = min(max(x, left), right) - x, min(max(y, top), bottom) - y
        led = {"arrowstyle": "-", "lw": 0.6, "color": "#888", "shrinkB": PIXEL * size}
        axes.annotate(
            point.name,
            (point.cost, point.accuracy),
            (PIXEL * middle[0], PIXEL * middle[1]),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=FONT,
            parse_math=False,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            arrowprops=led if math.hypot(*edge) > size + FAR else None,
        )


def picture(figure: Figure, form: str) -> bytes:
    """The figure as a file's bytes; ``form`` is ``png`` or ``svg``."""
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=150)
    return file.getvalue()
