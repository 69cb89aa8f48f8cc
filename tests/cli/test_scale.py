"""``convnets scale`` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Call, refused, tree

TINY = "resnet20@blocks=1,width=4"
GRID = (TINY, "--grid", "--step", 0.2, "--images", 80, "--epochs", 1, "--set", "batch_size=32")


def test_table_and_json_hold_the_same_networks(call: Call) -> None:
    asked = ("scale", "efficientnet_b0", "--phi", "0,1,0.5")
    said, records = call(*asked), json.loads(call(*asked, "--json").out)
    assert (said.code, said.err) == (0, "")
    assert [record["phi"] for record in records] == [0, 1, 0.5]
    assert records[1]["model"] == "efficientnet_b0@width=1.1,depth=1.2"
    assert records[1]["params"] == 9_109_994, "these are B2's width and depth"
    for record in records:
        assert f"{record['times']:.2f}" in said.words
        assert record["model"] in said.words


def test_one_dimension_beside_all_three(call: Call) -> None:
    lists = ("--depth", "4,1,1,1.4", "--width", "1,2,1,1.2", "--resolution", "1,1,2,1.3")
    records = json.loads(call("scale", "mobilenet_v2", *lists, "--json").out)
    assert [record["phi"] for record in records] == [0, None, None, None, None]
    # Table 3 of the paper.
    assert [round(record["macs"] / 1e9, 1) for record in records[:4]] == [0.3, 1.2, 1.1, 1.2]
    (_, deeper) = json.loads(call("scale", "mobilenet_v2", "--depth", 4, "--json").out)
    assert deeper == records[1]


def test_largest_network_within_a_budget(call: Call) -> None:
    base, found = json.loads(call("scale", "mobilenet_v2", "--macs", "600M", "--json").out)
    assert base["phi"] == 0
    assert 0.85 * 600e6 < found["macs"] <= 600e6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("resnet50", "--alpha", 1.5), "is 2.4 with 1.5, 1.1, 1.15"),
        (("resnet50", "--phi", "-1"), "phi is -1"),
        (("resnet50", "--phi", "one"), "'one' is not numbers with commas"),
        (("resnet50", "--depth", "1,2", "--width", "1,2,3"), "--depth has 2 numbers"),
        (("resnet50", "--macs", "1G"), "itself takes 4,089,184,256"),
        (("resnet50", "--macs", "much"), "'much' is no number of"),
        (("resnet51",), "did you mean"),
        (("lenet5",), "vgg, resnet, resnet_cifar"),
        ((*GRID, "--phi", 2), "give neither them nor sizes"),
        ((*GRID, "--validation", 1), "a share is between 0 and 1"),
        ((*GRID, "--most", 1), "give a larger --size or --most"),
    ],
)
def test_a_mistake_is_one_line(
    call: Call, tmp_path: Path, arguments: tuple[object, ...], says: str
) -> None:
    refused(call("scale", *arguments, "--out", tmp_path), 2, says)
    assert not tree(tmp_path)


def test_grid_writes_its_page_and_chart(call: Call, tmp_path: Path) -> None:
    said = call("scale", *GRID, "--out", tmp_path, "--seeds", 1)
    assert said.code == 0
    assert "Chosen: alpha" in said.out
    page = (tmp_path / "scaling.md").read_text("utf-8")
    assert "the test split was not looked at" in page
    assert "| base |" in page
    with Image.open(tmp_path / "scaling.png") as picture:
        assert picture.format == "PNG"
    record = json.loads(call("scale", *GRID, "--out", tmp_path, "--json").out)
    alpha, beta, gamma = (f"{record['chosen'][name]:g}" for name in ("alpha", "beta", "gamma"))
    assert f"Chosen: alpha {alpha}, beta {beta}, gamma {gamma}," in page
    assert page == (tmp_path / "scaling.md").read_text("utf-8")
