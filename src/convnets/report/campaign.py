"""A campaign's page: every row beside the printed figure, what it took, and what is left."""

from __future__ import annotations

import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convnets.records import Result
from convnets.report.format import NOTHING, count, duration, memory, tick


@dataclass(frozen=True)
class Cell:
    """A row of a campaign: the printed accuracy in percent, what was asked, and what was run."""

    group: str
    model: str
    printed: float
    epochs: int
    runs: tuple[Result, ...]
    left: str = ""

    @property
    def accuracy(self) -> float | None:
        """Mean top-1 in percent over the seeds that are finished."""
        return statistics.mean(100 * run.top1 for run in self.runs) if self.runs else None


COLUMNS = (
    "Network", "Stem", "Printed %", "Measured %", "Difference", "Seeds", "Epochs", "Parameters",
    "MACs", "Training MACs", "Images/s", "FLOP/s", "of the peak", "Peak memory", "Training",
)  # fmt: skip


def campaign_markdown(
    title: str, source: str, cells: Sequence[Cell], peaks: Mapping[str, float]
) -> str:
    """The tables of all groups, one after the other, with machine, versions and commands.

    ``peaks`` are the FLOP/s of a large matrix product where runs were made, by ``place``.
    """
    runs = [run for cell in cells for run in cell.runs]
    parts = [f"# {title}", f"Printed figures: {source}."]
    parts += dict.fromkeys(
        f"Measured on {run.data.name}: {run.data.train_images:,} training and "
        f"{run.data.test_images:,} test images."
        for run in runs
    )
    for group in dict.fromkeys(cell.group for cell in cells):
        chosen = [cell for cell in cells if cell.group == group]
        parts += [f"## {group}", _table(chosen, peaks)]
        if left := [f"- {cell.model}: {cell.left}" for cell in chosen if not cell.runs]:
            parts += ["Not run:", "\n".join(left)]
        if any(cell.runs for cell in chosen):
            page = f"{group}/report.html"
            parts += [
                f"Learning curves, confusion and plans: [{page}]({page}).",
                f"![Accuracy against multiply-adds]({group}/complexity.png)",
            ]
        if any(cell.runs and cell.model == "alexnet_owt" for cell in chosen):
            parts += [f"![Compute to AlexNet's level, by year]({group}/compute.png)"]
    parts += ["## Where and how", "FLOP/s: six for each multiply-add of a training image."]
    for where in dict.fromkeys(map(place, runs)):
        peak = f"; a large matrix product: {tick(peaks[where])} FLOP/s" if where in peaks else ""
        parts += [f"- {where}{peak}"]
    parts += ["```\n" + "\n".join(dict.fromkeys(run.command for run in runs)) + "\n```"]
    return "\n\n".join(parts) + "\n"


def _table(cells: Sequence[Cell], peaks: Mapping[str, float]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- | --- |" + " ---: |" * (len(COLUMNS) - 2)]
    return "\n".join([*lines, *(f"| {' | '.join(_line(cell, peaks))} |" for cell in cells)])


def _line(cell: Cell, peaks: Mapping[str, float]) -> list[str]:
    if not cell.runs:
        return [cell.model, NOTHING, f"{cell.printed:.1f}", *[NOTHING] * (len(COLUMNS) - 3)]
    first, measured = cell.runs[0], [100 * run.top1 for run in cell.runs]
    mean = statistics.mean(measured)
    spread = f" ± {statistics.stdev(measured):.2f}" if len(measured) > 1 else ""
    epochs = f"{first.epochs}" + (f" of {cell.epochs}" if first.epochs < cell.epochs else "")
    speed = statistics.median(run.images_per_second for run in cell.runs)
    # Forward, and twice that backward, two operations a multiply-add.
    operations = 6 * first.macs * speed
    peak = peaks.get(place(first))
    return [
        cell.model,
        first.stem,
        f"{cell.printed:.1f}",
        f"{mean:.2f}{spread}",
        f"{mean - cell.printed:+.2f}",
        f"{len(cell.runs)}",
        epochs,
        count(first.params),
        count(first.macs),
        count(first.training_macs),
        f"{speed:,.0f}",
        count(round(operations)),
        f"{100 * operations / peak:.1f} %" if peak else NOTHING,
        memory(max(run.peak_memory_bytes for run in cell.runs)),
        duration(statistics.median(run.seconds for run in cell.runs)),
    ]


def place(run: Result) -> str:
    """Where and how a run was made: machine, precision, layout, versions."""
    machine, engine = run.machine, run.engine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    where = machine.accelerator or f"{machine.processor}, {machine.cores} cores"
    return f"{where}; {engine.precision}, channels_last {engine.channels_last}, " + (
        f"compiled {engine.compiled}, CUDA graphs {engine.graphs}; {versions}"
    )


def compute_to(accuracy: float, run: Result) -> float | None:
    """Training multiply-adds up to the first epoch at which a run tested at ``accuracy`` or above.

    ``accuracy`` is a share of 1; None where the run never got there.
    """
    for record in run.curve:
        if record.test_top1 >= accuracy:
            return run.training_macs * record.epoch / run.epochs
    return None


def compute_png(results: Mapping[str, Sequence[Result]], level: float, of: str) -> bytes:
    """Compute to a level, by year: after Hernandez and Brown 2020 (arXiv:2005.04305, Fig. 1).

    ``results`` are runs by group; a network that never reaches ``level`` (a share of 1) is not
    drawn. Imports matplotlib when called.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for group, runs in results.items():
        reached = ((run.year, compute_to(level, run), run.model) for run in runs)
        points = [(year, macs, name) for year, macs, name in reached if macs is not None]
        axes.plot(
            [year for year, _, _ in points], [macs for _, macs, _ in points], "o", label=group
        )
        for year, macs, name in points:
            axes.annotate(name, (year, macs), (5, 3), textcoords="offset points", fontsize=7)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda macs, _place: tick(macs))
    axes.margins(0.12)
    axes.set_xlabel("year of the network")
    axes.set_ylabel(f"training multiply-adds to {of}'s {100 * level:.1f} %")
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return file.getvalue()
