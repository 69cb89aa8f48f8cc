"""Compressed files: exact, small, and refused when anything about them is wrong."""

from __future__ import annotations

import itertools
import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from convnets.compress import layer_sizes, load_any, load_compressed, save_compressed
from convnets.compress.format import HEADER_LIMIT
from convnets.errors import BadModelFile, NonFinite
from convnets.memory import peak_memory, reset_peak_memory
from convnets.models import FAMILIES, create_model
from convnets.training.state import weights_sha256
from tests.children import in_child
from tests.compress.networks import Parts, described, lenet_file, made, parts, signed
from tests.fuzz import json_mutations, mutations
from tests.weights.test_hostile import pickles, watched

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lenet_file(tmp_path_factory.mktemp("good"))


@pytest.fixture
def whole(good: Path) -> Parts:
    return parts(good.read_bytes())


@pytest.mark.parametrize(
    ("model", "keep", "bits"),
    [
        ("lenet5", 0.2, 4),
        ("lenet5_caffe", 0.08, 5),
        ("resnet20", 1.0, 6),
        ("shufflenet_v2_x0_5", 0.5, 8),
    ],
)
def test_the_network_comes_back_bit_for_bit(
    model: str, keep: float, bits: int, tmp_path: Path
) -> None:
    network = made(model, keep=keep, bits=bits, classes=10)
    description = described(model, 10)
    path = tmp_path / "a.cnz"
    save_compressed(path, network, description)
    loaded = load_compressed(str(path))
    assert weights_sha256(loaded.network) == weights_sha256(network)
    assert loaded.description == description
    assert not loaded.network.training
    with torch.no_grad():
        images = torch.randn(2, network.in_chans, 32, 32)
        assert torch.equal(loaded.network(images), network(images))
    again = tmp_path / "b.cnz"
    save_compressed(again, load_any(path).network, description)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_comes_back(family: Any, tmp_path: Path) -> None:
    name = min(family.variants, key=lambda name: family.variants[name].params)
    network = made(name, keep=0.3, bits=5)
    path = tmp_path / "a.cnz"
    save_compressed(path, network, described(name, network.num_classes))
    assert weights_sha256(load_compressed(path).network) == weights_sha256(network)


@pytest.mark.parametrize(("bits", "printed"), [(8, 0.66), (6, 0.47)])
def test_squeezenet_is_as_small_as_its_paper_says(
    bits: int, printed: float, tmp_path: Path
) -> None:
    """Iandola et al. 2016, Table 2: Deep Compression at 33 % density, 8 and 6 bits, in MiB."""
    network = made("squeezenet1_0", keep=0.33, bits=bits)
    path = tmp_path / "a.cnz"
    header = save_compressed(path, network, described("squeezenet1_0"))
    assert path.stat().st_size / MEBIBYTE <= printed
    sizes = layer_sizes(header, network)
    assert sum(layer.weights for layer in sizes) > 1.2e6
    assert all(layer.kept == pytest.approx(0.33, abs=0.01) for layer in sizes)


def test_a_value_that_is_not_finite_is_not_saved(tmp_path: Path) -> None:
    network = create_model("lenet5")
    with torch.no_grad():
        network.head.f6.weight[3, 5] = math.nan
    with pytest.raises(NonFinite, match=r"head\.f6\.weight"):
        save_compressed(tmp_path / "a.cnz", network, described("lenet5"))
    assert list(tmp_path.iterdir()) == []


# --- what is refused --------------------------------------------------------------------------


