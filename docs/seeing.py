"""Fill the generated parts of docs/seeing.md, and draw its pictures.

    python docs/seeing.py                  rewrite the parts
    python docs/seeing.py --check          fail if they are stale
    python docs/seeing.py --draw FOLDER    draw the pictures of the runs in FOLDER/runs

A part stands between ``<!-- NAME -->`` and ``<!-- end -->``. What is said of a picture stands here
beside the command that draws it. A drawn picture is reduced to 256 colours.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from convnets.records import Machine
from convnets.report.format import memory, plural

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "seeing.md"
RESULTS = ROOT / "results" / "seeing"
PART = re.compile(r"(<!-- (\w[\w-]*) -->\n).*?(<!-- end -->)", re.DOTALL)
CHECKS = ("deletion", "insertion", "randomisation")
DIGITS = "runs/lenet_wide-mnist-baseline-e2-s0-c22c5737"
ZFNET = "runs/zfnet-small-cifar10-jpeg-baseline-e2-s0-d7418df7"
RESNET = "runs/resnet20-cifar10-jpeg-baseline-e6-s0-036d89fa"


@dataclass(frozen=True)
class Shown:
    """A picture's file, the arguments of ``convnets see`` that draw it, and what it shows."""

    name: str
    arguments: str
    shows: str


def top(name: str, run: str, data: str, layer: str, units: str, shows: str) -> Shown:
    """The patches that excite some units most, and their projections."""
    chosen = " ".join(f"--unit {unit}" for unit in units.split())
    return Shown(name, f"{run} --how top --data {data} --layer {layer} {chosen}", shows)


PICTURES = (
    top("digits-stem", DIGITS, "mnist", "stem", "0 1 2 3 4 5", "TODO"),
    top("digits-stage1", DIGITS, "mnist", "stage1", "3 4 5 6 7 8", "TODO"),
    Shown(
        "digits-evolution",
        f"{DIGITS}-steps --how evolution --data mnist --layer stage1 --unit 3 --unit 4 --unit 6",
        "TODO",
    ),
    top("zfnet-stem", ZFNET, "cifar10", "stem", "0 1 2 3 6 7", "TODO"),
    top("zfnet-stage1", ZFNET, "cifar10", "stage1", "5 7 10 12", "TODO"),
    top("zfnet-stage2", ZFNET, "cifar10", "stage2", "1 5 6 8", "TODO"),
    top("resnet20-stem", RESNET, "cifar10", "stem", "0 1 2 3 4 5", "TODO"),
    top("resnet20-stage1", RESNET, "cifar10", "stage1", "0 1 2 3 4 5", "TODO"),
    top("resnet20-stage2", RESNET, "cifar10", "stage2", "0 1 2 3 4 5", "TODO"),
    top("resnet20-stage3", RESNET, "cifar10", "stage3", "0 1 2 3 4 5", "TODO"),
)


def pictures() -> str:
    """Each picture with what it shows and its command."""
    parts = [
        f"{each.shows}\n\n![{each.name}](seeing/{each.name}.png)\n\n"
        f"```\nconvnets see {each.arguments} --out {each.name}.png\n```\n"
        for each in PICTURES
    ]
    return "\n".join(parts)


def draw(folder: Path) -> None:
    """Draw every picture, with the runs as they are named in the commands."""
    from convnets.cli import main

    drawn = Path(tempfile.mkdtemp())
    os.chdir(folder)
    for each in PICTURES:
        file = drawn / f"{each.name}.png"
        if main(["see", *shlex.split(each.arguments), "--out", str(file)]):
            sys.exit(f"{each.name} was not drawn")
        with Image.open(file) as picture:
            small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small.save(PAGE.with_suffix("") / file.name, optimize=True)


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in [head, rule, *rows])


def read(name: str) -> Any:
    """A record in ``results/seeing``."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def made_by(record: Mapping[str, Any]) -> str:
    """The command and the machine of a record."""
    machine = Machine.model_validate(record["machine"])
    return (
        f"```\n{record['command']}\n```\n\nOn {machine.processor}, "
        f"{plural(machine.cores, 'core')}, {memory(machine.memory_bytes)}, "
        f"torch {machine.versions['torch']}.\n"
    )


def methods(network: str) -> str:
    """The checks of every method: mean and deviation over seeds, and how many seeds passed."""
    record = read(f"methods-{network}")

    def cell(runs: Sequence[Mapping[str, Any]]) -> str:
        values = [run["value"] for run in runs]
        passed = sum(run["passed"] for run in runs)
        spread = f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
        return f"{spread}, {passed} of {len(runs)}"

    rows: list[list[str]] = [
        [name, *(cell([run[kind] for run in runs]) for kind in CHECKS)]
        for name, runs in record["methods"].items()
    ]
    any_method = next(iter(record["methods"].values()))
    random = (
        statistics.mean(area for run in any_method for area in run[kind]["random"])
        for kind in CHECKS[:2]
    )
    rows.append(["random order", *(f"{area:.2f}" for area in random), f"limit {record['limit']}"])
    return f"{markdown(('Method', *CHECKS), rows)}\n{made_by(record)}"


def filters() -> str:
    """Where in frequency the energy of first and second filters lies, and how many are dead."""
    head = ("Network", "Filters", "Kernel", "Stride", "Low", "Middle", "High", "Aliased", "Dead")
    rows = []
    for name in ("lenet_wide", "zfnet", "resnet20"):
        for layer in read(f"filters-{name}")["layers"]:
            sides = ("×".join(map(str, layer[side])) for side in ("kernel", "stride"))
            shares = (*layer["bands"].values(), layer["aliased"])
            place = layer["layer"].removeprefix("features.")
            shown = (f"{share:.1%}" for share in shares)
            rows.append((f"{name} {place}", layer["filters"], *sides, *shown, layer["dead"]))
    return markdown(head, rows)


def timing() -> str:
    """Milliseconds an image, ours and captum's."""
    record = read("timing")
    rows = [
        (
            f"{row['network']}, {row['method']}",
            *(f"{1e3 * row['seconds'][each]:.1f}" for each in ("convnets", "captum")),
            f"{row['ratio']:.2f}",
        )
        for row in record["rows"]
    ]
    head = ("", "Ours, ms", "captum, ms", "Ratio")
    return f"{markdown(head, rows)}\n{made_by(record)}"


PARTS = {
    "pictures": pictures,
    "methods-resnet20": lambda: methods("resnet20"),
    "methods-zfnet": lambda: methods("zfnet"),
    "methods-lenet_wide": lambda: methods("lenet_wide"),
    "filters": filters,
    "timing": timing,
}


def filled(text: str) -> str:
    """The page's text with every generated part made anew."""
    return PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


if __name__ == "__main__":
    if "--draw" in sys.argv:
        draw(Path(sys.argv[-1]))
    before = PAGE.read_text("utf-8")
    after = filled(before)
    if "--check" in sys.argv and before != after:
        sys.exit("docs/seeing.md is stale: run python docs/seeing.py")
    PAGE.write_text(after, "utf-8")
