"""Rows against hand figures and the statistics module; text, CSV and JSON against the rows."""

from __future__ import annotations

import csv
import io
import json
import os
import statistics
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from rich.console import Console

from convnets.records import Result
from convnets.report.format import count
from convnets.report.leaderboard import (
    Row,
    as_csv,
    as_json,
    as_text,
    front,
    labels,
    leaderboard,
    render_table,
)
from tests.report.synthetic import NETWORKS, build, sixteen

GOLDEN = Path(__file__).parents[1] / "golden" / "leaderboard.txt"


def few() -> list[Result]:
    """Three networks with round accuracies: 3, 2 and 1 seeds."""
    reached = {"resnet18": (0.70, 0.71, 0.72), "vgg16": (0.80, 0.82), "zfnet": (0.65,)}
    return [
        build(name, seed=seed, top1=top1, top5=top1 + 0.1)
        for name, accuracies in reached.items()
        for seed, top1 in enumerate(accuracies)
    ]


def test_a_row_is_a_plan_without_its_seed() -> None:
    rows = leaderboard(few())
    assert [row.model for row in rows] == ["vgg16", "resnet18", "zfnet"]
    resnet = rows[1]
    assert resnet.top1 == pytest.approx(0.71)
    assert resnet.top1_deviation == pytest.approx(0.01)  # by hand: sqrt((1 + 0 + 1) / 2) points
    assert resnet.top5 == pytest.approx(0.81)
    assert resnet.seeds == (0, 1, 2)
    assert resnet.runs == tuple(f"resnet18-paper-s{seed}-12" for seed in range(3))
    assert rows[2].top1_deviation is None
    assert rows[2].top5_deviation is None


def test_means_and_deviations_agree_with_the_statistics_module() -> None:
    results = sixteen()
    rows = leaderboard(results)
    assert {row.model for row in rows} == set(NETWORKS)
    for row in rows:
        runs = [result for result in results if result.model == row.model]
        assert row.top1 == pytest.approx(statistics.mean(run.top1 for run in runs))
        assert row.top1_deviation == pytest.approx(statistics.stdev(run.top1 for run in runs))
        assert row.seconds == pytest.approx(statistics.mean(run.seconds for run in runs))
        gains = [run.curve[-1].test_top1 - run.curve[-2].test_top1 for run in runs]
        assert row.last_gain == pytest.approx(statistics.mean(gains))
    assert [row.top1 for row in rows] == sorted((row.top1 for row in rows), reverse=True)


def test_another_plan_data_or_engine_is_another_row() -> None:
    first = build("resnet18")
    others = [
        build("resnet18", plan={**first.plan, "recipe": {"name": "baseline"}}),
        build("resnet18", data=first.data.model_copy(update={"fingerprint": "0" * 64})),
        build("resnet18", engine=first.engine.model_copy(update={"device": "cuda"})),
    ]
    assert len(leaderboard([first, *others])) == 4
    assert len(leaderboard([first, first])) == 1  # the same run found twice counts once
    assert leaderboard([first, first])[0].seeds == (0,)
    assert leaderboard([]) == []


def test_labels_say_what_tells_rows_of_one_model_apart() -> None:
    first = build("mobilenet_v1")
    small = build("mobilenet_v1", run="small", stem="small", plan={"stem": "small"}, top1=0.9)
    hidden = build("mobilenet_v1", run="hidden", plan={"lr": 0.2}, top1=0.1)
    rows = leaderboard([first, small, build("resnet18", top1=0.5)])
    assert labels(rows) == ["mobilenet_v1 (small stem)", "mobilenet_v1 (paper stem)", "resnet18"]
    assert labels(leaderboard([first, hidden])) == ["mobilenet_v1 #1", "mobilenet_v1 #2"]


def test_front_is_what_no_other_row_beats() -> None:
    rows = leaderboard(sixteen())
    best = front(rows)
    for row in rows:
        beaten = any(
            other.macs <= row.macs and other.top1 >= row.top1 and other is not row for other in rows
        )
        assert (row in best) is not beaten
    assert [row.macs for row in best] == sorted(row.macs for row in best)


def test_csv_reads_back() -> None:
    rows = leaderboard(few())
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [field.name for field in fields(Row)] == list(read[0])
    for row, line in zip(rows, read, strict=True):
        assert float(line["top1"]) == row.top1
        assert int(line["params"]) == row.params
        assert tuple(map(int, line["seeds"].split())) == row.seeds
        assert tuple(line["runs"].split()) == row.runs
    assert read[2]["top1_deviation"] == ""


def test_json_is_strict_and_complete() -> None:
    rows = leaderboard(few())

    def refuse(name: str) -> None:
        raise AssertionError(name)

    read = json.loads(as_json(rows), parse_constant=refuse)
    expected = [asdict(row) for row in rows]
    assert read == [
        {key: list(value) if isinstance(value, tuple) else value for key, value in row.items()}
        for row in expected
    ]


def test_text_table_is_the_golden_one() -> None:
    text = render_table(leaderboard(few()))
    if os.environ.get("CONVNETS_RENEW_GOLDEN") == "1":
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")


def test_text_table_agrees_with_its_inputs() -> None:
    results = sixteen()
    lines = render_table(leaderboard(results)).splitlines()
    for name, (_, stem, params, macs, _, speed) in NETWORKS.items():
        [line] = [line for line in lines if line.split()[:1] == [name]]
        runs = [result for result in results if result.model == name]
        mean = statistics.mean(run.top1 for run in runs)
        spread = statistics.stdev(run.top1 for run in runs)
        parts = [stem, f"{mean:.2%}".rstrip("%"), f"± {spread:.2%}".rstrip("%")]
        parts += [count(params), count(macs), f"{speed:,.0f}"]
        places = [line.index(part) for part in parts]
        assert places == sorted(places)
    settings = {"cifar10", "lecture", "12 epochs", "3 seeds", "32 px", "float32"}
    assert all(any(setting in line for line in lines[-3:]) for setting in settings)


def test_hostile_names_stay_on_their_line_and_out_of_markup() -> None:
    text = render_table(leaderboard([build("zfnet", model="[red]x\n\x1b[31m")]))
    assert r"[red]x\n\x1b[31m" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [80, 100, 140])
def test_text_table_fits_the_terminal_and_keeps_names_whole(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(as_text(leaderboard(sixteen())))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert all(len(line) <= width for line in lines)
    assert all(any(name in line.split() for line in lines) for name in NETWORKS)
    assert any("memo" in line for line in lines)
