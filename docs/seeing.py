"""Fill the generated parts of docs/seeing.md, and draw its pictures.

    python docs/seeing.py                  rewrite the parts
    python docs/seeing.py --check          fail if they are stale
    python docs/seeing.py --draw FOLDER    draw the pictures of the runs in FOLDER/runs

A part stands between ``<!-- NAME -->`` and ``<!-- end -->``. What is said of a picture stands here
beside the command that draws it. A picture whose file is large is reduced to 256 colours.
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
LARGEST = 150_000
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
    top(
        *("digits-stem", DIGITS, "mnist", "stem", "0 1 2 3 4 5"),
        "The first layer on digits answers to directions of strokes, whatever the digit: unit 3 to "
        "upright ones, unit 4 to those that rise to the right. What is led back is the unit's "
        "filter, the same nine times.",
    ),
    top(
        *("digits-stage1", DIGITS, "mnist", "stage1", "3 4 5 6 7 8"),
        "The second layer answers to parts of digits: unit 3 to the lower half of 3s and 5s alone, "
        "unit 6 to two uprights and a bar, in seven 4s, a 6 and an 8. Red follows the stroke; blue "
        "is where there must be none, for unit 5 below it.",
    ),
    Shown(
        "digits-evolution",
        f"{DIGITS}-steps --how evolution --data mnist --layer stage1 --unit 3 --unit 4 --unit 6",
        "The same layer in the course of training, as in Figure 4 of the paper. Up to step 540 the "
        "strongest patch nearly always comes from another image than at the checkpoint before; "
        "from there to the end, at step 938, none of the three changes.",
    ),
    top(
        *("zfnet-stem", ZFNET, "cifar10", "stem", "0 1 2 3 6 7"),
        "ZFNet's first layer after two epochs. A unit's patches have something in common: unit 2's "
        "are mostly blue, unit 6's have a dark edge that rises to the right, unit 7's a dark bar. "
        "The projections still look like the noise that training began with.",
    ),
    top(
        *("zfnet-stage1", ZFNET, "cifar10", "stage1", "5 10 12"),
        "Its second layer: unit 5 answers to animals before plain black or white, unit 12 to blue "
        "around a thing, mostly an airplane. The projections show where, hardly what.",
    ),
    top(
        *("zfnet-stage2", ZFNET, "cifar10", "stage2", "1 5 8"),
        "Its third layer: nine frogs, nine horses, eight trucks and an automobile. The units know "
        "the classes; the projections are noise to the eye, as the layers below them are.",
    ),
    top(
        *("resnet20-stem", RESNET, "cifar10", "stem", "0 1 2 3 4 5"),
        "The first layer of ResNet-20 sees 3x3 pixels: unit 2 answers to light left of dark, unit "
        "4 to a dark row between lighter ones. White beside a patch lies outside the image.",
    ),
    top(
        *("resnet20-stage1", RESNET, "cifar10", "stage1", "0 1 2 3 4 5"),
        "After its first stage a unit could see 15x15 pixels, and what is led back to most of them "
        "is faint: its middle is what counts. The nine projections of a unit are nearly the same.",
    ),
    top(
        *("resnet20-stage2", RESNET, "cifar10", "stage2", "0 1 2 3 4 5"),
        "After the second stage the patches nearly fill the image, and the projections a few "
        "pixels of it. Unit 1 answers to animals alone, deer and horses in eight of nine images.",
    ),
    top(
        *("resnet20-stage3", RESNET, "cifar10", "stage3", "0 1 2 3 4 5"),
        "After the last stage units are close to classes: unit 4 has eight horses and a dog, unit "
        "5 nine trucks. The grid in the projections is that of the strided convolutions.",
    ),
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
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        kept = PAGE.with_suffix("") / file.name
        picture.save(kept, optimize=True)
        if kept.stat().st_size > LARGEST:
            picture.quantize(256, dither=Image.Dither.NONE).save(kept, optimize=True)


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
