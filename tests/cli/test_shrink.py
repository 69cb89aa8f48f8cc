"""``convnets shrink`` and ``convnets distil`` as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convnets.training.state import weights_sha256
from convnets.weights import load_model
from tests.cli.conftest import QUICK, Call, refused

TAUGHT = ("distil", "lenet5_modern", "--temperature", 2, *QUICK)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory, pets: Path) -> Path:
    """A network whose outputs are logits, trained for an epoch."""
    from convnets.cli import main

    folder = tmp_path_factory.mktemp("teacher")
    names = ["train", "lenet5_modern", "--data", str(pets), "--out", str(folder)]
    assert main([*names, *QUICK]) == 0
    (run,) = folder.iterdir()
    return run


@pytest.mark.parametrize(
    "options",
    [
        ("--how", "channels", "--layers", "features.*"),
        ("--how", "svd", "--energy", 0.9),
    ],
)
def test_shrink_writes_a_smaller_network_and_tells_each_layer(
    call: Call, teacher: Path, pets: Path, tmp_path: Path, options: tuple[object, ...]
) -> None:
    out = tmp_path / "small.safetensors"
    asked = ("shrink", teacher, "--data", pets, "--out", out, *options)
    said = call(*asked, *QUICK, "--json")
    assert said.code == 0, said.err
    assert "fine-tuning: training loss" in said.err
    record = json.loads(said.out)
    assert record["params_after"] < record["params_before"]
    assert record["macs_after"] < record["macs_before"]
    saved = sum(layer["params_before"] - layer["params_after"] for layer in record["layers"])
    assert saved == record["params_before"] - record["params_after"]
    network = load_model(out).network
    assert record["params_after"] == sum(each.numel() for each in network.parameters())
    assert record["weights_sha256"] == weights_sha256(network)
    tested = json.loads(call("evaluate", out, "--data", pets, "--json").out)
    assert tested["top1"] == record["top1_after"]
    refused(call(*asked), 2, "is there already")
    again = call(*asked[:4], "--out", tmp_path / "again.safetensors", *options)
    assert again.code == 0
    assert "top-1 untuned" in again.out
    assert f"parameters {record['params_after']:,} of" in again.words


def test_distil_writes_a_student(call: Call, teacher: Path, pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "student.safetensors"
    said = call(*TAUGHT, "--teacher", teacher, "--data", pets, "--out", out)
    assert said.code == 0, said.err
    assert "temperature 2, soft share 0.9" in said.words
    assert load_model(out).description.model == "lenet5_modern"
    tested = json.loads(call("evaluate", out, "--data", pets, "--json").out)
    assert f"{100 * tested['top1']:.2f}" in said.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--how", "channels", "--energy", 0.5), "energy is of factors"),
        (("--how", "svd", "--measure", "scales"), "measure is of channels"),
        (("--how", "svd", "--keep", 0), "keep: "),
        (("--how", "svd", "--layers", "fc9"), "unknown layer 'fc9'"),
        (("--how", "channels", "--measure", "scales"), "rank by filters"),
        (("--how", "svd", "--out", "a.cnz"), "a model file is a .safetensors file"),
        (("--how", "svd", "--epochs", 1, "--set", "sampling=balanced"), "--set sampling=none"),
        (("--how", "svd", "--epochs", 1, "--set", "swa_start=0.5"), "--set swa_start=none"),
    ],
)
def test_shrink_says_what_is_wrong(
    call: Call,
    teacher: Path,
    pets: Path,
    tmp_path: Path,
    options: tuple[object, ...],
    says: str,
) -> None:
    out = tmp_path / "small.safetensors"
    refused(call("shrink", teacher, "--data", pets, "--out", out, *options), 2, says)
    assert not out.exists()


def test_distil_says_what_is_wrong(
    call: Call, run: Path, teacher: Path, pets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "student.safetensors"
    asked = ("--data", pets, "--out", out)
    refused(call(*TAUGHT, "--teacher", run, *asked), 2, "no logits")
    refused(call(*TAUGHT, "--teacher", teacher, *asked, "--soft-share", 2), 2, "soft_share")
    refused(call("distil", "lenet6", "--teacher", teacher, *asked, *QUICK), 2, "lenet5")
    assert not out.exists()
