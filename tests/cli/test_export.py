"""``convnets export`` and ``convnets ship`` as a person calls them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from convnets.export import agreement
from tests.cli.conftest import Call, refused


def test_a_file_is_written_and_told(call: Call, run: Path, pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "network.onnx"
    said = call("export", run, "--data", pets, "--out", out)
    assert (said.code, said.err) == (0, "")
    assert [path.name for path in out.parent.iterdir()] == ["network.onnx"]
    for shown in (str(out), "test images of pets, in float32", "of a probability"):
        assert shown in said.words
    program = call("export", run, "--to", "program", "--out", tmp_path / "network.pt2", "--json")
    record = json.loads(program.out)
    assert record["agreement"]["data"] == "digits"
    assert record["agreement"]["images"] == record["agreement"]["same"] == 64
    assert record["files"] == {
        str(tmp_path / "network.pt2"): (tmp_path / "network.pt2").stat().st_size
    }


@pytest.mark.slow
def test_eight_bits_are_gated(call: Call, run: Path, pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "network.onnx"
    said = call(
        "export", run, "--data", pets, "--out", out, "--int8", "--max-drop", "100", "--json"
    )
    assert said.code == 0
    int8 = json.loads(said.out)["int8"]
    assert int8["size"] == out.stat().st_size < int8["float_size"]


def test_eight_bits_need_the_data_that_the_network_knows(
    call: Call, run: Path, tmp_path: Path
) -> None:
    said = call("export", run, "--int8", "--out", tmp_path / "network.onnx")
    refused(said, 3, "digits has 1 channel and the classes 0, 1, 2, 3, 4, ... (10)", "cat, dog")


def test_nothing_is_left_of_an_export_that_disagrees(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "TOLERANCE", -1.0)
    said = call("export", run, "--to", "program", "--out", tmp_path / "network.pt2")
    refused(said, 4, "program: not written: on 64 images of digits its probabilities are within")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--out", "network.pt2"], "a file of --to onnx ends with .onnx"),
        (["--out", "network.onnx", "--to", "openvino"], "a file of --to openvino ends with .xml"),
        (["--out", "network.pt2", "--to", "program", "--int8"], "--int8 goes with --to onnx"),
    ],
)
def test_what_does_not_go_together_is_refused(
    call: Call, run: Path, options: list[str], reason: str
) -> None:
    refused(call("export", run, *options), 2, reason)


def test_a_missing_extra_is_named(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "convnets.export.onnx_file", None)
    monkeypatch.delitem(sys.modules, "convnets.export.openvino_file", raising=False)
    said = call("export", run, "--out", tmp_path / "network.onnx")
    refused(said, 5, "pip install 'convnets[onnx]'")


def test_a_shipment_is_written_once(call: Call, run: Path, pets: Path, tmp_path: Path) -> None:
    asked = ("ship", run, "--data", pets, "--out", tmp_path, "--max-drop", "100")
    said = call(*asked)
    assert said.code == 0
    for shown in ("eager", "folded", "onnxruntime int8", "model-int8.onnx", "of pets"):
        assert shown in said.words
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {
        *("ship.json", "model.onnx", "model-int8.onnx"),
        *("accuracy-size.png", "accuracy-latency.png"),
    }
    before = (tmp_path / "ship.json").read_bytes()
    record = json.loads(call(*asked, "--json").out)
    assert json.loads(before) == record
    assert (tmp_path / "ship.json").read_bytes() == before
    heading, *rows = call(*asked, "--csv").out.splitlines()
    assert heading.startswith("form,size,top1,agreement,latency,batch_latency,files,refused")
    assert len(rows) == len(record["forms"])
