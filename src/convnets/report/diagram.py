"""A network's architecture as one SVG picture: its maps stage by stage, its blocks below them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from convnets.analysis.cost import LayerCost, Profile
from convnets.report.format import count, plural
from convnets.report.markup import Markup, tag

COLUMN = 196.0
GAP = 24.0
MARGIN = 24.0
TITLE = 44.0
MAPS = 190.0  # height of the row of maps
LARGEST = 104.0
LINE = 15.0
SHEETS = 7
COLOURS = ("#4c78a8", "#72b7b2", "#54a24b", "#eeca3b", "#f58518", "#e45756", "#b279a2", "#9d755d")
FONT = "font-family: system-ui, sans-serif"


@dataclass(frozen=True)
class Box:
    """Blocks of one kind and shape in a row, drawn once."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A column: the shape of its last map, and its boxes from top to bottom."""

    name: str
    shape: tuple[int, ...]
    field: str
    boxes: tuple[Box, ...]


def diagram(title: str, cost: Profile) -> Markup:
    """Draw a profiled network; equal blocks that follow one another are drawn once."""
    stages = [Stage("input", cost.input_shape[1:], "", ()), *_stages(cost)]
    tops = [_boxes_height(stage.boxes) for stage in stages]
    width = 2 * MARGIN + len(stages) * COLUMN + (len(stages) - 1) * GAP
    height = TITLE + MAPS + max(tops) + 2 * MARGIN
    largest = max((stage.shape[-1] for stage in stages if len(stage.shape) == 3), default=1)
    text = f"{title}: {count(cost.params)} parameters, {count(cost.macs)} MACs"
    columns = [
        _column(index, stage, largest, COLOURS[index % len(COLOURS)])
        for index, stage in enumerate(stages)
    ]
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {width:.0f} {height:.0f}",
        "width": width,
        "height": height,
        "style": FONT,
    }
    background = tag("rect", {"width": width, "height": height, "fill": "white"})
    heading = _text(MARGIN, MARGIN + 12, text, size=16, weight="bold", anchor="start")
    return tag("svg", attributes, background, heading, *columns)


def _stages(cost: Profile) -> list[Stage]:
    """The children of ``features``, and the other children of the network, or its own children."""
    tops = [row for row in cost.layers if row.depth == 1]
    stages = []
    for row in tops:
        parts = _children(cost, row) if row.name == "features" else [row]
        stages += [_stage(cost, part) for part in parts]
    return stages


def _stage(cost: Profile, row: LayerCost) -> Stage:
    blocks = _children(cost, row) or [row]
    field = row.receptive_field
    seen = f"sees {field:g} px" if isinstance(field, int | float) else ""
    return Stage(row.name.rpartition(".")[2], row.output_shape[1:], seen, _boxes(cost, blocks))


def _children(cost: Profile, row: LayerCost) -> list[LayerCost]:
    index = next(place for place, each in enumerate(cost.layers) if each is row)
    return [each for each in cost.layers if each.parent == index]


def _boxes(cost: Profile, blocks: Sequence[LayerCost]) -> tuple[Box, ...]:
    boxes = []
    described = [(block, _sums(cost, block)) for block in blocks]
    alike = groupby(described, key=lambda each: (each[0].kind, each[0].output_shape, each[1]))
    for (kind, shape, (params, macs)), run in alike:
        members = [block for block, _ in run]
        first, names = members[0], [block.name.rpartition(".")[2] for block in members]
        span = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        times = f" × {len(names)}" if len(names) > 1 else ""
        lines = [f"{_called(cost, first, kind)}{times}", _shape(shape[1:])]
        if params or macs:
            lines.append(f"{count(params * len(names))} params, {count(macs * len(names))} MACs")
        boxes.append(Box(span, tuple(lines)))
    return tuple(boxes)


