"""What there is: help, networks, recipes and data sets, listed and described."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image

import convnets
from convnets.data import KNOWN
from convnets.models import VARIANTS
from convnets.recipes import RECIPES
from tests.cli.conftest import Call

GOLDEN = Path(__file__).parents[1] / "golden" / "models.txt"


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
