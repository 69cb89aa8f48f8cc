"""``convnets see`` and the drawn explanations, called as a person calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from convnets.cli import main, pictures
from convnets.cli.checking import ORDERS, STEPS
from convnets.cli.seeing import Scan, look, subject
from convnets.data import load_data
from convnets.visualize.attribution import saliency
from convnets.visualize.methods import METHODS
from convnets.visualize.sanity import deletion, randomisation_check
from convnets.weights import load_model
from tests.cli.conftest import Call
from tests.report.test_page import Reader

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve small grey images each, one dark and one bright."""
    folder = tmp_path_factory.mktemp("see") / "shades"
    for number in range(12):
        for name, level in (("dark", 20), ("bright", 200)):
            noise = np.random.default_rng(number).integers(0, 40, (16, 16), dtype=np.uint8)
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise + np.uint8(level)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """A finished run of LeNet-5 on them."""
    out = folder.parent / "runs"
    quick = ("--epochs", "1", "--set", "batch_size=8", "--out", str(out))
    assert main(["train", "lenet5_modern", "--data", str(folder), *quick]) == 0
    (run,) = out.iterdir()
    return run


def checkpoint_of(run: Path) -> Path:
    """The one that a finished run keeps."""
    (path,) = run.glob("step-*.ckpt")
    return path


@pytest.fixture
def image(folder: Path) -> Path:
    return folder / "dark" / "3.png"


OTHERS: dict[str, tuple[object, ...]] = {
    "deconvnet": ("--layer", "stage1", "--unit", 2),
    "maps": ("--layer", "features.stem"),
    "filters": (),
    "maximise": ("--target", "bright"),
    "top": ("--layer", "stage1", "--unit", 0, "--unit", 4),
    "evolution": ("--layer", "stage1", "--unit", 0, "--unit", 4),
    "embedding": (),
    "neighbours": (),
}


@pytest.mark.parametrize("how", OTHERS)
def test_every_method_draws_a_png_and_an_svg_and_says_what_it_found(
    call: Call, trained: Path, image: Path, folder: Path, tmp_path: Path, how: str
) -> None:
    needs_data = how in ("top", "evolution", "embedding", "neighbours")
    data = ("--data", folder) if needs_data else ()
    given = checkpoint_of(trained) if how == "evolution" else image
    for name in ("a.png", "a.svg"):
        out = tmp_path / name
        said = call(
            *("see", trained, given, "--how", how, *OTHERS[how], *data, "--out", out, "--json")
        )
        assert said.code == 0, said.err
        record = json.loads(said.out)
        assert (record["model"], record["how"]) == ("lenet5_modern", how)
        assert str(out) in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"]
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 100
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag == f"{SVG}svg"


def see(call: Call, *arguments: object) -> Any:
    said = call("see", *arguments, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_the_classes_are_those_that_predict_names(call: Call, trained: Path, image: Path) -> None:
    (found,) = see(call, trained, image, "--how", "deconvnet")["images"]
    (expected,) = json.loads(call("predict", trained, image, "--json").out)
    assert found["path"] == expected["path"]
    assert found["target"] == expected["classes"][0]["name"]
    for ours, theirs in zip(found["classes"], expected["classes"], strict=True):
        assert ours["name"] == theirs["name"]
        assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-5)
    for target in ("bright", "0"):
        (asked,) = see(call, trained, image, "--how", "deconvnet", "--target", target)["images"]
        assert asked["target"] == asked["classes"][0]["name"] == "bright"


def test_what_a_layer_answers_is_said(call: Call, trained: Path, image: Path, folder: Path) -> None:
    record = see(call, trained, image, image, "--how", "maps", "--layer", "stem")
    assert record["layer"] == "features.stem"
    assert len(record["units"]) == len(record["strongest"][0]) == 6
    assert record["strongest"][0] == record["strongest"][1]
    top = see(call, trained, "--how", "top", "--data", folder, "--unit", 3, "--limit", 3)
    (strengths,) = top["strengths"]
    assert strengths == sorted(strengths, reverse=True)
    assert set(top["images"][0]) <= {0, 1, 2}
    near = see(call, trained, image, "--how", "neighbours", "--data", folder)["neighbours"][0]
    assert near[0]["distance"] <= near[-1]["distance"]
    assert near[0]["class"] in ("dark", "bright")


def test_filters_have_a_table(call: Call, trained: Path, folder: Path) -> None:
    said = call("see", trained, "--how", "filters")
    assert said.code == 0, said.err
    layers = see(call, trained, "--how", "filters", "--data", folder)["layers"]
    # LeCun et al. 1998, Fig. 2: 6 maps, then 16, of 5x5 windows; with tanh none can be dead.
    assert [each["layer"] for each in layers] == ["features.stem.conv", "features.stage1.conv"]
    assert [each["filters"] for each in layers] == [6, 16]
    assert all((each["kernel"], each["stride"]) == ([5, 5], [1, 1]) for each in layers)
    assert all((each["dead"], each["images"]) == (None, None) for each in layers)
    for each in layers:
        assert sum(each["bands"].values()) == pytest.approx(1)
        assert f"{each['bands']['low']:.1%}" in said.out


