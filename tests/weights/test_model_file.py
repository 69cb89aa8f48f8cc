"""A trained network comes back bit for bit; a file that is not quite one is refused, unrun."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from convnets.errors import BadModelFile
from convnets.models import FAMILIES
from convnets.training.checkpoints import HEADER, load_checkpoint, save_checkpoint
from convnets.training.state import weights_sha256
from convnets.weights import load_model
from tests.training.pocket import signed
from tests.weights.conftest import Trained


def test_a_folder_and_its_checkpoint_give_the_network_that_was_tested(trained: Trained) -> None:
    for path in (trained.run, trained.checkpoint, str(trained.run)):
        loaded = load_model(path)
        assert weights_sha256(loaded.network) == trained.result.weights_sha256
        assert not loaded.network.training
        assert all(not tensor.is_meta for tensor in loaded.network.state_dict().values())
        assert loaded.description.model == "lenet5"
        assert loaded.description.classes == trained.result.data.classes
        assert loaded.notes == ()
        assert loaded.path == Path(path)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_no_network_keeps_anything_outside_its_state(family: Any) -> None:
    with torch.device("meta"):
        network = family.network(family.pocket, in_chans=3, num_classes=10)
    held = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    assert held == set(network.state_dict())


def test_the_average_counts_where_there_is_one(trained: Trained) -> None:
    tensors, _ = load_checkpoint(trained.checkpoint)
    name = "head.f6.weight"
    loaded = load_model(trained.run).network.state_dict()[name]
    assert torch.equal(loaded, tensors[f"average.{name}"])
    assert not torch.equal(loaded, tensors[f"model.{name}"])


def test_a_damaged_newest_checkpoint_is_told_of(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    (run / "step-00000099.ckpt").write_bytes(b"cut off")
    loaded = load_model(run)
    assert weights_sha256(loaded.network) == trained.result.weights_sha256
    (note,) = loaded.notes
    assert "step-00000099.ckpt" in note


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match="no checkpoint"):
        load_model(tmp_path)
    with pytest.raises(BadModelFile, match="No such file"):
        load_model(tmp_path / "missing.ckpt")


def altered(
    trained: Trained, path: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], object]
) -> Path:
    """A copy of the checkpoint, changed, with a checksum that is right."""
    tensors, state = load_checkpoint(trained.checkpoint)
    change(tensors, state["model"])
    save_checkpoint(path, tensors, state)
    return path


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("model", "lenet6", "unknown model 'lenet6'; did you mean lenet5"),
        ("model", "os.system", "unknown model"),
        ("model", None, "model"),
        ("stem", "auto", "stem"),
        ("classes", ["one", "two"], "codes"),
        ("classes", [], "classes"),
        ("classes", ["x" * 201], "classes"),
        ("in_chans", 3, "mean and deviation are of another number than 3"),
        ("in_chans", 2**63, "in_chans"),
        ("input_size", 0, "input_size"),
        ("mean", [0.5, 0.5], "mean"),
        ("deviation", [0.0], "deviation"),
        ("deviation", [-1.0], "deviation"),
        ("run", "code", "run"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    trained: Trained, tmp_path: Path, field: str, value: object, says: str
) -> None:
    path = altered(trained, tmp_path / "a.ckpt", lambda _, model: model.update({field: value}))
    with pytest.raises(BadModelFile, match=says) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


NAME = "average.head.f6.weight"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.zeros(84, 121), r"head\.f6\.weight is \(84, 121\)"),
        (torch.zeros(84 * 120), r"head\.f6\.weight is \(10080,\)"),
        (torch.zeros(84, 120, dtype=torch.float64), r"head\.f6\.weight is .*float64"),
        (torch.zeros(84, 120, dtype=torch.int32), r"head\.f6\.weight is .*int32"),
        (None, r"do not fit the network: head\.f6\.weight"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(
    trained: Trained, tmp_path: Path, value: Tensor | None, says: str
) -> None:
    def change(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
        del tensors[NAME]
        if value is not None:
            tensors[NAME] = value

    with pytest.raises(BadModelFile, match=says):
        load_model(altered(trained, tmp_path / "a.ckpt", change))


def test_a_tensor_too_many_is_refused(trained: Trained, tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
        tensors["average.head.extra"] = torch.zeros(1)

    with pytest.raises(BadModelFile, match=r"do not fit the network: head\.extra"):
        load_model(altered(trained, tmp_path / "a.ckpt", change))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(
    trained: Trained, tmp_path: Path, wrong: float
) -> None:
    payload = trained.checkpoint.read_bytes()[HEADER.size :]
    weights = safetensors.torch.load(payload)[NAME].numpy().tobytes()
    assert payload.count(weights) == 1
    path = tmp_path / "a.ckpt"
    path.write_bytes(signed(payload.replace(weights, struct.pack("<f", wrong) + weights[4:])))
    with pytest.raises(BadModelFile, match=rf"{NAME} holds a NaN or an infinity"):
        load_model(path)
