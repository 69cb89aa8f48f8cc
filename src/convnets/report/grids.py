"""Small grids of numbers as one SVG picture: the scenes of a demonstration, then its steps."""

from __future__ import annotations

from collections.abc import Sequence

from convnets.analysis.scenes import Demonstration, Grid, Scene
from convnets.report.markup import Markup, joined, tag

CELL = 34.0
CHARACTER = 8.1  # of 13 px text, rounded up
MARGIN = 24.0
TITLE = 40.0
HEAD = 24.0  # a grid's title
SIGN = 48.0
LINE = 20.0
LARGE = 17
GAP = 30.0
WIDEST = 1280.0
MARKED, EDGE, INK, SOFT, RULE = "#cfdcf3", "#3b62b5", "#1b1d22", "#767b86", "#c9ccd3"
STYLE = "font-family: system-ui, sans-serif; font-variant-numeric: tabular-nums"


def drawn(found: Demonstration) -> Markup:
    """The demonstration as an SVG document: its scenes, its formula, and every step."""
    sentences = [line for line in found.lines if not line.startswith("(")]
    parts, y, width = [], TITLE + MARGIN, 0.0
    for scene in found.scenes:
        parts.append(_scene(scene, MARGIN, y))
        width = max(width, _width(scene))
        y += _height(scene) + GAP
    for line in sentences:
        parts.append(_text(MARGIN, y, line, anchor="start", fill=SOFT))
        y += LINE
    longest = max(len(found.title) * LARGE / 13, *(len(line) for line in sentences))
    width = max(width, CHARACTER * longest)
    if found.steps:
        y += GAP
        steps, y, wide = _film(found.steps, y, width)
        parts += steps
        width = max(width, wide)
    width, height = width + 2 * MARGIN, y + MARGIN
    frame = {"viewBox": f"0 0 {width:.0f} {height:.0f}", "width": width, "height": height}
    return tag(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", **frame, "style": STYLE},
        tag("rect", {"width": width, "height": height, "fill": "white"}),
        _text(MARGIN, MARGIN + 14, found.title, size=LARGE, weight="600", anchor="start"),
        *parts,
    )


def _film(steps: Sequence[Scene], top: float, least: float) -> tuple[list[Markup], float, float]:
    """Steps in rows from left to right, numbered; their end, and how wide they are."""
    wide = max(_width(step) for step in steps) + GAP
    tall = max(_height(step) for step in steps) + GAP + 12
    columns = max(1, int((max(least, min(WIDEST, 3 * wide)) + GAP) // wide))
    parts = []
    for number, step in enumerate(steps):
        row, column = divmod(number, columns)
        parts.append(_scene(step, MARGIN + column * wide, top + row * tall))
    rows = -(-len(steps) // columns)
    return parts, top + rows * tall - GAP, min(columns, len(steps)) * wide - GAP


def _scene(scene: Scene, x: float, y: float) -> Markup:
    """A scene with its upper left corner at (x, y)."""
    tallest = _height(scene) - HEAD
    parts = []
    for part in scene:
        if isinstance(part, Grid):
            parts.append(_grid(part, x, y + HEAD + (tallest - len(part.cells) * CELL) / 2))
            x += _grid_width(part)
        else:
            parts.append(_text(x + SIGN / 2, y + HEAD + tallest / 2 + 6, part, size=18, fill=SOFT))
            x += SIGN
    return tag("g", {}, *parts)


def _grid(grid: Grid, x: float, y: float) -> Markup:
    side = _cell_width(grid)
    x += (_grid_width(grid) - side * len(grid.cells[0])) / 2
    middle = x + side * len(grid.cells[0]) / 2
    parts = [_text(middle, y - 9, grid.title, fill=SOFT)]
    for i, row in enumerate(grid.cells):
        for j, cell in enumerate(row):
            parts.append(_cell(grid, (i, j), cell, x + j * side, y + i * CELL, side))
    return joined(parts)


def _cell(grid: Grid, place: tuple[int, int], text: str, x: float, y: float, side: float) -> Markup:
    marked, added = place in grid.marked, place in grid.added
    box = {"x": x, "y": y, "width": side, "height": CELL, "stroke": RULE}
    fill = MARKED if marked else "#f4f5f7" if added else "white"
    parts = [tag("rect", {**box, "fill": fill, "stroke-dasharray": "2 2" if added else None})]
    weight = "600" if marked and not added else None
    ink = SOFT if added else INK
    parts.append(_text(x + side / 2, y + CELL / 2 + 5, text, weight=weight, fill=ink))
    if place in grid.weights:
        parts.append(
            _text(x + side - 3, y + CELL - 4, grid.weights[place], size=10, anchor="end", fill=EDGE)
        )
    return joined(parts)


def _cell_width(grid: Grid) -> float:
    longest = max(len(cell) for row in grid.cells for cell in row)
    beside = max((len(weight) for weight in grid.weights.values()), default=0)
    return max(CELL, CHARACTER * (longest + beside) + 12)


def _grid_width(grid: Grid) -> float:
    return max(len(grid.cells[0]) * _cell_width(grid), CHARACTER * len(grid.title))


def _width(scene: Scene) -> float:
    return sum(_grid_width(part) if isinstance(part, Grid) else SIGN for part in scene)


def _height(scene: Scene) -> float:
    return HEAD + CELL * max(len(part.cells) for part in scene if isinstance(part, Grid))


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str | None = None,
    anchor: str = "middle",
    fill: str = INK,
) -> Markup:
    attributes = {"x": x, "y": y, "font-size": size, "text-anchor": anchor, "fill": fill}
    return tag("text", {**attributes, "font-weight": weight}, text)
