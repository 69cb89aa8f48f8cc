"""``lr-find`` says what to try and writes what was asked for alone; transfer has its shorthand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from PIL import Image

from convnets.cli.options import chosen_recipe
from tests.cli.conftest import Call, tree

SWEEP = ("lr-find", "lenet5_modern", "--steps", 20)


def test_lr_find_says_what_to_try_and_draws_it(call: Call, tmp_path: Path) -> None:
    chart = tmp_path / "curve.png"
    said = call(*SWEEP, "--chart", chart)
    assert said.code == 0
    assert "falls fastest at" in said.out
    assert list(tree(tmp_path)) == ["curve.png"]
    with Image.open(chart) as picture:
        assert picture.format == "PNG"
        assert picture.size == (1200, 675)


def test_its_json_and_csv_hold_the_same_curve(call: Call) -> None:
    ends = ("--lowest", "1e-5", "--highest", 1)
    record = json.loads(call(*SWEEP, "--json", *ends).out)
    rows = list(csv.DictReader(io.StringIO(call(*SWEEP, "--csv", *ends).out)))
    assert [float(row["loss"]) for row in rows] == record["losses"]
    assert record["rates"][0] == 1e-5
    assert record["recipe"] == "baseline"


def test_a_wrong_range_is_one_line(call: Call) -> None:
    said = call(*SWEEP, "--lowest", 1, "--highest", 0.1)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "the first must be the lower one" in said.err


def test_weights_and_freeze_are_shorthand(call: Call, tmp_path: Path) -> None:
    frozen = ["features.stage1*", "head.fc1"]
    recipe = chosen_recipe("baseline", 3, None, None, None, weights="1", freeze=frozen)
    assert (recipe.epochs, recipe.weights, recipe.freeze) == (3, "1", tuple(frozen))
    for given, says in (
        (("--weights", "no.pth"), "no.pth"),
        (("--freeze", "features", "--freeze", "head"), "leaves nothing to train"),
        (("--freeze", "features.stage9"), "did you mean features.stage1"),
    ):
        said = call("train", "lenet5_modern", "--out", tmp_path, *given)
        assert said.code == 2
        assert says in said.err
    assert not tree(tmp_path)
