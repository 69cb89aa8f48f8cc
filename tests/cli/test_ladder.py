"""``convnets ladder``: every row of the paper's tables, and networks that can be built."""

from __future__ import annotations

import json

import pytest

from convnets.cli import main
from convnets.models import VARIANTS

# The paper's Tables 10 and 11, from the recipe to the last step: top-1 accuracy in percent.
TABLE_10 = [78.82, 79.36, 79.51, 78.28, 80.50, 80.64, 79.92, 80.35, 80.57, 80.57, 80.47, 80.62]
TABLE_10 += [81.27, 81.41, 81.47, 81.97]
TABLE_11 = [81.14, 81.33, 81.59, 80.54, 81.85, 82.64, 82.04, 82.32, 82.30, 82.27, 82.18, 82.19]
TABLE_11 += [82.71, 83.17, 83.35, 83.60]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["ladder", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize(
    ("option", "start", "accuracies"), [((), 76.13, TABLE_10), (("--base",), 78.20, TABLE_11)]
)
def test_rows_are_the_papers_and_the_zoos(
    capsys: pytest.CaptureFixture[str],
    option: tuple[str, ...],
    start: float,
    accuracies: list[float],
) -> None:
    records = json.loads(said(capsys, *option, "--json"))
    assert [record["step"] for record in records] == list(range(17))
    printed = [float(record["published_top1"].split()[0]) for record in records]
    assert printed == [start, *accuracies]
    assert records[0]["model"] == records[1]["model"]
    for record in records:
        variant = VARIANTS[record["model"]][1]
        assert (record["params"], record["macs"]) == (variant.params, variant.macs)
        assert record["change"]


@pytest.mark.parametrize("option", [(), ("--base",)])
def test_table_shows_every_record(
    capsys: pytest.CaptureFixture[str], option: tuple[str, ...]
) -> None:
    lines = said(capsys, *option).splitlines()
    for record in json.loads(said(capsys, *option, "--json")):
        (line,) = (each for each in lines if each.split()[:1] == [str(record["step"])])
        for cell in (record["model"], record["change"], record["published_top1"]):
            assert cell in line


def test_the_lectures_figures_are_these_rounded(capsys: pytest.CaptureFixture[str]) -> None:
    """Recipe, stage ratio, patches, width, inversion, move, kernel, GELU, acts, norms, LN, last."""
    rounded = [78.8, 79.4, 79.5, 80.5, 80.6, 79.9, 80.6, 80.6, 81.3, 81.4, 81.5, 82.0]
    steps = [1, 2, 3, 5, 6, 7, 9, 12, 13, 14, 15, 16]
    records = json.loads(said(capsys, "--json"))
    printed = [float(records[step]["published_top1"].split()[0]) for step in steps]
    assert [round(each, 1) for each in printed] == rounded
