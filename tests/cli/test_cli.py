"""Every verb, called as a person calls it: what it prints, writes, returns, and refuses."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

import convnets
from convnets.cli import main
from convnets.data import KNOWN
from convnets.errors import Stopped, TrainingFailed, UnknownName
from convnets.models import VARIANTS
from convnets.recipes import RECIPES
from convnets.records import Result, read_result
from convnets.runs import run as runs
from convnets.runs.grid import LINEAGE
from tests.cli.conftest import Call, Said

GOLDEN = Path(__file__).parents[1] / "golden" / "models.txt"
QUICK = ("--epochs", "1", "--set", "batch_size=8")
EXTERNAL = re.compile(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""")


def image(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(level).integers(0, 40, (16, 16), dtype=np.uint8)
    Image.fromarray(noise + np.uint8(level)).save(path)


@pytest.fixture(scope="session")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of ten small grey images each."""
    folder = tmp_path_factory.mktemp("sets") / "pets"
    for number in range(10):
        image(folder / "cat" / f"{number}.png", number)
        image(folder / "dog" / f"{number}.png", 200 + number)
    return folder


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory, pets: Path) -> Path:
    """A folder with one finished run of LeNet-5."""
    folder = tmp_path_factory.mktemp("out")
    assert main(["train", "lenet5", "--data", str(pets), *QUICK, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def run(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder with the hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


# --- what there is ------------------------------------------------------------------------------


def test_help_and_version(call: Call) -> None:
    whole = call("--help")
    assert whole.code == 0
    assert call() == whole
    verbs = ("bench", "train", "evaluate", "predict", "report", "models", "show", "recipes", "data")
    for verb in verbs:
        assert f"\n  {verb} " in whole.out
        help_of_verb = call(verb, "--help")
        assert help_of_verb.code == 0
        assert "--json" in help_of_verb.out
    assert call("--version").out == f"convnets {convnets.__version__}\n"


def test_models_is_the_golden_table(call: Call) -> None:
    said = call("models")
    text = "\n".join(line.rstrip() for line in said.out.splitlines()).strip("\n") + "\n"
    if os.environ.get("CONVNETS_RENEW_GOLDEN") == "1":
        GOLDEN.write_text(text, "utf-8")
    assert (said.code, said.err) == (0, "")
    assert text == GOLDEN.read_text("utf-8")


def test_models_agrees_with_the_catalog(call: Call) -> None:
    text = call("models").out
    records = json.loads(call("models", "--json").out)
    assert [record["name"] for record in records] == list(VARIANTS)
    for record in records:
        family, variant = VARIANTS[record["name"]]
        assert (record["params"], record["macs"]) == (variant.params, variant.macs)
        (line,) = (line for line in text.splitlines() if line.split()[:1] == [record["name"]])
        cells = re.split(r"\s{2,}", line.strip())
        assert cells[1:3] == [family.title, str(family.year)]
        for cell, exact in zip(cells[3:5], (variant.params, variant.macs), strict=True):
            number, _, unit = cell.partition(" ")
            digit = 10.0 ** -len(number.partition(".")[2])
            shown = float(number) * {"k": 1e3, "M": 1e6, "G": 1e9}[unit]
            assert abs(shown - exact) <= digit * shown / float(number), record["name"]
        if variant.published and variant.published.top1_error:
            assert variant.published.top1_error in cells


@pytest.mark.parametrize("pattern", ["resnet", "RESNET*", "*net1?"])
def test_models_takes_a_part_of_a_name_or_a_pattern(call: Call, pattern: str) -> None:
    names = [record["name"] for record in json.loads(call("models", pattern, "--json").out)]
    expected = {
        "resnet": [name for name in VARIANTS if "resnet" in name],
        "RESNET*": [name for name in VARIANTS if name.startswith("resnet")],
        "*net1?": [name for name in VARIANTS if re.fullmatch(r".*net1.", name)],
    }
    assert names == expected[pattern] != []


def test_show_adds_up_to_the_row(call: Call) -> None:
    assert "total 60.0 k 326 k" in call("show", "lenet5").words
    record = json.loads(call("show", "lenet5", "--json").out)
    assert (record["params"], record["macs"]) == (60_000, 325_680)
    small = json.loads(call("show", "resnet18", "--size", 32, "--stem", "small", "--json").out)
    paper = json.loads(call("show", "resnet18", "--size", 32, "--json").out)
    assert small["macs"] > 10 * paper["macs"]
    ten = json.loads(call("show", "resnet18", "--classes", 10, "--json").out)
    assert ten["params"] == VARIANTS["resnet18"][1].params_10


def test_recipes_are_listed_and_shown_with_their_sources(call: Call, tmp_path: Path) -> None:
    listed = call("recipes")
    records = json.loads(call("recipes", "--json").out)
    assert [record["name"] for record in records] == [recipe.name for recipe in RECIPES]
    for recipe in RECIPES:
        assert recipe.name in listed.out
        shown = call("recipes", recipe.name)
        assert "optimizer.lr" in shown.out
        assert all(source in shown.words for source in recipe.sources.values() if len(source) < 20)
        assert json.loads(call("recipes", recipe.name, "--json").out) == recipe.model_dump(
            mode="json"
        )
    own = tmp_path / "own.toml"
    own.write_text(
        'epochs = 3\nbatch_size = 4\noptimizer = {kind = "sgd", lr = 0.5}\n'
        'schedule = {kind = "constant"}\n'
    )
    record = json.loads(call("recipes", own, "--json").out)
    assert (record["name"], record["epochs"], record["optimizer"]["lr"]) == ("own", 3, 0.5)


def test_data_describes_and_checks(call: Call, pets: Path, tmp_path: Path) -> None:
    listed = call("data").words
    assert all(name in listed for name in KNOWN)
    assert [entry["name"] for entry in json.loads(call("data", "--json").out)] == list(KNOWN)
    digits = json.loads(call("data", "digits", "--json").out)
    assert sum(digits["train_counts"]) + sum(digits["test_counts"]) == 1797
    assert "licence CC BY 4.0" in call("data", "digits").words
    sheet = tmp_path / "sheet.png"
    said = call("data", pets, "--sheet", sheet)
    assert said.code == 0
    assert "cat 8 2" in said.words
    assert str(sheet) in said.err
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"


# --- runs ---------------------------------------------------------------------------------------


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


@pytest.fixture(scope="session")
def benched(tmp_path_factory: pytest.TempPathFactory, pets: Path) -> Path:
    """Two networks with two seeds."""
    folder = tmp_path_factory.mktemp("bench")
    names = ["bench", "lenet5", "lenet5_modern", "--data", str(pets), "--seeds", "2"]
    assert main([*names, *QUICK, "--out", str(folder)]) == 0
    return folder


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


# --- what is refused ----------------------------------------------------------------------------


def refused(said: Said, code: int, *words: str) -> None:
    """One line on stderr, nothing on stdout, no traceback."""
    assert said.code == code, said
    assert said.out == ""
    assert said.err.startswith("convnets: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    assert "Traceback" not in said.err
    assert said.err[:-1].isprintable()
    for word in words:
        assert word in said.err


USAGE: list[tuple[list[str], list[str]]] = [
    (["trian"], ["trian"]),
    (["train"], ["'model'", "convnets train --help"]),
    (["train", "resnet_18"], ["unknown model 'resnet_18'", "resnet18"]),
    (["bench", "resnet18", "lenet_5"], ["unknown model 'lenet_5'", "lenet5"]),
    (["bench", "transformer*"], ["unknown model 'transformer*'"]),
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
