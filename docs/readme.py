"""Fill the generated parts of README.md from the catalogue and from ``results/``.

    python docs/readme.py            rewrite them
    python docs/readme.py --check    fail if they are stale

A part stands between ``<!-- NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from convnets.models import FAMILIES, VARIANTS
from convnets.records import Machine, Result, read_results
from convnets.report.format import count, duration, memory, percent, plural, rate
from convnets.report.leaderboard import labels, leaderboard
from convnets.report.verdict import verdict

ROOT = Path(__file__).parents[1]
PART = re.compile(r"(<!-- (\w[\w-]*) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, rule, *rows])


def models() -> str:
    """The families: their paper, how many networks, from how small to how large, and their page."""
    head = ("Family", "Paper", "Networks", "Parameters", "MACs", "at")
    rows = []
    for family in FAMILIES:
        variants = family.variants.values()
        sizes = sorted({variant.input_size for variant in variants})
        rows.append(
            (
                f"[{family.title}](docs/families/{family.name}.md)",
                f"[{family.year}]({family.url})",
                str(len(family.variants)),
                span([variant.params for variant in variants]),
                span([variant.macs for variant in variants]),
                " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1]))),
            )
        )
    rows.append(("**all**", "", f"**{len(VARIANTS)}**", "", "", ""))
    return markdown(head, rows)


def span(values: Sequence[int]) -> str:
    """The smallest and the largest of some counts."""
    return " to ".join(dict.fromkeys((count(min(values)), count(max(values)))))


def made_by(results: Sequence[Result]) -> str:
    """The commands and the machines of some results."""
    commands = "\n".join(dict.fromkeys(result.command for result in results))
    machines = "; ".join(
        dict.fromkeys(on(result.machine, result.engine.device) for result in results)
    )
    return f"```\n{commands}\n```\n\nOn {machines}.\n"


def on(machine: Machine, device: str = "cpu") -> str:
    """A machine in a few words, by the device that did the work."""
    hardware = machine.processor if device == "cpu" else machine.accelerator
    return (
        f"{hardware}, {plural(machine.cores, 'core')}, {memory(machine.memory_bytes)}, "
        f"torch {machine.versions['torch']}"
    )


def results(folder: str) -> str:
    """A leaderboard, what it says, and how it was made."""
    found = read_results(ROOT / "results" / folder)
    rows = leaderboard(found)
    head = ("Network", "Top-1 %", "Parameters", "MACs", "Training", "Images/s", "Seeds", "Epochs")
    table = markdown(
        head,
        [
            (
                name if "stem" in name else f"{name} ({row.stem} stem)",
                percent(row.top1, row.top1_deviation),
                count(row.params),
                count(row.macs),
                duration(row.seconds),
                rate(row.images_per_second),
                str(len(row.seeds)),
                str(row.epochs),
            )
            for name, row in zip(labels(rows), rows, strict=True)
        ],
    )
    says = "".join(f"- {sentence}\n" for sentence in verdict(rows)) if len(rows) > 1 else ""
    return "\n".join(part for part in (table, says, made_by(found)) if part)


def speed() -> str:
    """Images a second against the usual script."""
    record = json.loads((ROOT / "results" / "epoch.json").read_text())
    head = ("Network", "Ours in", "Ours, images/s", "Usual script trains", "images/s", "Ratio")
    table = markdown(
        head,
        [
            (
                row["network"],
                row["precision"],
                f"{row['ours']:,.0f}",
                row["usual script"],
                f"{row['usual']:,.0f}",
                f"{row['ratio']:.2f}",
            )
            for row in record["rows"]
        ],
    )
    machine = on(Machine.model_validate(record["machine"]))
    return f"{table}\n```\n{record['command']}\n```\n\nOn {machine}.\n"


def profiling() -> str:
    """Seconds to profile a network, ours and the peers'."""
    record = json.loads((ROOT / "results" / "profile.json").read_text())
    tools = ("convnets", "torchinfo", "fvcore", "ptflops")
    table = markdown(
        ("Network", "at", *(f"{tool}, s" for tool in tools), "Ratio"),
        [
            (
                row["network"],
                str(row["size"]),
                *(f"{row[tool]['seconds']:.2f}" for tool in tools),
                f"{row['ratio']:.2f}",
            )
            for row in record["rows"]
        ],
    )
    machine = on(Machine.model_validate(record["machine"]))
    return f"{table}\n```\n{record['command']}\n```\n\nOn {machine}.\n"


PARTS = {
    "models": models,
    "cifar10": lambda: results("cifar10-jpeg-3-epochs"),
    "mnist": lambda: results("mnist-lenet5"),
    "speed": speed,
    "profile": profiling,
}


def filled(text: str) -> str:
    """README's text with every generated part made anew."""
    return PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    before = readme.read_text()
    after = filled(before)
    if "--check" in sys.argv and before != after:
        sys.exit("README.md is stale: run python docs/readme.py")
    readme.write_text(after)
