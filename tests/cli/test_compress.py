"""``convnets compress`` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convnets.compress import load_compressed
from convnets.training.state import weights_sha256
from tests.cli.conftest import Call
from tests.compress.networks import lenet_file


@pytest.fixture
def run(call: Call, tmp_path: Path) -> Path:
    """The folder of a quickly trained LeNet-5."""
    quick = ("--epochs", 1, "--set", "batch_size=256", "--set", "clip_norm=none")
    said = call("train", "lenet5", "--data", "digits", *quick, "--out", tmp_path / "runs")
    assert said.code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def test_compress_writes_a_file_and_says_what_it_is(call: Call, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "lenet5.cnz"
    asked = ("compress", run, "--data", "digits", "--out", out, "--rounds", 1, "--epochs", 1)
    options = ("--keep", 0.5, "--keep", "*.f6=0.2", "--bits", 4, "--bits", "*.c5=5", "--half")
    said = call(*asked, *options, "--set", "batch_size=256", "--json")
    assert said.code == 0
    assert "sharing: training loss" in said.err
    record = json.loads(said.out)
    kept = {layer["name"].rpartition(".")[2]: layer["kept"] for layer in record["layers"]}
    assert kept == pytest.approx({"c1": 0.5, "c5": 0.5, "f6": 0.2}, abs=0.001)
    widths = {layer["name"].rpartition(".")[2]: layer["weight_bits"] for layer in record["layers"]}
    assert widths["f6"] == 4
    assert widths["c5"] == 5
    assert record["file_bytes"] == out.stat().st_size
    assert record["weights_sha256"] == weights_sha256(load_compressed(out).network)
    again = call(*asked)
    assert again.code == 2
    assert "is there already" in again.err


def test_compress_without_training_shows_a_table(call: Call, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "lenet5.cnz"
    said = call("compress", run, "--out", out, "--epochs", 0, "--keep", 1)
    assert said.code == 0
    assert "features.stage4.c5" in said.out
    assert f"file {out.stat().st_size:,} bytes" in said.words


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--keep", "few"), "neither a number nor PATTERN=NUMBER"),
        (("--keep", "0"), "keep.0.1"),
        (("--bits", "9"), "linear_bits"),
        (("--bits", "f6=2.5"), "bits.0.1"),
        (("--keep", "fc7=0.1"), "unknown layer 'fc7'"),
        (("--recipe", "none"), "unknown recipe"),
    ],
)
def test_compress_says_what_is_wrong(
    call: Call, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    said = call("compress", lenet_file(tmp_path), "--out", tmp_path / "a.cnz", *options)
    assert said.code == 2
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "a.cnz").exists()
