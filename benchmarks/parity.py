"""Write ``results/parity.md``: our logits against torchvision's and timm's, network by network.

    python -m benchmarks.parity

Every value of the peer's network is drawn at random and goes to ours through the family's key map;
two random images go through both, in double precision where the network is not too large for it.
The figure is the largest difference of two logits as a share of the largest logit.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import tests.conftest  # noqa: F401  # what torchvision needs beside a CPU build of torch

# isort: split
import timm
import torch
import torchvision

from convnets.models import VARIANTS
from tests.models.parity import Case, cases, measure

OUT = Path(__file__).parents[1] / "results" / "parity.md"
TOLERANCE = 1e-5


def main() -> None:
    """Measure every case; print progress; write the table."""
    families: dict[tuple[str, str], list[tuple[Case, float]]] = defaultdict(list)
    every = list(cases())
    for number, case in enumerate(every, start=1):
        started = time.perf_counter()
        found = measure(case)
        families[VARIANTS[case.row][0].title, case.library].append((case, found))
        print(f"[{number}/{len(every)}] {case}: {found:.1e}, {time.perf_counter() - started:.1f} s")
    OUT.write_text(table(families))


def table(families: dict[tuple[str, str], list[tuple[Case, float]]]) -> str:
    """The report in Markdown."""
    lines = [
        "# Parity with torchvision and timm",
        "",
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"timm {timm.__version__}; float64 (float32 above 40 million parameters), eval mode, "
        "random weights and images, two images a network. Largest difference of logits as a share "
        f"of the largest logit; equal means at most {TOLERANCE:g}.",
        "",
        "```",
        "python -m benchmarks.parity",
        "```",
        "",
        "| Family | Library | Equal | Largest difference | Networks |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    equal = total = 0
    for (family, library), found in families.items():
        good = sum(difference <= TOLERANCE for _, difference in found)
        equal, total = equal + good, total + len(found)
        worst = max(difference for _, difference in found)
        names = ", ".join(f"`{case.row}`" for case, _ in found)
        lines.append(f"| {family} | {library} | {good}/{len(found)} | {worst:.1e} | {names} |")
    return "\n".join([*lines, f"| **all** | | **{equal}/{total}** | | |", ""])


if __name__ == "__main__":
    main()