def changed(parts: Parts, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> str:
    """The header with its record, and a shared tensor's in it, changed."""
    record = parts.record
    sparse = next(t for t in record["tensors"] if t["form"] == "sparse")
    change(record, sparse)
    return json.dumps(record)


CHANGES: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], object], str]] = {
    "another network": (lambda r, _: r["model"].update(model="lenet5_modern"), "do not fit"),
    "no network": (lambda r, _: r["model"].update(model="os.system"), "unknown model"),
    "other classes": (lambda r, _: r["model"].update(classes=["a", "b"]), "output"),
    "a tensor twice": (lambda r, _: r["tensors"].append(r["tensors"][0]), "twice"),
    "a tensor less": (lambda r, _: r["tensors"].pop(), "do not fit"),
    "a tensor of another name": (lambda _, t: t.update(name="x"), "do not fit"),
    "no form": (lambda _, t: t.update(form="pickle"), "form"),
    "unknown field": (lambda _, t: t.update(code="1"), "code"),
    "more bits than payload": (lambda _, t: t.update(code_bits=t["code_bits"] + 64), "it has"),
    "fewer bits": (lambda _, t: t.update(code_bits=t["code_bits"] - 1), "bits"),
    "bits of nobody": (lambda _, t: t.update(code_bits=2**39), "bits for"),
    "bits beyond counting": (lambda _, t: t.update(code_bits=2**63), "code_bits"),
    "fewer than none": (lambda _, t: t.update(kept=-1), "kept"),
    "more kept than spans": (lambda _, t: t.update(kept=t["spans"] + 1), "elements in"),
    "more spans than elements": (lambda _, t: t.update(spans=2**31), "elements in"),
    "one more kept": (lambda _, t: t.update(kept=t["kept"] + 1), "words"),
    "a wider span": (lambda _, t: t.update(span_width=9), "span_width"),
    "an empty codebook": (lambda _, t: t.update(values=0), "values"),
    "a codebook too large": (lambda _, t: t.update(values=258), "values"),
    "a number that is none": (lambda _, t: t.update(values=math.nan), "NaN is not JSON"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_header_that_is_wrong_is_refused(what: str, whole: Parts, tmp_path: Path) -> None:
    change, says = CHANGES[what]
    path = tmp_path / "a.cnz"
    path.write_bytes(signed(changed(whole, change), whole.payload))
    with pytest.raises(BadModelFile, match=says) as caught:
        load_compressed(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


def one_tensor(record: dict[str, Any], payload: bytes) -> tuple[str, bytes]:
    """LeNet-5 whose tensors are zeros, but for C5's 48,000 weights."""
    zeros = {"form": "dense", "values": 1, "code_bits": 0}
    names = [name for name, _ in create_model("lenet5").state_dict().items()]
    header = {"model": described("lenet5").model_dump(), "tensors": []}
    content = b""
    for name in names:
        mine = name == "features.stage4.c5.weight"
        header["tensors"].append({"name": name, **(record if mine else zeros)})
        size = 8 if name.endswith("pairs") else 4
        content += payload if mine else b"\0" * size + b"\x10"
    return json.dumps(header), content


HALF = b"\x00\x3c" * 3
DENSE = {"form": "dense", "half": True, "values": 3, "code_bits": 48_000}
SPARSE = {
    **{"form": "sparse", "half": True, "values": 3, "kept": 6, "code_bits": 10},
    **{"span_width": 1, "spans": 6, "span_bits": 0},
}
CONTENTS = {
    "fits": (SPARSE, HALF + b"\x12\x20" + b"\x5a\xc0" + b"\x10", None),
    "over-subscribed": (DENSE, HALF + b"\x11\x10" + bytes(6000), "over-subscribed"),
    "under-subscribed": (DENSE, HALF + b"\x22\x20" + bytes(6000), "under-subscribed"),
    "no symbol at all": (DENSE, HALF + b"\x00\x00" + bytes(6000), "under-subscribed"),
    "past the codebook": (DENSE, HALF + b"\x12\x22" + bytes(6000), "past the last"),
    "a NaN": (DENSE, b"\x00\x7e" * 3 + b"\x12\x20" + bytes(6000), "NaN"),
    "an infinity": (DENSE, b"\x00\x7c" * 3 + b"\x12\x20" + bytes(6000), "infinity"),
    "bits for no code": (DENSE, HALF + b"\x10\x00" + bytes(6000), "one word"),
    "fillers alone": (SPARSE, HALF + b"\x12\x20" + b"\x5a\xc0" + b"\x01", "do not place"),
    "past the last element": (
        {
            **SPARSE,
            "span_width": 8,
            "spans": 40_000,
            "span_bits": 0,
            "kept": 40_000,
            "code_bits": 0,
        },
        HALF + b"\x10\x00" + bytes(63) + b"\x10" + bytes(64),
        "do not place",
    ),
}


@pytest.mark.parametrize("what", CONTENTS)
def test_content_that_is_wrong_is_refused(what: str, tmp_path: Path) -> None:
    record, content, says = CONTENTS[what]
    path = tmp_path / "a.cnz"
    path.write_bytes(signed(*one_tensor(record, content)))
    if says is None:
        weight = load_compressed(path).network.get_parameter("features.stage4.c5.weight")
        assert weight.flatten()[:8].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
        return
    with pytest.raises(BadModelFile, match=says):
        load_compressed(path)


def test_a_header_that_grows_without_end_is_refused(whole: Parts, tmp_path: Path) -> None:
    path = tmp_path / "a.cnz"
    bomb = zlib.compress(b" " * (100 * MEBIBYTE), 9)
    for header in (bomb, zlib.compress(whole.header.encode()) + b"more", b"", b"\0" * 9):
        path.write_bytes(signed(header, whole.payload))
        with pytest.raises(BadModelFile):
            load_compressed(path)
    path.write_bytes(signed(b"\0" * (HEADER_LIMIT + 1), b""))
    with pytest.raises(BadModelFile, match="header has"):
        load_compressed(path)


def test_what_is_no_file_of_ours_is_refused(good: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("hello")
    for path in (pipe, tmp_path, tmp_path / "missing", tmp_path / "empty", tmp_path / "text"):
        with pytest.raises(BadModelFile, match=path.name):
            load_compressed(path)


def test_a_pickle_runs_nothing(good: Path, whole: Parts, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    offered = [*pickles(canary).values()]
    offered += [good.read_bytes() + content for content in offered]
    for content in pickles(canary).values():
        packed = zlib.compress(whole.header.encode())
        offered += [signed(content, whole.payload), signed(zlib.compress(content), whole.payload)]
        offered += [signed(packed, content), signed(packed, whole.payload + content)]
    paths = [tmp_path / f"{number}.cnz" for number in range(len(offered))]
    for path, content in zip(paths, offered, strict=True):
        path.write_bytes(content)

    def offer_all() -> None:
        for path in paths:
            with pytest.raises(BadModelFile):
                load_compressed(path)

    def work() -> list[str]:
        load_compressed(good)
        with pytest.raises(BadModelFile):
            load_compressed(paths[0])  # what is imported on first use is imported now
        return watched(offer_all)

    assert in_child(work) == (0, [])
    assert not canary.exists()


# --- fuzz -------------------------------------------------------------------------------------


def hostile(whole: Parts, seed: int, count: int) -> Iterator[bytes]:
    """Damaged files with a right checksum: the header's JSON, its bytes, or the payload."""
    texts = json_mutations(seed, whole.header)
    payloads = mutations(seed, whole.payload)
    packed = mutations(seed, zlib.compress(whole.header.encode()))
    both = zip(
        json_mutations(seed + 100, whole.header), mutations(seed + 100, whole.payload), strict=False
    )
    sources = (
        (signed(text, whole.payload) for text in texts),
        (signed(whole.header, payload) for payload in payloads),
        (signed(header, whole.payload) for header in packed),
        (signed(text, payload) for text, payload in both),
    )
    return itertools.islice(
        itertools.chain.from_iterable(zip(*sources, strict=False)),
        count,
    )


def survive(contents: Iterator[bytes], folder: Path, *, loadable: bool) -> dict[str, float]:
    """Load each; return how many were refused and loaded, and the longest time and most memory."""
    device = torch.device("cpu")
    path = folder / "a.cnz"
    refused = loaded = 0
    slowest = 0.0
    reset_peak_memory(device)
    before = peak_memory(device)
    for content in contents:
        path.write_bytes(content)
        begun = time.process_time()
        try:
            network = load_compressed(path).network
        except BadModelFile:
            refused += 1
        else:
            assert loadable
            loaded += 1
            values = network.state_dict().values()
            assert all(bool(torch.isfinite(value).all()) for value in values)
        slowest = max(slowest, time.process_time() - begun)
    memory = peak_memory(device) - before
    return {"refused": refused, "loaded": loaded, "slowest": slowest, "memory": memory}


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_damage_is_seen_by_the_checksum(count: int, good: Path, tmp_path: Path) -> None:
    damaged = itertools.islice(mutations(0, good.read_bytes()), count)
    found = survive(damaged, tmp_path, loadable=False)
    assert found["refused"] == count
    assert found["slowest"] < 2


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 18))]
)
def test_a_signed_file_is_not_trusted(seed: int, whole: Parts, tmp_path: Path) -> None:
    """In memory of thrice the network's size, and what a header of 1 MiB takes as JSON."""
    count = 300
    code, found = in_child(lambda: survive(hostile(whole, seed, count), tmp_path, loadable=True))
    assert code == 0
    assert found["refused"] + found["loaded"] == count
    assert found["refused"] > 0.8 * count
    assert found["slowest"] < 2
    size = sum(p.numel() for p in create_model("lenet5").parameters()) * 4
    assert found["memory"] < 3 * size + 32 * MEBIBYTE


def test_a_small_file_of_a_large_network_takes_no_more_than_that(tmp_path: Path) -> None:
    """ResNet-18 of zeros: a few hundred bytes that decode to 45 MiB."""
    network = create_model("resnet18")
    with torch.no_grad():
        for value in network.state_dict().values():
            value.zero_()
    size = sum(value.nbytes for value in network.state_dict().values())
    path = tmp_path / "a.cnz"
    save_compressed(path, network, described("resnet18", 1000))
    assert path.stat().st_size < 8000
    del network
    code, found = in_child(lambda: survive(iter([path.read_bytes()]), tmp_path, loadable=True))
    assert (code, found["loaded"]) == (0, 1)
    assert found["memory"] < 3 * size
