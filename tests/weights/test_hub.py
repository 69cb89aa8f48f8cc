"""A model goes to the hub and comes back, through its own client and a server that is ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants
from PIL import Image

import convnets
from convnets.cli import main
from convnets.errors import BadModelFile, EnvironmentFailure, UsageError
from convnets.weights import hub, load_model, save_model
from tests.weights.conftest import Trained
from tests.weights.hub_stub import FRONT_MATTER, TOKEN, Hub, serving


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The client talks to a stub, and keeps what it fetches in a folder of this test."""
    with serving() as stub:
        files = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, stub.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr(constants, "ENDPOINT", stub.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield stub


def test_a_model_is_published_and_loaded_by_its_name(
    trained: Trained, server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["save", str(trained.run), "--push", "someone/digits.v2"]
    assert main([*arguments, "--licence", "CC-BY-4.0"]) == 0
    assert "https://huggingface.co/someone/digits.v2" in capsys.readouterr().out
    published = server.files["someone/digits.v2"]
    save_model(trained.run, tmp_path / "own.safetensors", licence="CC-BY-4.0")
    assert published["model.safetensors"] == (tmp_path / "own.safetensors").read_bytes()
    card = published["README.md"].decode()
    fields = FRONT_MATTER.match(card)
    assert fields is not None
    assert yaml.safe_load(fields[1])["license"] == "cc-by-4.0"
    assert "convnets predict someone/digits.v2" in card
    assert "someone/digits.v2" not in server.private

    loaded = load_model("someone/digits.v2")
    assert loaded.origin.licence == "CC-BY-4.0"
    ours = load_model(trained.run).network.state_dict()
    assert all(torch.equal(v, ours[k]) for k, v in loaded.network.state_dict().items())
    network = convnets.create_model("lenet5", weights="someone/digits.v2")
    assert torch.equal(network.state_dict()["head.f6.weight"], ours["head.f6.weight"])
    image = tmp_path / "image.png"
    Image.new("L", (32, 32)).save(image)
    assert main(["predict", "someone/digits.v2", str(image), "--csv", "-"]) == 0
    assert str(image) in capsys.readouterr().out


def test_a_second_version_takes_the_place_of_the_first(trained: Trained, server: Hub) -> None:
    for content in (b"first", b"second"):
        assert hub.push(content, _card(), "someone/model").endswith("someone/model")
        assert server.files["someone/model"]["model.safetensors"] == content


def test_private_is_kept_and_never_lost(server: Hub) -> None:
    hub.push(b"model", _card(), "someone/secret", private=True)
    assert server.private == {"someone/secret"}
    server.files["someone/open"] = {}
    with pytest.raises(UsageError, match="is public; nothing was uploaded"):
        hub.push(b"model", _card(), "someone/open", private=True)
    assert server.files["someone/open"] == {}


def test_what_the_hub_refuses_is_told(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="OWNER/NAME"):
        hub.push(b"model", _card(), "no-owner")
    with pytest.raises(UsageError, match=r"--push someone/\.\.name"):
        hub.push(b"model", _card(), "someone/..name")
    monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    with pytest.raises(EnvironmentFailure, match=r"cannot push: .*401.*hf auth login") as told:
        hub.push(b"model", _card(), "someone/model")
    assert "\n" not in str(told.value)
    assert server.files == {}


def test_what_the_hub_lacks_is_told(server: Hub) -> None:
    server.files["someone/other"] = {"model.bin": b""}
    for name in ("someone/nothing", "someone/other"):
        with pytest.raises(EnvironmentFailure, match=f"{name} is no file here, and https://"):
            load_model(name)
    server.files["someone/other"]["model.safetensors"] = b"not a model"
    with pytest.raises(BadModelFile, match="neither a checkpoint nor a model file"):
        load_model("someone/other")


def test_a_hub_that_does_not_answer_is_told(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentFailure, match="someone/model: cannot push: "):
        hub.push(b"model", _card(), "someone/model")


def test_without_the_extra_the_error_names_it(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for arguments in (
        ["evaluate", "someone/model"],
        ["save", str(trained.run), "--push", "someone/model"],
    ):
        assert main(arguments) == 5
        assert "pip install 'convnets[hub]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "whether"),
    [
        ("someone/model", True),
        ("timm/resnet18.a1_in1k", True),
        ("someone/model.safetensors", False),
        ("runs.ckpt", False),
        ("/someone/model", False),
        ("a/b/c", False),
        ("here/model", False),
        ("../model", False),
    ],
)
def test_a_name_is_a_repository_where_it_can_be_no_path(
    path: str, whether: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert hub.is_repository(Path(path)) is whether


def _card() -> str:
    return "---\nlicense: unknown\nlibrary_name: a\npipeline_tag: b\n---\n\n# Card\n"
