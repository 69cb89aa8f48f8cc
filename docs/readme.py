"""Fill the generated parts of README.md and pages of docs from the catalogue and ``results/``.

    python docs/readme.py            rewrite them
    python docs/readme.py --check    fail if they are stale

A part stands between ``<!-- NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convnets.models import FAMILIES, VARIANTS
from convnets.recipes.campaign import LECTURE_CAMPAIGN
from convnets.records import Machine, Result, read_results
from convnets.report.format import count, duration, memory, percent, plural, rate
from convnets.report.leaderboard import labels, leaderboard
from convnets.report.verdict import verdict
from convnets.runs.campaign import results_of

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "measured.md", ROOT / "docs" / "search.md")
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


def recorded(name: str) -> dict[str, Any]:
    """A benchmark's record."""
    record: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text())
    return record


def run_by(record: dict[str, Any]) -> str:
    """The command and the machine of a benchmark's record."""
    machine = on(Machine.model_validate(record["machine"]))
    return f"\n```\n{record['command']}\n```\n\nOn {machine}.\n"


def speed() -> str:
    """Images a second against the usual script."""
    record = recorded("epoch")
    head = ("Network", "Ours in", "Ours, images/s", "Usual script trains", "images/s", "Ratio")
    rows = [
        (
            row["network"],
            row["precision"],
            f"{row['ours']:,.0f}",
            row["usual script"],
            f"{row['usual']:,.0f}",
            f"{row['ratio']:.2f}",
        )
        for row in record["rows"]
    ]
    return markdown(head, rows) + run_by(record)


def profiling() -> str:
    """Seconds to profile a network, ours and the peers'."""
    record = recorded("profile")
    tools = ("convnets", "torchinfo", "fvcore", "ptflops")
    rows = [
        (
            row["network"],
            str(row["size"]),
            *(f"{row[tool]['seconds']:.2f}" for tool in tools),
            f"{row['ratio']:.2f}",
        )
        for row in record["rows"]
    ]
    return markdown(("Network", "at", *(f"{t}, s" for t in tools), "Ratio"), rows) + run_by(record)


def training_steps() -> str:
    """Milliseconds of a training step, ours and torchvision's."""
    record = recorded("step")
    forms = ("ours", "ours compiled", "plain", "channels_last", "compiled")
    head = ("Network", *(f"{form}, ms" for form in forms), "Plain / ours", "Fastest / ours")
    rows = [
        (
            row["network"],
            *(f"{1e3 * row['seconds'][form]:.0f}" for form in forms),
            f"{row['ratio to plain']:.2f}",
            f"{row['ratio to fastest peer']:.2f}",
        )
        for row in record["rows"]
    ]
    return markdown(head, rows) + run_by(record)


def augmenting() -> str:
    """Milliseconds to vary a batch, ours and the peers'."""
    record = recorded("augment")
    tools = ("convnets", "torchvision", "kornia")
    rows = [
        (row["policy"], *(f"{row['milliseconds'][tool]:.2f}" for tool in tools))
        for row in record["rows"]
    ]
    return markdown(("Policy", *(f"{tool}, ms" for tool in tools)), rows) + run_by(record)


def loading() -> str:
    """Images a second from JPEGs, ours and torchvision's."""
    record = recorded("loader")
    tools = list(record["rows"][0]["images a second"])
    rows = [
        (row["work"], *(f"{row['images a second'][tool]:,.0f}" for tool in tools))
        for row in record["rows"]
    ]
    return markdown(("Work", *(f"{tool}, images/s" for tool in tools)), rows) + run_by(record)


def latencies() -> str:
    """Milliseconds of each form of each network."""
    record = recorded("latency")
    head = ("Network", "Form", "1 image, ms", "against timm", "32 images, ms", "against timm")
    rows = []
    for row in record["rows"]:
        one, many = row["batch 1"]["seconds"], row["batch 32"]["seconds"]
        for form in one:
            times = ((one[form], one["timm eager"]), (many[form], many["timm eager"]))
            cells = [(f"{1e3 * mine:.1f}", f"{peer / mine:.2f}") for mine, peer in times]
            rows.append((row["network"], form, *cells[0], *cells[1]))
    return markdown(head, rows) + run_by(record)


def mean(values: Sequence[float]) -> str:
    """The mean over seeds and, where there are several, their deviation."""
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def compressions(name: str) -> str:
    """A network compressed in each way, over seeds."""
    record = recorded(f"compression/{name}")
    head = (
        "Way",
        "Weights kept %",
        "Bytes",
        "Times smaller",
        "Error % before",
        "after",
        "No worse",
    )
    rows = []
    for way, each in record["summaries"].items():
        rows.append(
            (
                way,
                f"{100 * each['kept']:.1f}",
                f"{max(each['file_bytes']):,}",
                f"{min(each['times_smaller']):.1f}",
                mean(each["error_before"]),
                mean(each["error_after"]),
                f"{sum(each['no_worse'])} of {len(each['no_worse'])}",
            )
        )
    return markdown(head, rows) + run_by(record)


