"""Charts as SVG: accuracy against cost, and learning curves.

Colours that depend on the theme are classes of the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from convnets.records import EpochRecord, Result
from convnets.report.entries import Entry
from convnets.report.format import count, percent, tick
from convnets.report.leaderboard import front
from convnets.report.markup import Markup, joined, tag

WIDTH = 960
LETTER = 7.7  # mean width of a letter at the charts' 13 px
LINE = 16.0
LEADER = 30.0
LARGEST_RADIUS = 46.0
LONGEST_LABEL = 30

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Axis:
    """A scale from the values ``low`` to ``high`` to the pixels ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        place = math.log(value) if self.log else value
        return self.start + (place - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values on the axis: 1, 2 and 5 times powers of ten."""
        if not self.log:
            step = _round_step((self.high - self.low) / 6)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            return [index * step for index in range(first, last + 1)]
        digits = (1,) if self.high / self.low > 2000 else (1, 2, 5)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [digit * 10.0**power for power in powers for digit in digits]
        return [value for value in values if self.low <= value <= self.high]


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))


def accuracy_axis(shares: Sequence[float], start: float, end: float) -> Axis:
    """An axis in percent around ``shares``, never beyond 0 and 100 and never of no length."""
    low, high = min(shares) * 100, max(shares) * 100
    room = max((high - low) * 0.12, 1.0)
    return Axis(max(low - room, 0.0), min(high + room, 100.0), start, end)


def radius(params: int, largest: int) -> float:
    """Radius in pixels of a disc whose area is proportional to ``params``."""
    return LARGEST_RADIUS * math.sqrt(params / largest)


def complexity_chart(entries: Sequence[Entry]) -> Markup:
    """Accuracy against MACs: one disc a row, its area the parameters, and the Pareto front."""
    height = 560.0
    rows = [entry.row for entry in entries]
    x = Axis(min(r.macs for r in rows) / 2, max(r.macs for r in rows) * 2, 64, WIDTH - 24, log=True)
    reached = [r.top1 + side * (r.top1_deviation or 0) for r in rows for side in (-1, 1)]
    y = accuracy_axis(reached, height - 56, 28)
    largest = max(row.params for row in rows)
    discs = [(x(row.macs), y(row.top1 * 100), radius(row.params, largest)) for row in rows]
    texts = [shortened(entry.name) for entry in entries]
    boxes = place_labels(discs, texts, (x.start + 4, y.end, x.end, y.start - 4))
    line = _points([(x(row.macs), y(row.top1 * 100)) for row in front(rows)])
    largest_first = sorted(range(len(rows)), key=lambda index: -rows[index].params)
    return _chart(
        "Accuracy against multiply-adds an image",
        height,
        axes(x, y, "multiply-adds an image (log scale)", tick),
        tag("polyline", {"class": "front", "points": line}),
        *(_disc(entries[index], discs[index], y) for index in largest_first),
        *map(_disc_label, entries, texts, discs, boxes),
    )


def _disc(entry: Entry, disc: tuple[float, float, float], y: Axis) -> Markup:
    row, (cx, cy, r) = entry.row, disc
    tip = (
        f"{entry.name} ({row.year})\n{percent(row.top1, row.top1_deviation)} % top-1\n"
        f"{count(row.params)} parameters\n{count(row.macs)} MACs an image"
    )
    at = {"cx": cx, "cy": cy}
    parts = [
        tag("circle", {**at, "r": max(r, 9.0), "class": "target"}),
        tag(
            "circle", {**at, "r": r, "fill": entry.colour, "stroke": entry.colour, "class": "disc"}
        ),
        tag("circle", {**at, "r": 2, "fill": entry.colour}),
    ]
    if row.top1_deviation:
        low = max((row.top1 - row.top1_deviation) * 100, y.low)
        high = min((row.top1 + row.top1_deviation) * 100, y.high)
        ends = {"x1": cx, "x2": cx, "y1": y(low), "y2": y(high)}
        parts.append(tag("line", {"class": "deviation", "stroke": entry.colour, **ends}))
    return tag("g", _mark("disc-mark", entry, tip), *parts)


def _disc_label(entry: Entry, text: str, disc: tuple[float, float, float], box: Box) -> Markup:
    cx, cy, r = disc
    left, top, right, bottom = box
    nearest = (min(max(cx, left), right), min(max(cy, top), bottom))
    away = math.dist((cx, cy), nearest)
    parts = [tag("text", {"x": (left + right) / 2, "y": bottom - 4, "text-anchor": "middle"}, text)]
    if away > r + 8:
        edge = (cx + (nearest[0] - cx) * r / away, cy + (nearest[1] - cy) * r / away)
        ends = {"x1": edge[0], "y1": edge[1], "x2": nearest[0], "y2": nearest[1]}
        parts.append(tag("line", {"class": "leader", **ends}))
    return tag("g", {"class": "mark", "data-key": entry.key}, *parts)


def _mark(kind: str, entry: Entry, tip: str) -> dict[str, object]:
    return {
        "class": f"mark {kind}",
        "tabindex": 0,
        "data-key": entry.key,
        "data-tip": tip,
        "aria-label": tip,
        "role": "img",
    }


def place_labels(
    discs: Sequence[tuple[float, float, float]], texts: Sequence[str], bounds: Box
) -> list[Box]:
    """A box for each text beside its disc, chosen in turn where it covers least, then nearest."""
    placed: list[Box] = []
    dots = [(cx - 4, cy - 4, cx + 4, cy + 4) for cx, cy, _ in discs]
    solid = [(cx - r * 0.9, cy - r * 0.9, cx + r * 0.9, cy + r * 0.9) for cx, cy, r in discs]

    def cost(box: Box, distance: float) -> float:
        hidden = sum(_overlap(box, other) for other in placed)
        hidden += 2 * sum(_overlap(box, dot) for dot in dots)
        outside = (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, bounds)
        return 10 * hidden + 50 * outside + sum(_overlap(box, s) for s in solid) + distance

    for (cx, cy, r), text in zip(discs, texts, strict=True):
        width = len(text) * LETTER
        candidates: list[tuple[float, int, Box]] = []
        for distance in (4, 12, 24, 40, 60, 84, 110):
            for turn in range(16):
                dx, dy = math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)
                middle = cx + dx * (r + distance + width / 2), cy + dy * (r + distance + LINE / 2)
                box = (
                    middle[0] - width / 2,
                    middle[1] - LINE / 2,
                    middle[0] + width / 2,
                    middle[1] + LINE / 2,
                )
                candidates.append((cost(box, distance), len(candidates), box))
        placed.append(min(candidates)[2])
    return placed


def _overlap(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def curve_chart(
    entries: Sequence[Entry],
    at: Callable[[Result, EpochRecord], float],
    title: str,
    show: Callable[[float], str],
    *,
    log: bool = False,
) -> Markup:
    """Test accuracy against what ``at`` says of each epoch, mean over seeds; named at its end."""
    texts = [shortened(entry.name) for entry in entries]
    height = max(480.0, LINE * len(entries) + 100)
    right = WIDTH - LEADER - 4 - LETTER * max(map(len, texts))
    lines = [_curve(entry.runs, at) for entry in entries]
    values = [value for line in lines for value, _ in line]
    low, high = min(values), max(values)
    if log:
        x = Axis(low / 1.3, high * 1.3, 64, right, log=True)
    else:
        x = Axis(low if low < high else low - 1, high, 64, right)
    y = accuracy_axis([share for line in lines for _, share in line], height - 56, 28)
    ends = spread_out([y(line[-1][1] * 100) for line in lines], LINE, y.end, y.start)
    marks = []
    for entry, line, text, end in zip(entries, lines, texts, ends, strict=True):
        points = [(x(value), y(share * 100)) for value, share in line]
        leader = [points[-1], (right + LEADER, end)]
        reached = percent(entry.row.top1, entry.row.top1_deviation)
        tip = f"{entry.name}\n{reached} % top-1"
        marks.append(
            tag(
                "g",
                _mark("curve", entry, tip),
                tag(
                    "polyline",
                    {"class": "leader", "points": _points(leader), "stroke": entry.colour},
                ),
                tag("polyline", {"class": "target", "points": _points(points)}),
                tag("polyline", {"points": _points(points), "stroke": entry.colour}),
                *(
                    tag("circle", {"cx": a, "cy": b, "r": 2.6, "fill": entry.colour})
                    for a, b in points
                ),
                tag("text", {"x": right + LEADER + 4, "y": end + 4.5}, text),
            )
        )
    return _chart(f"Test accuracy against {title}", height, axes(x, y, title, show), *marks)


def _curve(
    runs: Sequence[Result], at: Callable[[Result, EpochRecord], float]
) -> list[tuple[float, float]]:
    epochs = zip(*([(at(run, e), e.test_top1) for e in run.curve] for run in runs), strict=False)
    return [
        (fmean(place for place, _ in points), fmean(share for _, share in points))
        for points in epochs
    ]


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def spread_out(places: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Move ``places`` as little as squares allow to be ``gap`` apart from ``top`` to ``bottom``."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    # without the gaps the task is isotonic regression: neighbours out of order share their mean
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([places[index] - rank * gap])
        while len(pools) > 1 and fmean(pools[-2]) >= fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    bases = [fmean(pool) for pool in pools for _ in pool]
    highest = bottom - (len(places) - 1) * gap
    moved = [max(top, min(base, highest)) + rank * gap for rank, base in enumerate(bases)]
    return [moved[order.index(index)] for index in range(len(places))]


def axes(x: Axis, y: Axis, title: str, show: Callable[[float], str]) -> Markup:
    """Grid, tick labels and titles of a chart whose y axis is accuracy in percent."""
    parts = []
    digits = max(0, -math.floor(math.log10(min(b - a for a, b in pairwise(y.ticks())))))
    for value in y.ticks():
        ends = {"x1": x.start, "x2": x.end, "y1": y(value), "y2": y(value)}
        parts.append(tag("line", {"class": "grid", **ends}))
        place = {"x": x.start - 8, "y": y(value) + 4.5, "text-anchor": "end"}
        parts.append(tag("text", place, f"{value:.{digits}f}"))
    for value in (value for value in x.ticks() if show(value)):
        ends = {"x1": x(value), "x2": x(value), "y1": y.start, "y2": y.start + 5}
        parts.append(tag("line", {"class": "axis", **ends}))
        place = {"x": x(value), "y": y.start + 21, "text-anchor": "middle"}
        parts.append(tag("text", place, show(value)))
    base = {"x1": x.start, "x2": x.end, "y1": y.start, "y2": y.start}
    parts.append(tag("line", {"class": "axis", **base}))
    place = {"x": (x.start + x.end) / 2, "y": y.start + 44, "text-anchor": "middle"}
    parts.append(tag("text", {"class": "title", **place}, title))
    place = {"x": x.start - 8, "y": y.end - 10, "text-anchor": "end"}
    parts.append(tag("text", {"class": "title", **place}, "top-1 %"))
    return joined(parts)


def shortened(name: str) -> str:
    """A name short enough to stand in a chart."""
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"


def _chart(label: str, height: float, *parts: Markup) -> Markup:
    box = f"0 0 {WIDTH} {height:.0f}"
    return tag("svg", {"viewBox": box, "role": "group", "aria-label": label}, *parts)