def test_dead_filters_are_counted_where_a_relu_follows(
    call: Call, folder: Path, tmp_path: Path
) -> None:
    for path in folder.glob("*/*.png"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        Image.open(path).convert("RGB").save(tmp_path / path.parent.name / path.name)
    asked = ("--how", "filters", "--data", tmp_path, "--limit", 3)
    layers = see(call, "lenet_wide", *asked)["layers"]
    seen = look(subject("lenet_wide", None, None, None), [], None, "cpu")
    (images,) = Scan(seen.loaded, load_data(str(tmp_path)), 3, torch.device("cpu")).inputs()
    stem, stage1 = seen.loaded.network.features
    with torch.no_grad():
        first = stem.conv(images).clamp(min=0)
        second = stage1.conv(stem(images)).clamp(min=0)
    dead = [int((each.amax((0, 2, 3)) == 0).sum()) for each in (first, second)]
    assert [each["dead"] for each in layers] == dead
    assert [each["images"] for each in layers] == [3, 3]
    assert 0 < dead[0] < 96
    assert f"{dead[0]}" in call("see", "lenet_wide", *asked).words


def test_evolution_is_of_checkpoints_of_one_network(
    call: Call, trained: Path, folder: Path, tmp_path: Path
) -> None:
    checkpoint = checkpoint_of(trained)
    asked = ("--how", "evolution", "--data", folder, "--layer", "stage1", "--unit", 3)
    again = tmp_path / "later.ckpt"
    again.write_bytes(checkpoint.read_bytes())
    found = see(call, trained, again, *asked)["checkpoints"]
    assert [each["name"] for each in found] == ["step 3", "later.ckpt"]
    assert found[0]["strengths"] == found[1]["strengths"]
    top = see(call, trained, "--how", "top", *asked[2:])
    assert found[0]["strengths"] == [row[0] for row in top["strengths"]]
    assert found[0]["images"] == [row[0] for row in top["images"]]


def test_a_name_has_random_weights_always_the_same_or_those_of_a_file(
    call: Call, image: Path, trained: Path
) -> None:
    named = ("lenet5_modern", image, "--how", "maps", "--layer", "stem")
    said = call("see", *named, "--json")
    assert "random" in said.err
    assert call("see", *named, "--json").out == said.out
    assert load_model(trained).description.in_chans == 1
    weights = call("see", *named, "--weights", trained, "--json")
    assert weights.code == 0
    assert "random" not in weights.err.replace("starts at random", "")
    assert json.loads(weights.out)["strongest"] != json.loads(said.out)["strongest"]


@pytest.mark.parametrize("how", METHODS)
def test_an_attribution_is_of_the_target_and_draws_its_picture(
    call: Call, trained: Path, image: Path, tmp_path: Path, how: str
) -> None:
    drawn = {}
    for target in ("dark", "bright"):
        out = tmp_path / f"{target}.svg"
        record = see(call, trained, image, "--how", how, "--target", target, "--out", out)
        assert record["images"][0]["target"] == target
        assert record["scores"] == {}
        drawn[target] = out.read_text("utf-8")
    assert ElementTree.fromstring(drawn["dark"]).tag == f"{SVG}svg"
    assert drawn["dark"] != drawn["bright"]


def test_grad_cam_takes_a_layer_and_others_do_not(call: Call, trained: Path, image: Path) -> None:
    chosen = ("--how", "grad-cam", "--layer", "stem")
    record = see(call, trained, image, *chosen)
    assert record["layer"] == "features.stem"
    assert "features.stem" in record["about"]
    refused = call("see", trained, image, "--how", "occlusion", "--layer", "stem", "--json")
    assert (refused.code, "--layer" in refused.err) == (2, True)
    assert call("see", trained, image, *chosen, "--unit", 1, "--json").code == 2


def test_checks_are_those_of_the_library(
    call: Call, trained: Path, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.svg"
    scores = see(call, trained, image, "--how", "saliency", "--check", "--out", out)["scores"]
    assert set(scores) == {"randomisation", "deletion", "insertion"}
    seen = look(load_model(trained), [image], None, "cpu")
    picture = saliency(seen.network, seen.inputs)
    expected = deletion(seen.network, seen.inputs, picture, steps=STEPS, random_orders=ORDERS)
    assert scores["deletion"]["value"] == pytest.approx(expected.area, abs=1e-6)
    assert scores["deletion"]["passed"] == expected.passed
    random = randomisation_check(seen.network, seen.inputs, saliency)
    assert scores["randomisation"]["value"] == pytest.approx(random.correlation, abs=1e-6)


def test_a_gallery_shows_every_method_and_stage(
    call: Call, trained: Path, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    said = call("see", trained, image, "--gallery", "--out", out)
    assert (said.code, said.out) == (0, ""), said.err
    document = out.read_text("utf-8")
    reader = Reader(document)
    assert "://" not in document
    for word in ("3.png", "lenet5_modern", "dark", "bright", "stem: 6 maps of", *METHODS):
        assert word in reader.text
    assert reader.text.count("limit 0.50") == len(METHODS)
    stages = load_model(trained).network.features
    methods = 2 * len(METHODS) - len(pictures.IN_COLOUR)
    assert len(reader.all("img")) == 1 + methods + 4 * len(stages) + 1
    quick = tmp_path / "quick.html"
    assert call("see", trained, image, "--gallery", "--no-check", "--out", quick).code == 0
    assert "limit 0.50" not in quick.read_text("utf-8")
    quick.unlink()
    for arguments in ((trained, image, image), (trained,)):
        refused = call("see", *arguments, "--gallery", "--out", tmp_path / "other.html")
        assert (refused.code, "one image" in refused.err) == (2, True)
    assert call("see", trained, image, "--gallery", "--out", tmp_path / "page.png").code == 2
    assert call("see", trained, image, "--gallery", "--json").code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_every_wrong_use_is_one_line_and_leaves_no_file(
    call: Call, trained: Path, image: Path, folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    out = ("--out", tmp_path / "out.png")
    cases: list[tuple[int, str, tuple[object, ...]]] = [
        (2, "features.stage1", (trained, image, "--how", "maps", "--layer", "features.stage9")),
        (2, "deconvnet", (trained, image, "--how", "deconv")),
        (2, "did you mean", ("lenet5_moder", image, "--how", "maps")),
        (2, "bright", (trained, image, "--how", "maps", "--target", "brigt")),
        (2, "at least one", (trained, "--how", "maps")),
        (2, "--data", (trained, "--how", "top")),
        (2, "two checkpoints", (trained, "--how", "evolution", "--data", folder)),
        (3, "cannot read", (trained, tmp_path / "no", "--how", "evolution", "--data", folder)),
        (2, "one --unit", (trained, image, "--how", "deconvnet", "--unit", 1, "--unit", 2)),
        (2, "no 99", (trained, image, "--how", "maps", "--unit", 99)),
        (2, "brings its own", (trained, image, "--how", "maps", "--size", 32)),
        (2, "out.jpg", (trained, image, "--how", "maps", "--out", tmp_path / "out.jpg")),
        (3, "not an image", (trained, broken, "--how", "maps")),
        (3, "cannot read", (trained, tmp_path / "missing.png", "--how", "maps")),
        (3, "broken.png", (broken, image, "--how", "maps")),
        (2, "24", (trained, folder, folder, "--how", "maps")),
        (5, "cannot write", (trained, image, "--how", "maps", "--out", broken / "a.png")),
    ]
    for code, words, arguments in cases:
        given = arguments if "--out" in arguments else (*arguments, *out)
        said = call("see", *given)
        assert (said.code, said.out) == (code, ""), (arguments, said)
        assert words in said.err
        assert len(said.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["broken.png"]
    assert "--out" in call("see", trained, image, "--how", "maps").err


# --- explain -------------------------------------------------------------------------------------


def test_explain_prints_and_draws_the_lectures_convolution(call: Call, tmp_path: Path) -> None:
    said = call("explain", "convolve", "--svg", tmp_path / "c.svg")
    assert said.code == 0
    rows = [re.findall(r"-?\d+", line)[-3:] for line in said.out.splitlines()[3:6]]
    assert rows == [["12", "12", "17"], ["10", "17", "19"], ["9", "6", "14"]]
    root = ElementTree.parse(tmp_path / "c.svg").getroot()
    assert [text.text for text in root.iter(f"{SVG}text")].count("19") >= 1
    figures = json.loads(call("explain", "convolve", "--json").out)
    assert figures["output"] == [[12, 12, 17], [10, 17, 19], [9, 6, 14]]


def test_explain_takes_grids_of_ones_own(call: Call, tmp_path: Path) -> None:
    grids = ("--input", "1 2/3 4", "--kernel", "1 1/ 1 1", "--stride", 2)
    figures = json.loads(call("explain", "transposed", *grids, "--json").out)
    assert figures["output"] == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    cut = json.loads(call("explain", "transposed", *grids, "--padding", 1, "--json").out)
    assert cut["output"] == [[1, 2], [3, 4]]
    pooled = call("explain", "unpool", "--input", "1 2/3 4", "--above", "7", "--json")
    assert json.loads(pooled.out)["unpooled"] == [[0, 0], [0, 7]]
    refused = call("explain", "unpool", "--input", "1 2/3", "--svg", tmp_path / "u.svg")
    assert (refused.code, refused.out) == (2, "")
    assert not list(tmp_path.iterdir())
    assert call("explain", "convolve", "--input", "1 x").code == 2
