"""The complexity chart as a PNG picture, for places that show no HTML."""

from __future__ import annotations

from collections.abc import Sequence

from convnets.report.comparison import Point, accuracy_against, picture
from convnets.report.entries import year_colours
from convnets.report.leaderboard import Row, labels


def complexity_png(rows: Sequence[Row]) -> bytes:
    """Accuracy against MACs, the parameters as area; imports matplotlib when called."""
    colours = year_colours(row.year for row in rows)
    points = [
        Point(name, row.macs, 100 * row.top1, row.params, colours[row.year])
        for row, name in zip(rows, labels(rows), strict=True)
    ]
    figure = accuracy_against(
        points, "multiply-adds an image", "top-1 accuracy in percent", log=True
    )
    return picture(figure, "png")
