"""Pictures that compare networks: what matplotlib drew, measured by matplotlib."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from convnets.report.comparison import Point, accuracy_against
from convnets.report.leaderboard import leaderboard
from convnets.report.pareto import pareto
from tests.report.synthetic import sixteen


def points() -> list[Point]:
    rows = leaderboard(sixteen(seeds=(0,)))
    return [Point(row.model, row.macs, 100 * row.top1, row.params) for row in rows]


def drawn(*chosen: Point) -> Figure:
    figure = accuracy_against(chosen, "multiply-adds", "accuracy in percent", log=True)
    FigureCanvasAgg(figure).draw()
    return figure


def test_every_name_is_in_the_frame_and_covers_no_other() -> None:
    figure = drawn(*points())
    (axes,) = figure.axes
    boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert sorted(boxes) == sorted(point.name for point in points())
    frame = axes.get_window_extent().padded(1)
    for box in boxes.values():
        assert frame.containsx(box.x0)
        assert frame.containsx(box.x1)
        assert frame.containsy(box.y0)
        assert frame.containsy(box.y1)
    assert not [
        names for names in combinations(boxes, 2) if boxes[names[0]].overlaps(boxes[names[1]])
    ]


def test_areas_are_proportional_to_parameters_and_the_line_joins_the_best() -> None:
    figure = drawn(*points())
    (axes,) = figure.axes
    (discs,) = (each for each in axes.collections if isinstance(each, PathCollection))
    by_cost = {point.cost: point for point in points()}
    shares = {
        area / by_cost[cost].params
        for area, (cost, _) in zip(discs.get_sizes(), discs.get_offsets().tolist(), strict=True)
    }
    assert max(shares) == pytest.approx(min(shares))
    (line,) = axes.lines
    unbeaten = [
        point
        for point in points()
        if not any(
            other.cost <= point.cost and other.accuracy >= point.accuracy and other != point
            for other in points()
        )
    ]
    unbeaten.sort(key=lambda point: point.cost)
    assert line.get_xydata().tolist() == [[point.cost, point.accuracy] for point in unbeaten]


def test_a_single_network_lies_between_round_values_below_a_hundred() -> None:
    figure = drawn(Point("lenet5 $x$", 325_680, 99.2, 60_000))
    (axes,) = figure.axes
    assert axes.get_ylim()[1] <= 100
    low, high = axes.get_xlim()
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert [low <= value <= high for value in axes.get_xticks()] == [True] * len(shown)
    assert len(shown) >= 2
    assert {label.split()[0].rstrip("0") for label in shown} <= {"1", "2", "5"}
    assert axes.texts[0].get_text() == "lenet5 $x$"


def test_of_equals_the_front_has_one() -> None:
    pairs = [(1, 5), (1, 7), (2, 7), (3, 8), (2, 6)]
    found = pareto(pairs, cost=lambda pair: pair[0], worth=lambda pair: pair[1])
    assert found == [(1, 7), (3, 8)]
