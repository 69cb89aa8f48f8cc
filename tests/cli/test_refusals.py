"""What every verb refuses: one line, one exit code, nothing written."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from convnets.errors import Stopped, TrainingFailed, UnknownName
from convnets.records import Result
from convnets.runs import run as runs
from tests.cli.conftest import QUICK, Call, image, refused, tree

USAGE: list[tuple[list[str], list[str]]] = [
    (["trian"], ["trian"]),
    (["train"], ["'model'", "convnets train --help"]),
    (["train", "resnet_18"], ["unknown model 'resnet_18'", "resnet18"]),
    (["bench", "resnet18", "lenet_5"], ["unknown model 'lenet_5'", "lenet5"]),
    (["bench", "transformer*"], ["unknown model 'transformer*'"]),
    (["train", "resnet18@wdth=8"], ["unknown field of resnet18 'wdth'", "width"]),
    (["show", "resnet18@width=wide"], ["width=wide", "whole number"]),
    (["train", "lenet5", "--cuda-graphs", "--device", "cpu"], ["--cuda-graphs", "CUDA device"]),
    (["bench", "--campaign", "lectures"], ["unknown campaign 'lectures'", "lecture"]),
    (["bench", "--campaign", "lecture", "--group", "our-32"], ["unknown group", "ours-32"]),
    (["bench", "--campaign", "lecture", "--stem", "small"], ["--stem does not go with --campaign"]),
    (["bench", "--group", "ours-32"], ["--group needs --campaign"]),
    (["show", "vgg_16"], ["unknown model 'vgg_16'", "vgg16"]),
    (["show", "alexnet_owt", "--size", "32"], ["features.stage2.pool", "63x63"]),
    (["models", "vits"], ["unknown model 'vits'"]),
    (["train", "lenet5", "--recipe", "base"], ["unknown recipe 'base'", "baseline"]),
    (["recipes", "lectures"], ["unknown recipe 'lectures'", "lecture"]),
    (["train", "lenet5", "--data", "digit"], ["unknown data set or path 'digit'", "digits"]),
    (["data", "cifar"], ["unknown data set or path 'cifar'", "cifar10"]),
    (
        ["train", "lenet5", "--set", "optimizer.lrr=1"],
        ["unknown recipe field 'optimizer.lrr'", "optimizer.lr"],
    ),
    (["train", "lenet5", "--set", "epoch=1"], ["unknown recipe field 'epoch'", "epochs"]),
    (["train", "lenet5", "--set", "optimizer.lr=fast"], ["optimizer", "lr", "'fast'"]),
    (["train", "lenet5", "--set", "optimizer.lr=-1"], ["optimizer", "lr", "-1"]),
    (["train", "lenet5", "--set", "optimizer=5"], ["optimizer", "5"]),
    (["train", "lenet5", "--set", "optimizer.betas=[1.0, 0.9]"], ["betas"]),
    (["train", "lenet5", "--set", "optimizer.lr"], ["FIELD=VALUE"]),
    (["train", "lenet5", "--set", "schedule.kind=linear"], ["schedule", "'linear'"]),
    (["train", "lenet5", "--epochs", "0"], ["--epochs"]),
    (["train", "lenet5", "--epochs", "many"], ["--epochs", "integer"]),
    (["train", "lenet5", "--stem", "big"], ["--stem"]),
    (["train", "lenet5", "--seed", "-1"], ["--seed"]),
    (["train", "lenet5", "--seed", str(2**31)], ["seed"]),
    (["train", "lenet5", "--device", "meta"], ["unknown device 'meta'", "'cpu'"]),
    (["train", "lenet5", "--device", "abacus"], ["unknown device 'abacus'"]),
    (["train", "lenet5", "--precision", "half"], ["--precision"]),
    (["train", "lenet5", "--size", "40"], ["does not take images of 40x40"]),
    (["bench", "lenet5", "alexnet_owt", "--stem", "paper"], ["alexnet_owt", "32x32", "pool"]),
    (["bench", "--seeds", "0"], ["--seeds"]),
    (["train", "lenet5", "--nothing"], ["--nothing"]),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=lambda value: " ".join(value)[:50])
def test_wrong_use_is_one_line_and_writes_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    words: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    refused(call(*arguments), 2, *words)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = ", ["own.toml", "not valid TOML"]),
        ("epochs = 1\nepochs = 2", ["own.toml", "not valid TOML"]),
        ("[" * 10_000, ["own.toml", "not valid TOML"]),
        ("epochs = 1", ["own.toml", "batch_size", "optimizer", "schedule"]),
        ("epochs = nan", ["own.toml", "epochs"]),
        ("learning_rate = 1", ["own.toml", "learning_rate"]),
        ("[optimizer]\nkind = 'sgd'\nlr = 1\nbatas = 2", ["own.toml", "batas"]),
    ],
)
def test_a_wrong_recipe_file_is_one_line(
    call: Call, tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "own.toml").write_text(text)
    before = tree(tmp_path)
    said = call("train", "lenet5", "--recipe", tmp_path / "own.toml", "--out", tmp_path / "out")
    refused(said, 2, *words)
    assert tree(tmp_path) == before


def test_bad_input_names_every_file_and_writes_nothing(
    call: Call, tmp_path: Path, pets: Path, run: Path
) -> None:
    folder = tmp_path / "pets"
    for number in range(6):
        image(folder / "cat" / f"{number}.png", number)
        image(folder / "dog" / f"{number}.png", 100 + number)
    bad = ["cat/6.png", "dog/0 odd\n.jpg", "dog/7.png"]
    for name, content in zip(bad, (b"", b"<html>", b"\x89PNG\r\n\x1a\n"), strict=True):
        (folder / name).write_bytes(content)
    before = tree(tmp_path)
    shown = ["6.png: ", r"0 odd\n.jpg: ", "7.png: ", "3 unreadable images"]
    out = tmp_path / "out"
    for verb in (("train", "lenet5", "--data"), ("bench", "lenet5", "--data")):
        refused(call(*verb, folder, *QUICK, "--out", out), 3, *shown)
    refused(call("data", folder), 3, *shown)
    refused(call("evaluate", run, "--data", folder), 3, *shown)
    assert tree(tmp_path) == before
    said = call("train", "lenet5", "--data", folder, *QUICK, "--out", out, "--skip-bad", "--json")
    assert said.code == 0
    skipped = [name.partition(": ")[0] for name in json.loads(said.out)["skipped_files"]]
    assert skipped == [str(folder / name).replace("\n", r"\n") for name in bad]


def test_data_that_is_no_data_set_is_refused(call: Call, tmp_path: Path, run: Path) -> None:
    empty, single, loose = (tmp_path / name for name in ("empty", "single", "loose"))
    empty.mkdir()
    for number in range(3):
        image(single / "cat" / f"{number}.png", number)
        image(loose / "cat" / f"{number}.png", number)
        image(loose / "dog" / f"{number}.png", number + 100)
    image(loose / "stray.png", 0)
    (single / "listing.csv").write_text("path,label\n")
    before = tree(tmp_path)
    for path in (empty, single, loose, single / "listing.csv"):
        refused(call("train", "lenet5", "--data", path, "--out", tmp_path / "out"), 3, str(path))
    assert tree(tmp_path) == before
    refused(call("evaluate", run, "--data", "digits"), 3, "classes")


def test_a_file_that_is_no_model_or_result_is_refused(
    call: Call, tmp_path: Path, pets: Path, run: Path
) -> None:
    (checkpoint,) = run.glob("*.ckpt")
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(checkpoint.read_bytes()[:-1])
    broken = tmp_path / "broken" / "run"
    broken.mkdir(parents=True)
    record = json.loads((run / "result.json").read_text())
    (broken / "result.json").write_text(json.dumps({**record, "top1": "high"}))
    before = tree(tmp_path)
    for path in (cut, tmp_path / "missing.ckpt", tmp_path, pets / "cat" / "0.png"):
        refused(call("evaluate", path, "--data", pets), 3, str(path))
        refused(call("predict", path, pets), 3, str(path))
    refused(call("report", broken), 3, "result.json", "top1")
    refused(call("report", tmp_path / "nowhere"), 3, "no result.json")
    assert tree(tmp_path) == before


def test_training_that_diverges_says_where(call: Call, pets: Path, tmp_path: Path) -> None:
    fast = ("--set", "optimizer.lr=1e30", "--set", "batch_size=2")
    said = call("train", "lenet5", "--data", pets, "--epochs", 1, *fast, "--out", tmp_path)
    refused(said, 4, "step ", "learning rate", "samples")
    assert not list(tmp_path.glob("*/result.json"))
    assert not list(tmp_path.glob("*/.tmp*"))


def test_a_bench_goes_on_after_a_failure_and_returns_its_code(
    call: Call, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = runs.train

    def failing(model: str, *arguments: object, **options: object) -> Result:
        if model == "lenet5":
            raise TrainingFailed("step 3: it fails here")
        return train(model, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("convnets.runs.grid.train", failing)
    said = call("bench", "lenet5", "lenet5_modern", "--data", pets, *QUICK, "--out", tmp_path)
    assert said.code == 4
    assert "lenet5_modern" in said.out
    assert re.search(r"convnets: lenet5-pets-\S+: step 3: it fails here\n", said.err)
    assert (tmp_path / "report.html").exists()


def test_a_run_in_other_hands_is_refused(call: Call, pets: Path, tmp_path: Path) -> None:
    arguments = ("train", "lenet5", "--data", pets, *QUICK, "--out", tmp_path)
    assert call(*arguments).code == 0
    (held,) = tmp_path.iterdir()
    (held / "result.json").unlink()
    with open(held / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = tree(tmp_path)
        refused(call(*arguments), 5, f"process {os.getpid()}", str(held))
        assert tree(tmp_path) == before
    assert call(*arguments).code == 0


def test_a_place_that_cannot_be_written_is_named(
    call: Call, pets: Path, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    before = tree(tmp_path)
    below = tmp_path / "file" / "below"
    refused(call("train", "lenet5", "--data", pets, *QUICK, "--out", below), 5, str(below))
    said = call("predict", run, pets, "--csv", below)
    assert said.code == 5
    assert str(below) in said.err
    assert call("data", pets, "--sheet", below).code == 5
    assert tree(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(call: Call, pets: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    said = call("train", "lenet5", "--data", pets, *QUICK, "--out", tmp_path / "out")
    refused(said, 5, "Permission denied")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (Stopped("stopped by SIGINT after step 3", exit_code=130), 130, "after step 3"),
        (Stopped("stopped by SIGTERM after step 3", exit_code=143), 143, "after step 3"),
    ],
)
def test_a_stopped_run_is_one_line_and_its_code(
    call: Call, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    error: BaseException, code: int, says: str,
) -> None:  # fmt: skip
    def stopped(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr(runs, "train", stopped)
    refused(call("train", "lenet5", "--data", pets, "--out", tmp_path), code, says)


def test_debug_shows_the_traceback(call: Call) -> None:
    with pytest.raises(UnknownName):
        call("train", "resnet_18", "--debug")
    with pytest.raises(Exception, match="nothing"):
        call("--debug", "train", "lenet5", "--nothing")


def test_a_reader_that_leaves_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "convnets", "recipes", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stream:
        assert stream.read() == b""
    assert process.wait(60) == 0
