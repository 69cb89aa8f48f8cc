"""Weights of other libraries: read from their files, put in place strictly, adapted as asked."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

import convnets
from convnets.errors import BadModelFile, EnvironmentFailure, UsageError
from convnets.weights import released, torch_file
from convnets.weights.torch_file import read_torch_file
from tests.models.peers import randomise
from tests.weights.conftest import Trained

IMAGES = torch.rand(2, 3, 64, 64)


@pytest.fixture(scope="module")
def peer() -> torch.nn.Module:
    network = torchvision.models.resnet18()
    randomise(network)
    return network.eval()


@pytest.fixture(scope="module")
def state(peer: torch.nn.Module) -> dict[str, Tensor]:
    found: dict[str, Tensor] = peer.state_dict()
    return found


@pytest.fixture(scope="module")
def plain(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(state, path)
    return path


@pytest.fixture(scope="module")
def pickled(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As training scripts save: the state wrapped, every name with DataParallel's prefix."""
    path = tmp_path_factory.mktemp("weights") / "checkpoint.pth"
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, path)
    return path


@pytest.mark.parametrize("form", ["plain", "pickled"])
def test_logits_are_the_peers(
    peer: torch.nn.Module, form: str, request: pytest.FixtureRequest
) -> None:
    network = convnets.create_model("resnet18", weights=request.getfixturevalue(form)).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(IMAGES), peer(IMAGES))


def test_another_number_of_classes_keeps_a_fresh_last_layer(
    plain: Path, state: dict[str, Tensor]
) -> None:
    with pytest.warns(UserWarning, match=r"head\.fc"):
        network = convnets.create_model("resnet18", weights=plain, num_classes=10)
    assert torch.equal(network.features.stem.conv.conv.weight, state["conv1.weight"])
    assert network.head.fc.weight.shape == (10, 512)
    assert network.head.fc.weight.std() < 0.05, "the network's own start, not the file's"


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_another_number_of_channels_answers_grey_images_alike(
    plain: Path, state: dict[str, Tensor], channels: int
) -> None:
    with pytest.warns(UserWarning, match="channels"):
        network = convnets.create_model("resnet18", weights=plain, in_chans=channels).eval()
    kernel, original = network.features.stem.conv.conv.weight, state["conv1.weight"]
    if channels == 2:
        torch.testing.assert_close(kernel, original[:, :2] * 1.5)
        return
    torch.testing.assert_close(kernel.sum(1), original.sum(1), rtol=1e-4, atol=1e-5)


def test_a_network_of_ours_goes_on_from_its_run(trained: Trained) -> None:
    network = convnets.create_model("lenet5", weights=trained.run)
    loaded = convnets.load_model(trained.run).network
    for name, value in network.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    with pytest.raises(BadModelFile, match="lenet5"):
        convnets.create_model("lenet5_modern", weights=trained.run)


def test_names_of_our_own_are_known(tmp_path: Path) -> None:
    network = convnets.create_model("lenet5_modern")
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    again = convnets.create_model("lenet5_modern", weights=tmp_path / "own.safetensors")
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_weights_of_another_network_are_refused(
    plain: Path, state: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(BadModelFile, match=r"resnet18\.safetensors: not weights of resnet34"):
        convnets.create_model("resnet34", weights=plain)
    more = {**state, "layer5.weight": torch.zeros(1)}
    save_file(more, tmp_path / "more.safetensors")
    with pytest.raises(BadModelFile, match=r"layer5\.weight"):
        convnets.create_model("resnet18", weights=tmp_path / "more.safetensors")
    fewer = {name: value for name, value in state.items() if name != "bn1.bias"}
    save_file(fewer, tmp_path / "fewer.safetensors")
    with pytest.raises(BadModelFile, match=r"bn1\.bias"):
        convnets.create_model("resnet18", weights=tmp_path / "fewer.safetensors")
    other = {**state, "conv1.weight": torch.zeros(64, 3, 3, 3)}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(BadModelFile, match=r"\(64, 3, 3, 3\)"):
        convnets.create_model("resnet18", weights=tmp_path / "other.safetensors")


class Hostile:
    """What a pickle may ask for: to run a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_a_file_runs_nothing_and_costs_little(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    hostile = tmp_path / "hostile.pth"
    hostile.write_bytes(pickle.dumps(Hostile(trap)))
    with pytest.raises(BadModelFile, match=r"hostile\.pth"):
        read_torch_file(hostile)
    assert not trap.exists()
    torch.save({"conv": Hostile(trap)}, hostile)
    with pytest.raises(BadModelFile, match=r"hostile\.pth"):
        read_torch_file(hostile)
    assert not trap.exists()


def test_damaged_files_are_told_in_one_line(tmp_path: Path) -> None:
    for name, content in (("empty.pth", b""), ("torn.safetensors", b"\x08\0\0\0\0\0\0\0{}")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BadModelFile, match=name) as told:
            convnets.create_model("resnet18", weights=path)
        assert "\n" not in str(told.value)
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(BadModelFile, match="no named tensors"):
        read_torch_file(tmp_path / "list.pth")


def test_a_reader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    monkeypatch.setattr(torch_file, "SECONDS", 1)
    with pytest.raises(BadModelFile, match="within 1 seconds"):
        read_torch_file(tmp_path / "pipe.pth")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convnets" / "weights"


def test_released_weights_are_fetched_once_and_checked(
    pickled: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    digest = hashlib.sha256(pickled.read_bytes()).hexdigest()
    monkeypatch.setattr(released, "TORCHVISION_URL", f"{remote.as_uri()}/")
    monkeypatch.setitem(released.TORCHVISION, "resnet18", f"resnet18-{digest[:8]}.pth")
    file = remote / f"resnet18-{digest[:8]}.pth"
    file.write_bytes(pickled.read_bytes())
    convnets.create_model("resnet18", weights="torchvision")
    file.unlink()
    convnets.create_model("resnet18", weights="torchvision")
    (cache / file.name).unlink()
    file.write_bytes(b"another file")
    with pytest.raises(Exception, match="not the published file") as told:
        convnets.create_model("resnet18", weights="torchvision")
    assert getattr(told.value, "exit_code", None) == 3
    assert list(cache.iterdir()) == []


def test_without_network_the_error_says_what_to_fetch(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(released, "TORCHVISION_URL", "http://127.0.0.1:9/")
    with pytest.raises(EnvironmentFailure) as told:
        convnets.create_model("resnet18", weights="torchvision")
    assert f"http://127.0.0.1:9/{released.TORCHVISION['resnet18']}" in str(told.value)
    assert str(cache) in str(told.value)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for weights in ("timm", "someone/something"):
        with pytest.raises(EnvironmentFailure, match=r"convnets\[hub\]"):
            convnets.create_model("resnet18", weights=weights)


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("lenet5", "torchvision", "offers no weights for lenet5"),
        ("resnet18", "nowhere.pth", "no such file"),
        ("resnet18", "torchvison", "no such file"),
    ],
)
def test_what_is_not_there_is_a_usage_error(name: str, weights: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        convnets.create_model(name, weights=weights)


def test_nothing_is_said_where_nothing_is_adapted(plain: Path) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        convnets.create_model("resnet18", weights=plain)
    assert said == []
