"""The networks that ``convnets compare`` was asked for, profiled and, if asked, timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from convnets.analysis import Profile, profile
from convnets.analysis.measure import Measured, measure
from convnets.catalog import Family, Variant
from convnets.cli.console import say, tracked
from convnets.cli.sources import source
from convnets.errors import UsageError
from convnets.files import atomic_write
from convnets.models import find_variant, matching
from convnets.models.budget import parse_budget, published_figures
from convnets.records import read_results
from convnets.report.anatomy import comparison
from convnets.report.comparison import Point, accuracy_against, layer_bars, picture
from convnets.report.leaderboard import leaderboard
from convnets.report.sheet import Sheet

MOST_BARS = 8  # networks whose layers fit one picture
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Compared:
    """Networks by name: their rows, what they cost, and what they took here."""

    rows: dict[str, tuple[Family, Variant]]
    costs: dict[str, Profile]
    measured: dict[str, Measured]

    def sheet(self) -> Sheet:
        """The table for a person."""
        return comparison(self.rows, self.costs, self.measured)

    def records(self) -> list[dict[str, Any]]:
        """The same, exact."""
        columns = ("params", "macs", "flops", "activation_bytes", "kept_bytes")
        return [
            {
                "name": name,
                "year": family.year,
                "input": self.costs[name].input_shape[-1],
                "top1_error": variant.published and variant.published.top1_error,
                **{column: getattr(self.costs[name], column) for column in columns},
                **({"latency": self.measured[name].latency} if self.measured else {}),
            }
            for name, (family, variant) in self.rows.items()
        ]


def compared(
    names: Sequence[str] | None, budget: str | None, size: int | None, stem: Any, device: str | None
) -> Compared:
    """Profile the networks asked for; with a ``device``, or a limit on latency, time them there.

    A limit on latency is the last to be asked, of the networks within the others.
    """
    if not names and budget is None:
        raise UsageError("name at least one network, or give a --budget")
    limits = parse_budget(budget) if budget else ()
    slow = [limit for limit in limits if limit.field == "latency"]
    others = [limit for limit in limits if limit not in slow]
    rows = {name: find_variant(name) for name in matching(names or ["*"])}
    for name, row in list(rows.items()):
        if not all(limit.allows(published_figures(*row)) for limit in others):
            del rows[name]
    costs: dict[str, Profile] = {}
    measured: dict[str, Measured] = {}
    with tracked("networks") as progress:
        for done, name in enumerate(list(rows), start=1):
            found = source(name, None, size=size, stem=stem)
            with torch.device("meta"):
                costs[name] = profile(found.build(), found.size, in_chans=found.in_chans)
            if slow or device is not None:
                one = measure(
                    found.build,
                    found.size,
                    batch_sizes=(1,),
                    device=device or "cpu",
                    training=False,
                )
                measured[name] = next(one)
                if not all(limit.allows({"latency": measured[name].latency}) for limit in slow):
                    del rows[name], measured[name], costs[name]
            progress(done, len(rows))
    if not rows:
        raise UsageError(f"no network is within the budget {budget}")
    return Compared(rows, costs, measured)


def write_charts(found: Compared, folder: Path, results: Path | None) -> None:
    """Write the charts that the figures at hand allow, each as SVG and PNG, and say where."""
    figures = {}
    if len(found.costs) <= MOST_BARS:
        figures["layers"] = layer_bars(found.costs)
    reached, origin = _accuracies(found, results)
    for name, log, label, cost in (
        (
            "accuracy-macs",
            True,
            "multiply-adds an image",
            {n: c.macs for n, c in found.costs.items()},
        ),
        (
            "accuracy-latency",
            False,
            "milliseconds an image, here",
            {n: 1e3 * m.latency for n, m in found.measured.items()},
        ),
    ):
        points = [
            Point(each, cost[each], reached[each], found.costs[each].params)
            for each in reached
            if each in cost
        ]
        if points:
            accuracy = f"top-1 accuracy in percent, {origin}"
            figures[name] = accuracy_against(points, label, accuracy, log=log)
    for name, figure in figures.items():
        for form in ("svg", "png"):
            atomic_write(folder / f"{name}.{form}", picture(figure, form))
    say(f"charts in {folder}: {', '.join(figures) or 'none: no accuracy is known'}")


def _accuracies(found: Compared, results: Path | None) -> tuple[dict[str, float], str]:
    """Accuracies in percent by name, and where they come from."""
    if results is not None:
        rows = leaderboard(read_results(results))
        best = {row.model: 100 * row.top1 for row in sorted(rows, key=lambda row: row.top1)}
        return {name: best[name] for name in found.rows if name in best}, f"measured, {results}"
    known = {}
    for name, (family, variant) in found.rows.items():
        error = published_figures(family, variant)["error"]
        if error is not None and variant.num_classes == IMAGENET_CLASSES:
            known[name] = 100 - error
    return known, "as published, ImageNet"
