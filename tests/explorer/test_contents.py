"""What the explorer finds in folders, and what it says of networks, runs and pictures."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the explorer is an extra: pip install 'convnets[web]'")

from convnets.analysis import profile
from convnets.errors import BadInput, UnknownName, UsageError
from convnets.explorer import networks, painting, runs
from convnets.explorer.listing import ID, Contents, Listing
from convnets.explorer.looking import Question, Viewers
from convnets.files import to_json
from convnets.models import VARIANTS, create_model
from convnets.weights import save_model
from tests.explorer.conftest import photo, png
from tests.report.synthetic import build, sixteen


def test_runs_checkpoints_and_model_files_are_found(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(trained, folder / "runs")
    (first, second) = sorted((folder / "runs").iterdir())
    (second / "result.json").unlink()  # not finished
    save_model(first, folder / "Ünïcode name.safetensors")
    (folder / "notes.txt").write_text("{ not a model")
    (folder / "other.safetensors").write_bytes(b"\0" * 8 + b"{")
    found = Listing([folder, folder / "Ünïcode name.safetensors", tmp_path / "gone"]).contents()
    assert all(ID.fullmatch(each) for each in found.items)
    kinds = {item.name: (bool(item.result), bool(item.weights)) for item in found.items.values()}
    assert kinds == {
        first.name: (True, True),
        second.name: (False, True),
        "Ünïcode name.safetensors": (False, True),
    }
    assert found.problems == ()


def test_a_result_that_cannot_be_read_is_a_problem_and_no_end(tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", to_json(build("vgg11").model_dump(mode="json")))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(text)
    listing = Listing([tmp_path])
    found = listing.contents()
    assert [result.model for result in found.results] == ["vgg11"]
    assert len(found.problems) == 1
    assert "a/result.json" in found.problems[0]
    (tmp_path / "c").mkdir()
    text = to_json(build("vgg16").model_dump(mode="json"))
    (tmp_path / "c" / "result.json").write_text(text)
    assert len(listing.contents().results) == 2


@pytest.mark.parametrize("wanted", ["", "..", "../x", "A", "x\0", "a" * 65, "vgg11", "é"])
def test_what_is_no_id_is_not_found(wanted: str) -> None:
    with pytest.raises(UnknownName):
        Contents({}, ()).find(wanted)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "googlenet", "mobilenet_v2"])
@pytest.mark.parametrize("level", networks.LEVELS)
def test_parts_add_up_to_the_whole(name: str, level: str) -> None:
    size = VARIANTS[name][1].input_size
    found = networks.anatomy(name, None, "paper", level)
    cost = profile(create_model(name), size)
    for column in ("macs", "activation_bytes"):
        assert sum(part[column] for part in found["parts"]) == getattr(cost, column)
        assert found[column] == getattr(cost, column)
    read = sum(part["params"] for part in found["parts"])
    assert read == cost.params - cost.unused_params == found["params"] - cost.unused_params
    assert found["macs"] == VARIANTS[name][1].macs


@pytest.mark.parametrize("layer", ["features.stem", "features.stage1", "features.stage2"])
def test_a_place_answers_to_the_pixels_that_its_field_says(trained: Path, layer: str) -> None:
    """The deconvnet leads an activation back to those pixels and to no others."""
    (run,) = (each for each in trained.iterdir() if each.name.startswith("resnet20"))
    viewer = Viewers().of(run)
    image = png(photo(np.random.default_rng(0), 100))
    field = next(each["field"] for each in viewer.about()["layers"] if each["name"] == layer)
    rows, columns = viewer.layers[layer].output_shape[2:]
    for row, column in ((0, 0), (rows // 2, columns // 3), (rows - 1, columns - 1)):
        asked = Question("projection", layer=layer, unit=0, position=(row, column))
        seen = viewer.look(image, asked, lambda *_: None)["picture"]
        shape = seen["height"], seen["width"], seen["channels"]
        shown = np.frombuffer(base64.b64decode(seen["bytes"]), np.uint8).reshape(shape)
        lit = np.argwhere((np.abs(shown.astype(int) - 128) > 1).any(axis=2))
        reach = [
            np.array((-1, 1)) * (size - 1) / 2 + centre + place * stride
            for size, stride, centre, place in zip(
                field["size"], field["stride"], field["centre"], (row, column), strict=True
            )
        ]
        for axis, (low, high) in enumerate(reach):
            assert ((lit[:, axis] >= low) & (lit[:, axis] <= high)).all()


def test_every_network_is_listed_once() -> None:
    assert [row["name"] for row in networks.networks()] == list(VARIANTS)
    json.dumps(networks.networks(), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "size", "stem", "level"),
    [
        ("nonsense", 32, "paper", "stages"),
        ("resnet18", 0, "paper", "stages"),
        ("resnet18", 5000, "paper", "stages"),
        ("resnet18", 32, "thick", "stages"),
        ("resnet18", 32, "paper", "atoms"),
        ("vgg16", 3, "paper", "stages"),
    ],
)
def test_a_network_that_there_is_not(name: str, size: int, stem: str, level: str) -> None:
    with pytest.raises(UsageError):
        networks.anatomy(name, size, stem, level)


def test_leaderboards_hold_what_the_report_says(tmp_path: Path) -> None:
    for result in sixteen(seeds=(0, 1)):
        folder = tmp_path / result.run
        folder.mkdir()
        (folder / "result.json").write_text(to_json(result.model_dump(mode="json")))
    contents = Listing([tmp_path, tmp_path]).contents()
    (found,) = runs.overview(contents)["comparisons"]
    assert len(found["rows"]) == 16
    best, *others = found["rows"]
    assert best["model"] == "googlenet_bn"
    assert best["front"]
    assert all(row["top1"] <= best["top1"] for row in others)
    assert {len(row["runs"]) for row in found["rows"]} == {2}
    detail = runs.detail(contents.find(best["runs"][0]))
    assert sum(map(sum, detail["confusion"])) == 10_000
    right = sum(detail["confusion"][index][index] for index in range(10))
    assert detail["top1"] == right / 10_000
    json.dumps(detail, allow_nan=False)


@pytest.mark.parametrize("low", [-3.0, 0.0])
def test_a_painted_value_can_be_read_back(low: float) -> None:
    values = np.random.default_rng(0).uniform(low, 3, (2, 5, 7)).astype(np.float32)
    for picture, wanted in zip(painting.grids(values), values, strict=True):
        levels = np.frombuffer(base64.b64decode(picture["bytes"]), np.uint8).reshape(5, 7)
        step = (picture["high"] - picture["low"]) / 255
        read = picture["low"] + levels * step
        assert np.abs(read - wanted.clip(picture["low"], picture["high"])).max() <= step / 2 + 1e-6
        assert picture["signed"] == (low < 0)


def test_colours_are_whole_scales() -> None:
    found = painting.colours()
    assert {kind: len(bytes.fromhex(text)) for kind, text in found.items()} == {
        "signed": 768,
        "magnitude": 768,
    }
    middle = bytes.fromhex(found["signed"])[127 * 3 : 128 * 3]
    assert min(middle) > 240  # white at 0
    assert bytes.fromhex(found["magnitude"])[:3] == bytes((0, 0, 4))  # matplotlib's inferno


def test_networks_are_kept_and_read_anew_when_they_change(trained: Path, tmp_path: Path) -> None:
    (run,) = (each for each in trained.iterdir() if each.name.startswith("lenet5"))
    file = tmp_path / "model.safetensors"
    save_model(run, file)
    viewers = Viewers()
    first = viewers.of(file)
    assert viewers.of(file) is first
    save_model(run, file)
    assert viewers.of(file) is not first
    file.write_bytes(b"damaged")
    with pytest.raises(BadInput):
        viewers.of(file)
    file.unlink()
    with pytest.raises(BadInput):
        viewers.of(file)
