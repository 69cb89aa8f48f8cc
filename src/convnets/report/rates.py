"""A learning rate range test as a table and as a PNG chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from convnets.report.comparison import picture
from convnets.report.format import NOTHING
from convnets.report.tables import pairs

Test = Mapping[str, Any]
"""A range test as JSON has it; see ``runs.range_test.RangeTest``."""


def rate(value: float | None) -> str:
    """A learning rate with two digits: 0.0021049 -> ``0.0021``."""
    return NOTHING if value is None else f"{value:.2g}"


def rate_table(test: Test) -> Table:
    """Where the loss falls fastest and lies lowest, beside the recipe's own rate."""
    rates, smoothed = test["rates"], test["smoothed"]
    lowest = min(smoothed)
    end = test["stopped"] or "at its highest rate"
    advice = f"--set optimizer.lr={rate(test['steepest'])}"
    return pairs(
        [
            ("network", f"{test['model']}, {test['recipe']}"),
            ("rates", f"{rate(rates[0])} to {rate(rates[-1])} in {len(rates)} steps"),
            ("ended", end),
            ("loss", f"{smoothed[0]:.3f} at first, lowest {lowest:.3f} (smoothed)"),
            ("falls fastest at", rate(test["steepest"])),
            ("a tenth of the lowest's", rate(test["tenth"])),
            ("the recipe's own", rate(test["own_rate"])),
            ("try", advice if test["steepest"] else "more steps: the loss never falls here"),
        ]
    )


def rate_chart(test: Test) -> bytes:
    """Loss against rate, each step's and smoothed, and the rates that stand out, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(test["rates"], test["losses"], color="#bbb", lw=1, label="each step")
    axes.plot(test["rates"], test["smoothed"], color="#1f4e9c", lw=2, label="smoothed")
    marks = {
        "falls fastest": (test["steepest"], "-"),
        "a tenth of the lowest's": (test["tenth"], "--"),
        "the recipe's own": (test["own_rate"], ":"),
    }
    for name, (value, style) in marks.items():
        if value is not None:
            axes.axvline(value, color="#444", ls=style, lw=1, label=f"{name}: {rate(value)}")
    axes.set_xscale("log")
    low, high = min(test["smoothed"]), max(test["smoothed"][0], min(test["smoothed"]))
    room = max(high - low, 0.1 * abs(low), 1e-6)
    axes.set_ylim(low - 0.3 * room, high + room)  # beyond, the loss only diverges
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title(f"{test['model']}, {test['recipe']}", fontsize=11)
    axes.legend(fontsize=9)
    return picture(figure, "png")