def by_recipe(folder: str) -> str:
    """One network under several recipes and changes of them: mean and spread over seeds."""
    found = read_results(ROOT / "results" / folder)
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in found:
        changes = re.findall(r"--set (\S+)", result.command)
        groups.setdefault((result.recipe, *changes), []).append(result)
    rows = []
    for (name, *changes), runs in groups.items():
        rows.append(
            (
                ", ".join([f"`{name}`", *changes]),
                mean([100 * run.top1 for run in runs]),
                f"{statistics.mean(run.curve[-1].train_loss for run in runs):.3f}",
                str(runs[0].epochs),
                str(len(runs)),
            )
        )
    rows.sort(key=lambda row: row[1], reverse=True)
    head = ("Recipe", "Top-1 %", "Training loss", "Epochs", "Seeds")
    return f"{markdown(head, rows)}\n{made_by(found)}"


def ablation() -> str:
    """The baseline's first seed with one thing changed at a time, and mirrored views at test."""
    whole = read_results(ROOT / "results" / "cifar10-jpeg-recipes")
    (base,) = (run for run in whole if run.recipe == "baseline" and run.seed == 0)
    flips = recorded("cifar10-jpeg-ablation/flips")
    changed = read_results(ROOT / "results" / "cifar10-jpeg-ablation")
    found = {", ".join(re.findall(r"--set (\S+)", run.command)): run.top1 for run in changed}
    found["the mean of an image and its mirror image, at test"] = flips["top1"]
    rows = [("`baseline`", f"{100 * base.top1:.2f}", "")]
    rows += [
        (change, f"{100 * top1:.2f}", f"{100 * (top1 - base.top1):+.2f}")
        for change, top1 in sorted(found.items(), key=lambda entry: -entry[1])
    ]
    commands = made_by(changed).replace("```\n", f"```\n{flips['command']}\n", 1)
    return f"{markdown(('Changed', 'Top-1 %', 'Points'), rows)}\n{commands}"


def searches() -> str:
    """Strategies of a search with equal trials: means and spread over seeds."""
    record = recorded("search")
    columns = ("best", "last_third", "networks", "test_top1", "base_top1")
    head = (
        "Strategy",
        "Seeds",
        "Best validation %",
        "Mean of the last third %",
        "Networks tried",
        "Test %",
        "The base's %",
    )
    rows = []
    for how in dict.fromkeys(row["how"] for row in record["rows"]):
        chosen = [row for row in record["rows"] if row["how"] == how]
        shown = [
            mean([row[column] * (1 if column == "networks" else 100) for row in chosen])
            for column in columns
        ]
        rows.append((how, str(len(chosen)), *shown))
    return markdown(head, rows) + run_by(record)


def campaign() -> str:
    """The lecture's table beside what was measured, for networks of which something was."""
    folder = ROOT / "results" / "campaign"
    found = results_of(LECTURE_CAMPAIGN, folder)
    printed = {(row.group, row.model): row.printed for row in LECTURE_CAMPAIGN.rows}
    models = [m for m in dict.fromkeys(m for _, m in printed) if m in {m for _, m in found}]
    sizes = [size for size in (32, 224) if any(f"-{size}" in group for group, _ in found)]
    head = ["Network"]
    for size in sizes:
        head += [f"Lecture, {size}", "its protocol", "ours"]
    rows = []
    for model in models:
        cells = []
        for size in sizes:
            runs = [found.get((f"{way}-{size}", model), []) for way in ("lecture", "ours")]
            cells += [f"{printed[f'ours-{size}', model]:.1f}", *map(cell, runs)]
        rows.append([model, *cells])
    runs = [run for several in found.values() for run in several]
    return f"{markdown(head, rows)}\n{made_by(runs)}"


def cell(runs: Sequence[Result]) -> str:
    """Accuracy over seeds, and the epochs; a dash where nothing was run."""
    if not runs:
        return "–"
    return f"{mean([100 * run.top1 for run in runs])} ({runs[0].epochs})"


PARTS = {
    "models": models,
    "cifar10": lambda: results("cifar10-jpeg-3-epochs"),
    "campaign": campaign,
    "search": searches,
    "mnist": lambda: results("mnist-lenet5"),
    "recipes": lambda: by_recipe("cifar10-jpeg-recipes"),
    "ablation": ablation,
    "lenet5-compressed": lambda: compressions("lenet5_caffe-mnist"),
    "resnet20-compressed": lambda: compressions("resnet20-cifar10-jpeg"),
    "speed": speed,
    "profile": profiling,
    "steps": training_steps,
    "augmentation": augmenting,
    "loader": loading,
    "latency": latencies,
}


def filled(text: str) -> str:
    """A page's text with every generated part made anew."""
    return PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


if __name__ == "__main__":
    for page in PAGES:
        before = page.read_text()
        after = filled(before)
        if "--check" in sys.argv and before != after:
            sys.exit(f"{page.name} is stale: run python docs/readme.py")
        page.write_text(after)
