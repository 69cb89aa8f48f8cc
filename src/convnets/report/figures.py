"""The complexity chart as a PNG picture, for places that show no HTML."""

from __future__ import annotations

import io
from collections.abc import Sequence

from convnets.report.charts import radius
from convnets.report.entries import year_colours
from convnets.report.format import tick
from convnets.report.leaderboard import Row, front, labels

POINT = 0.7  # of the page's chart, 960 pixels wide, on a figure of 9 inches


def complexity_png(rows: Sequence[Row]) -> bytes:
    """Accuracy against MACs, the parameters as area; imports matplotlib when called."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    colours = year_colours(row.year for row in rows)
    largest = max(row.params for row in rows)
    axes.scatter(
        [row.macs for row in rows],
        [row.top1 * 100 for row in rows],
        s=[(2 * radius(row.params, largest) * POINT) ** 2 for row in rows],
        c=[colours[row.year] for row in rows],
        alpha=0.35,
    )
    axes.plot(
        [row.macs for row in front(rows)], [row.top1 * 100 for row in front(rows)], "--k", lw=1
    )
    for row, name in zip(rows, labels(rows), strict=True):
        axes.annotate(
            name.replace("$", r"\$"),  # which would start a formula
            (row.macs, row.top1 * 100),
            (0, -radius(row.params, largest) * POINT - 3),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="top",
            fontsize=8,
        )
    axes.set_xscale("log")
    for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis(lambda macs, _place: tick(macs))
    axes.margins(0.16)
    axes.set_xlabel("multiply-adds an image")
    axes.set_ylabel("top-1 accuracy in percent")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    return picture.getvalue()