def _called(cost: Profile, block: LayerCost, kind: str) -> str:
    """The kind of a block; of a plain sequence, the names of its parts."""
    parts = [each.name.rpartition(".")[2] for each in _children(cost, block)]
    return " + ".join(parts) if kind == "Sequential" and 0 < len(parts) <= 4 else kind


def _sums(cost: Profile, block: LayerCost) -> tuple[int, int]:
    """Parameters and multiply-adds of a block with all it holds."""
    prefix = f"{block.name}."
    inside = [row for row in cost.layers if row is block or row.name.startswith(prefix)]
    return sum(row.params for row in inside), sum(row.macs for row in inside)


def _shape(sides: Sequence[int]) -> str:
    return " × ".join(str(side) for side in sides)


def _boxes_height(boxes: Sequence[Box]) -> float:
    return sum(LINE * (len(box.lines) + 1) + 20 for box in boxes)


def _column(index: int, stage: Stage, largest: int, colour: str) -> Markup:
    left = MARGIN + index * (COLUMN + GAP)
    middle = left + COLUMN / 2
    parts = [
        _maps(middle, stage, largest, colour),
        _text(middle, TITLE + MAPS - 34, stage.name, weight="bold"),
        _text(middle, TITLE + MAPS - 18, _shape(stage.shape)),
        _text(middle, TITLE + MAPS - 3, stage.field, fill="#666"),
    ]
    top = TITLE + MAPS + 12
    for box in stage.boxes:
        height = LINE * (len(box.lines) + 1) + 10
        frame = {"x": left, "y": top, "width": COLUMN, "height": height, "rx": 6}
        parts.append(tag("rect", {**frame, "fill": colour, "fill-opacity": 0.16, "stroke": colour}))
        parts.append(_text(middle, top + LINE + 2, box.title, weight="bold"))
        parts += [
            _text(middle, top + LINE * (place + 2) + 2, line)
            for place, line in enumerate(box.lines)
        ]
        top += height + 10
    if index:
        y = TITLE + 16 + LARGEST / 2
        line = {"x1": left - GAP, "x2": left - 4, "y1": y, "y2": y}
        parts.append(tag("line", {**line, "stroke": "#888", "stroke-width": 1.5}))
        tip = f"{left},{y} {left - 7},{y - 4} {left - 7},{y + 4}"
        parts.append(tag("polygon", {"points": tip, "fill": "#888"}))
    return tag("g", {}, *parts)


def _maps(middle: float, stage: Stage, largest: int, colour: str) -> Markup:
    """A stack of maps: its height the side of a map, its number the channels, both roughly."""
    if len(stage.shape) == 3:
        channels, height, width = stage.shape
    else:
        channels, height, width = stage.shape[-1], 1, 1
    sheets = max(1, min(SHEETS, round(math.log2(channels) * SHEETS / 11)))
    scale = (LARGEST - 3 * SHEETS) / math.sqrt(largest)
    tall, wide = max(math.sqrt(height) * scale, 5), max(math.sqrt(width) * scale, 5)
    x0 = middle - (wide + 3 * (sheets - 1)) / 2
    y0 = TITLE + 16 + (LARGEST - tall - 3 * (sheets - 1)) / 2
    rectangles = [
        tag(
            "rect",
            {
                "x": x0 + 3 * place,
                "y": y0 + 3 * place,
                "width": wide,
                "height": tall,
                "fill": colour,
                "fill-opacity": 0.55 if place < sheets - 1 else 0.9,
                "stroke": "white",
            },
        )
        for place in range(sheets)
    ]
    tip = tag("title", {}, f"{stage.name}: {plural(channels, 'map')} of {height} × {width}")
    return tag("g", {}, tip, *rectangles)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: str | None = None,
    fill: str = "#222",
    anchor: str = "middle",
) -> Markup:
    attributes = {"x": x, "y": y, "font-size": size, "text-anchor": anchor, "fill": fill}
    return tag("text", {**attributes, "font-weight": weight}, text)
