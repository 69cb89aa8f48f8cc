"""``show``, ``explain``, ``compare`` and ``models``: what a network costs, as a person asks."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image

from convnets.models import VARIANTS
from tests.cli.conftest import Call

SVG = "{http://www.w3.org/2000/svg}"


def test_explain_prints_the_lectures_examples(call: Call) -> None:
    conv = call("explain", "conv", "--input", "28x28x192", "--out", 32, "--kernel", 5)
    assert (conv.code, conv.err) == (0, "")
    assert "120,422,400" in conv.out
    through = call(
        "explain", "bottleneck", "--input", "28x28x192", "--out", 32, "--kernel", 5, "--between", 16
    )
    assert "12,443,648" in through.out
    alexnet = call(
        *("explain", "conv", "--input", "227x227x3", "--out", 96, "--kernel", 11),
        *("--stride", 4, "--padding", 0, "--json"),
    )
    figures = json.loads(alexnet.out)
    assert (figures["params"], figures["height"]) == (34_944, 55)
    separable = ("explain", "depthwise", "--input", "8x8x3", "--out", 256, "--kernel", 5, "--json")
    assert json.loads(call(*separable).out)["macs"] == 53_952
    assert "49" in call("explain", "stacked", "--channels", 1).out
    local = ("--values", "1,1", "--k", 0, "--alpha", 1, "--beta", 1, "--n", 2)
    assert json.loads(call("explain", "lrn", *local, "--json").out)["value"] == 0.5
    normal = json.loads(call("explain", "bn", "--values", "1,3", "--eps", 0, "--json").out)
    assert (normal["y0"], normal["y1"]) == (-1, 1)
    pool = call("explain", "pooling", "--input", "55x55x96", "--kernel", 3, "--stride", 2, "--json")
    assert json.loads(pool.out)["height"] == 27


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("conv", "--input", "28x28", "--out", 1, "--kernel", 1), "28x28x192"),
        (("conv", "--input", "4x4x1", "--out", 1, "--kernel", 9, "--padding", 0), "does not fit"),
        (("lrn", "--values", "a,b"), "commas"),
        (("fold",), "fold"),
        (("conv", "--input", "4x4x1"), "--out"),
    ],
)
def test_explain_refuses_what_makes_no_sense(
    call: Call, arguments: tuple[object, ...], words: str
) -> None:
    said = call("explain", *arguments)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_show_as_csv_markdown_and_folded(call: Call) -> None:
    rows = list(csv.DictReader(io.StringIO(call("show", "resnet18", "--csv").out)))
    assert sum(int(row["params"]) for row in rows) == VARIANTS["resnet18"][1].params
    assert sum(int(row["macs"]) for row in rows) == VARIANTS["resnet18"][1].macs
    lines = call("show", "resnet18", "--markdown", "--depth", 2).out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count(" | ") for line in table}) == 1
    names = [line.split("|")[1].replace("&nbsp;", "").strip() for line in table]
    assert "stage1" in names
    assert "block1" not in names
    stage = next(line for line in table if line.split("|")[1].strip().endswith("stage1"))
    assert "148 k" in stage, "four 3x3 convolutions of 64 x 64 and their norms: 147,968"
    assert any(line.startswith("| sum of features.stage4") for line in table)


def test_show_takes_a_network_of_ones_own(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_network.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 30 * 30, 5))\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    own = ("show", "--from", "own_network:build", "--size", 32, "--json")
    record = json.loads(call(*own).out)
    assert record["params"] == (3 * 9 + 1) * 8 + (8 * 900 + 1) * 5
    for arguments, words in (
        (("--from", "own_network:missing"), "missing"),
        (("--from", "own_network:number"), "torch.nn.Module"),
        (("--from", "own_network"), "package.module:callable"),
        (("--from", "no_such_module:build"), "no_such_module"),
        ((), "--from"),
        (("resnet18", "--from", "own_network:build"), "not both"),
    ):
        said = call("show", *arguments)
        assert (said.code, said.out) == (2, "")
        assert words in said.err


@pytest.mark.parametrize(
    ("name", "columns", "folded"),
    [
        ("lenet5_modern", ("input", "stem", "stage1"), ()),
        ("resnet50", ("input", "stem", "stage1", "stage4", "head"), ("Bottleneck × 5",)),
    ],
)
def test_show_draws_a_diagram(
    call: Call, tmp_path: Path, name: str, columns: tuple[str, ...], folded: tuple[str, ...]
) -> None:
    path = tmp_path / "net.svg"
    assert call("show", name, "--diagram", path).code == 0
    root = ElementTree.fromstring(path.read_text("utf-8"))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    for word in (*columns, *folded):
        assert word in texts, word
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    for element in root.iter(f"{SVG}rect"):
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        assert x + float(element.attrib["width"]) <= width
        assert y + float(element.attrib["height"]) <= height


def test_show_measures_here(call: Call) -> None:
    said = call("show", "lenet5_modern", "--measure", "--batch-sizes", "1,4", "--json")
    rows = json.loads(said.out)["measured"]
    assert [row["batch_size"] for row in rows] == [1, 4]
    for row in rows:
        assert row["fastest"] <= row["latency"] <= row["slowest"]
        assert row["images_per_second"] == pytest.approx(row["batch_size"] / row["latency"])
        assert 0 < row["utilisation"] < 1
    assert "whole numbers" in call("show", "lenet5", "--measure", "--batch-sizes", "0").err


def test_compare_puts_networks_side_by_side(call: Call, tmp_path: Path) -> None:
    names = ("resnet18", "resnet50", "mobilenet_v2")
    records = json.loads(call("compare", *names, "--json").out)
    assert [record["name"] for record in records] == list(names)
    for record in records:
        variant = VARIANTS[record["name"]][1]
        assert (record["params"], record["macs"]) == (variant.params, variant.macs)
    assert "| resnet50 |" in call("compare", *names, "--markdown").out
    charts = tmp_path / "charts"
    said = call("compare", *names, "--charts", charts)
    assert said.code == 0
    assert sorted(path.name for path in charts.iterdir()) == [
        "accuracy-macs.png",
        "accuracy-macs.svg",
        "layers.png",
        "layers.svg",
    ]
    with Image.open(charts / "layers.png") as picture:
        assert min(picture.size) > 600


def test_compare_finds_what_is_within_a_budget(call: Call) -> None:
    records = json.loads(call("compare", "--budget", "macs<120M,params<3M", "--json").out)
    expected = [
        name for name, (_, row) in VARIANTS.items() if row.macs < 120e6 and row.params < 3e6
    ]
    assert [record["name"] for record in records] == expected
    quick = call("compare", "lenet5", "lenet5_modern", "--budget", "latency<100", "--json")
    assert all(0 < record["latency"] < 100 for record in json.loads(quick.out))
    for budget, words in (
        ("macs<1", "no network"),
        ("size<3", "size<3"),
        ("params<5X", "params<5X"),
        ("latency<0.0001us", "latency<0.0001us"),
    ):
        said = call("compare", "--budget", budget)
        assert (said.code, said.out) == (2, "")
        assert words in said.err
    assert call("compare").code == 2


def test_models_are_filtered_by_family_year_and_cost(call: Call) -> None:
    def names(*arguments: object) -> list[str]:
        return [row["name"] for row in json.loads(call("models", *arguments, "--json").out)]

    assert names("--family", "mobilenet_v2") == [
        name for name, (family, _) in VARIANTS.items() if family.name == "mobilenet_v2"
    ]
    assert names("--budget", "year=2015,params<12M") == [
        name
        for name, (family, row) in VARIANTS.items()
        if family.year == 2015 and row.params < 12e6
    ]
    assert "resnet50" in names("resnet", "--weights")
    assert call("models", "--family", "resnets").code == 2
    assert call("models", "--budget", "params<1").code == 2
