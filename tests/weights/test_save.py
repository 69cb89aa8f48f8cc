"""One safetensors file: anyone's reader opens it, ours gives back the very network and refuses
what is not quite one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import safe_open

import convnets
from convnets.errors import BadModelFile, DiskFull, NonFinite, UsageError
from convnets.memory import memory_in_use, peak_memory, reset_peak_memory, return_freed_memory
from convnets.weights import LoadedModel, ModelDescription, load_model, save_model
from convnets.weights.model_file import build
from convnets.weights.save import cost_of, pack
from tests.children import in_child
from tests.weights.conftest import Trained

CPU = torch.device("cpu")


def random_model(name: str, size: int, *, classes: int = 10, in_chans: int = 3) -> LoadedModel:
    """A network as created, and a description that fits it."""
    description = ModelDescription(
        model=name,
        stem="paper",
        classes=tuple(f"class {number}" for number in range(classes)),
        in_chans=in_chans,
        input_size=size,
        mean=(0.5,) * in_chans,
        deviation=(0.25,) * in_chans,
        data="nothing",
    )
    return LoadedModel(build(description).eval(), description, Path(name))


# --- what a file holds --------------------------------------------------------------------------


def test_any_reader_of_safetensors_opens_it(trained: Trained, saved: Path) -> None:
    network = load_model(trained.checkpoint).network
    with safe_open(saved, "pt") as file:
        record = json.loads(file.metadata()["convnets"])
        names = set(file.keys())
        assert all(torch.equal(file.get_tensor(n), v) for n, v in network.state_dict().items())
    assert names == set(network.state_dict())
    result = trained.result
    assert record["format"] == 1
    assert record["convnets"] == convnets.__version__
    assert record["sha256"] == result.weights_sha256
    model, origin = record["model"], record["origin"]
    assert (model["model"], model["stem"], model["in_chans"]) == ("lenet5", "paper", 1)
    assert (model["input_size"], model["data"]) == (32, "noise")
    assert model["classes"] == [f"class {number}" for number in range(10)]
    assert origin == {
        "run": result.run,
        "recipe": "tiny",
        "plan": result.run.rpartition("-")[2],
        "top1": result.top1,
        "test_images": 20,
        "licence": "cc-by-4.0",
    }


def test_its_digest_is_of_names_types_shapes_and_bytes(saved: Path) -> None:
    digest = hashlib.sha256()
    for name, array in sorted(safetensors.numpy.load_file(saved).items()):
        digest.update(f"{name} torch.{array.dtype} {array.shape}\n".encode() + array.tobytes())
    with safe_open(saved, "np") as file:
        assert json.loads(file.metadata()["convnets"])["sha256"] == digest.hexdigest()


def test_a_file_gives_the_network_that_was_saved(trained: Trained, saved: Path) -> None:
    before, after = load_model(trained.run), load_model(saved)
    assert after.description == before.description
    assert not after.network.training
    state = after.network.state_dict()
    assert all(torch.equal(state[name], v) for name, v in before.network.state_dict().items())
    assert (after.origin.top1, after.origin.licence) == (trained.result.top1, "cc-by-4.0")
    assert after.path == saved


@pytest.mark.parametrize(
    ("name", "size", "in_chans"),
    [("mobilenet_v3_small", 32, 3), ("densenet_40_k12", 32, 3), ("lenet5_modern", 32, 1)],
)
def test_networks_of_every_kind_answer_alike(
    tmp_path: Path, name: str, size: int, in_chans: int
) -> None:
    model = random_model(name, size, in_chans=in_chans)
    save_model(model, tmp_path / "a.safetensors")
    images = torch.rand(2, in_chans, size, size)
    with torch.no_grad():
        expected = model.network(images)
        assert torch.equal(load_model(tmp_path / "a.safetensors").network(images), expected)


def test_a_file_written_by_the_formats_own_library_is_read(saved: Path, tmp_path: Path) -> None:
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file(safetensors.torch.load_file(saved), path, metadata)
    assert load_model(path).description == load_model(saved).description


def test_equal_models_give_equal_bytes(trained: Trained, saved: Path, tmp_path: Path) -> None:
    for source in (trained.checkpoint, saved, load_model(saved)):
        save_model(source, tmp_path / "again.safetensors", licence="cc-by-4.0")
        assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_every_tensor_lies_at_a_multiple_of_its_size(saved: Path) -> None:
    content = saved.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    del header["__metadata__"]
    widths = {"I64": 8, "F32": 4}
    assert {entry["dtype"] for entry in header.values()} == widths.keys()
    for entry in header.values():
        assert (8 + size + entry["data_offsets"][0]) % widths[entry["dtype"]] == 0


def test_names_of_classes_come_back_whatever_they_are(tmp_path: Path) -> None:
    model = random_model("lenet5", 32, classes=5, in_chans=1)
    names = ("naïve", "line\nbreak", "日本", '"quoted"', "")
    described = dataclasses.replace(
        model, description=model.description.model_copy(update={"classes": names})
    )
    save_model(described, tmp_path / "a.safetensors")
    assert load_model(tmp_path / "a.safetensors").description.classes == names


def test_a_licence_is_kept_until_another_is_given(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    assert save_model(saved, path).origin.licence == "cc-by-4.0"
    assert save_model(saved, path, licence="mit").origin.licence == "mit"
    assert save_model(random_model("lenet5", 32, in_chans=1), path).origin.licence == "unknown"
    with pytest.raises(UsageError, match="licence"):
        save_model(saved, path, licence="x" * 300)


def test_a_licence_is_kept_beside_the_result_too(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    save_model(run, run / "a.safetensors", licence="mit")
    record = save_model(run / "a.safetensors", tmp_path / "b.safetensors")
    assert (record.origin.licence, record.origin.top1) == ("mit", trained.result.top1)


def test_other_weights_claim_no_accuracy(trained: Trained, tmp_path: Path) -> None:
    loaded = load_model(trained.run)
    with torch.no_grad():
        loaded.network.head.f6.bias[0] += 1
    record = save_model(loaded, tmp_path / "a.safetensors")
    assert (record.origin.top1, record.origin.run) == (None, None)


def test_weights_of_a_model_file_go_into_a_new_network(saved: Path) -> None:
    state = load_model(saved).network.state_dict()
    network = convnets.create_model("lenet5", weights=saved)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state.items())
    with pytest.raises(BadModelFile, match="it holds lenet5"):
        convnets.create_model("lenet5_modern", weights=saved)


def test_cost_is_the_networks_own(trained: Trained) -> None:
    cost = cost_of(load_model(trained.run).description)
    assert (cost.params, cost.macs) == (trained.result.params, trained.result.macs)


# --- saving -------------------------------------------------------------------------------------


def test_a_value_that_is_not_finite_is_not_saved(trained: Trained, tmp_path: Path) -> None:
    loaded = load_model(trained.run)
    with torch.no_grad():
        loaded.network.head.f6.bias[3] = float("nan")
    with pytest.raises(NonFinite, match=r"head\.f6\.bias holds a NaN"):
        save_model(loaded, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    target = tmp_path / "file" / "a.safetensors"
    with pytest.raises(DiskFull) as caught:
        save_model(trained.run, target)
    assert str(target) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_names_that_no_reader_would_take_are_not_saved(tmp_path: Path) -> None:
    model = random_model("lenet5", 32, classes=3, in_chans=1)
    names = tuple(f"{number:0200}" for number in range(50_000))
    many = model.description.model_copy(update={"classes": names})
    with pytest.raises(UsageError, match="names take a header of"):
        save_model(dataclasses.replace(model, description=many), tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


# --- memory -------------------------------------------------------------------------------------


def growth(work: Callable[[], object]) -> int:
    """Bytes by which the peak of ``work`` exceeds what the process held before."""
    return_freed_memory()
    reset_peak_memory(CPU)
    before = memory_in_use(CPU)
    work()
    return peak_memory(CPU) - before


def test_reading_takes_the_networks_own_size_and_refusing_none(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.safetensors"
    with torch.device("meta"):
        model = random_model("resnet18", 64)
    model.network.to_empty(device="cpu")
    for value in model.network.state_dict().values():
        value.zero_()
    content = b"".join(pack(model).content())
    path.write_bytes(content)
    size = 4 * 11_181_642  # parameters with ten classes, in four bytes each
    assert size < len(content) < 1.01 * size

    def read() -> int:
        load_model(path)
        return growth(lambda: load_model(path))

    code, taken = in_child(read)
    assert code == 0
    assert 0.9 * size < taken < 1.5 * size

    def refuse() -> None:
        with pytest.raises(BadModelFile):
            load_model(path)

    path.write_bytes(content[:-1])
    code, taken = in_child(lambda: growth(refuse))
    assert code == 0
    assert taken < 0.5 * size
