"""Training, evaluating, predicting, comparing: what is printed, written and returned."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from convnets.errors import TrainingFailed
from convnets.records import Result, read_result
from convnets.runs.grid import LINEAGE
from tests.cli.conftest import QUICK, Call, image, tree

EXTERNAL = re.compile(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""")


def test_train_says_what_it_reached_and_does_nothing_twice(
    call: Call, pets: Path, out: Path, run: Path
) -> None:
    before = tree(out)
    arguments = ("train", "lenet5", "--data", pets, *QUICK, "--out", out)
    said = call(*arguments)
    result = read_result(run / "result.json")
    assert said.code == 0
    assert "finished before" in said.err
    assert f"top-1 {100 * result.top1:.2f} %" in said.words
    assert f"weights SHA-256 {result.weights_sha256}" in said.words
    assert str(run) in said.out.replace("\n", "")
    printed = call(*arguments, "--json", "--resume")
    assert Result.model_validate_json(printed.out) == result
    assert tree(out) == before
    assert sorted(path.name for path in run.iterdir() if path.suffix != ".ckpt") == [
        ".lock",
        "metrics.jsonl",
        "plan.json",
        "result.json",
    ]


def test_options_reach_the_plan(call: Call, pets: Path, tmp_path: Path) -> None:
    said = call(
        *("train", "lenet5_modern", "--data", pets, "--recipe", "lecture", "--epochs", 1),
        *("--seed", 7, "--stem", "small", "--size", 40, "--set", "optimizer.lr=0.02"),
        *("--set", "augmentation.padding=1", "--set", "schedule.kind=cosine"),
        *("--checkpoint-every", 1, "--no-weights", "--out", tmp_path, "--json"),
    )
    result = json.loads(said.out)
    assert (result["seed"], result["epochs"], result["stem"], result["input_size"]) == (
        *(7, 1, "small"),
        40,
    )
    recipe = result["plan"]["recipe"]
    assert recipe["optimizer"]["lr"] == 0.02
    assert recipe["schedule"] == {"kind": "cosine", "warmup": 0.0, "final": 0.0}
    assert recipe["augmentation"]["padding"] == 1
    assert not list(tmp_path.glob("*/*.ckpt"))


def test_evaluate_gives_the_runs_own_figures(call: Call, pets: Path, run: Path) -> None:
    result = read_result(run / "result.json")
    record = json.loads(call("evaluate", run, "--data", pets, "--json").out)
    assert (record["top1"], record["loss"]) == (result.top1, result.test_loss)
    assert record["confusion"] == [list(row) for row in result.confusion]
    (checkpoint,) = run.glob("*.ckpt")
    said = call("evaluate", checkpoint, "--data", pets)
    assert f"all 4 {100 * result.top1:.2f}" in said.words


def test_predict_prints_a_table_json_or_csv(call: Call, pets: Path, run: Path) -> None:
    said = call("predict", run, pets / "cat" / "3.png", pets / "dog", "--top", 2)
    assert said.code == 0
    assert str(pets / "cat" / "3.png") in said.out.replace("\n", "")
    records = json.loads(call("predict", run, pets, "--json").out)
    assert [record["path"] for record in records] == [str(p) for p in sorted(pets.rglob("*.png"))]
    for record in records:
        assert sorted(guess["name"] for guess in record["classes"]) == ["cat", "dog"]
        assert sum(guess["probability"] for guess in record["classes"]) == pytest.approx(1)


def test_predict_writes_csv_and_names_every_bad_file(
    call: Call, pets: Path, run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    image(folder / "good, quoted.png", 100)
    (folder / "bad\n.png").write_bytes(b"")
    (folder / "worse.png").write_bytes(b"text")
    target = tmp_path / "out.csv"
    said = call("predict", run, folder, tmp_path / "missing.png", "--csv", target, "--top", 1)
    assert said.code == 3
    assert said.out == ""
    errors = [line for line in said.err.splitlines() if line.startswith("convnets: ")]
    assert [re.search(r"(bad\\n|worse|missing)\.png: ", line) is not None for line in errors] == [
        True,
        True,
        True,
    ]
    rows = list(csv.reader(io.StringIO(target.read_text())))
    assert rows[0] == ["path", "class_1", "probability_1"]
    ((path, name, probability),) = rows[1:]
    assert path == str(folder / "good, quoted.png")
    assert name in ("cat", "dog")
    assert 0.5 <= float(probability) <= 1


def test_bench_compares_and_reads_finished_runs(call: Call, pets: Path, benched: Path) -> None:
    arguments = ("bench", "lenet*[5n]", "--data", pets, "--seeds", 2, *QUICK, "--out", benched)
    said = call(*arguments)
    assert said.code == 0
    assert said.err.count("finished before") == 4
    assert "lenet5_modern" in said.out
    rows = json.loads(call(*arguments, "--json").out)
    assert rows == json.loads((benched / "leaderboard.json").read_text())
    found = {row["model"]: row for row in (rows["rows"] if isinstance(rows, dict) else rows)}
    results = [read_result(path) for path in benched.glob("*/result.json")]
    assert len(results) == 4
    for name in ("lenet5", "lenet5_modern"):
        accuracies = [result.top1 for result in results if result.model == name]
        assert found[name]["top1"] == pytest.approx(np.mean(accuracies))
    lines = list(csv.reader(io.StringIO((benched / "leaderboard.csv").read_text())))
    assert len(lines) == 3
    assert not EXTERNAL.search((benched / "report.html").read_text())


def test_report_is_made_from_finished_runs(call: Call, benched: Path, tmp_path: Path) -> None:
    said = call("report", benched, "--out", tmp_path, "--title", "A <title>")
    assert said.code == 0
    assert sorted(os.listdir(tmp_path)) == [
        "complexity.png",
        "leaderboard.csv",
        "leaderboard.json",
        "report.html",
    ]
    page = (tmp_path / "report.html").read_text()
    assert "A &lt;title&gt;" in page
    assert "<title>A <title>" not in page
    json.loads(call("report", benched, "--out", tmp_path, "--json").out)


def test_a_bench_without_names_takes_one_network_a_family(
    call: Call, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def failing(model: str, *_: object, **__: object) -> Result:
        tried.append(model)
        raise TrainingFailed(f"{model} is not tried here")

    monkeypatch.setattr("convnets.runs.grid.train", failing)
    said = call("bench", "--data", pets, "--out", tmp_path)
    assert said.code == 4
    assert tried == list(LINEAGE)
    assert said.err.count("convnets: ") == len(LINEAGE)
    assert os.listdir(tmp_path) == []
