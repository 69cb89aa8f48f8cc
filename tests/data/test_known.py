"""Known sets: built in, in every official form (made here), from the shared copies, downloaded."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import pickle
import struct
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from convnets.data import KNOWN, ImageArrays, cifar, load_data
from convnets.data.cifar import PIXELS
from convnets.data.idx import read_idx
from convnets.data.known import Remote
from convnets.errors import BadData, BadInput, EnvironmentFailure, UnknownName

RANDOM = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _no_other_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVNETS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def arrays(split: object) -> ImageArrays:
    assert isinstance(split, ImageArrays)
    return split


def test_digits_are_scikit_learns() -> None:
    digits = load_data("digits")
    train, test = arrays(digits.train), arrays(digits.test)
    assert (len(train), len(test)) == (1437, 360)
    assert np.bincount(test.labels).tolist() == [36] * 10
    ours = [
        (image.tobytes(), int(label))
        for split in (train, test)
        for image, label in zip(split.images, split.labels, strict=True)
    ]
    source = load_digits()
    scaled = np.rint(source.images * 255 / 16).astype(np.uint8)
    theirs = [
        (image.tobytes(), int(label)) for image, label in zip(scaled, source.target, strict=True)
    ]
    assert sorted(ours) == sorted(theirs)
    assert digits.channels == 1
    assert digits.image_size == (8, 8)
    assert digits.fingerprint == load_data("digits").fingerprint


def test_shared_mnist(shared: Path) -> None:
    mnist = load_data("mnist", data_dir=shared / "data")
    train, test = arrays(mnist.train), arrays(mnist.test)
    assert train.images.shape == (60_000, 28, 28, 1)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    # the figures every MNIST script normalises with
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert train.images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


def test_shared_cifar10_is_named_for_its_jpegs(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for split in ("train", "test"):
        source = shared / f"data/cifar10/plain_text/{split}-00000-of-00001.parquet"
        table = pyarrow.parquet.read_table(source).slice(0, 300)
        pyarrow.parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    cifar = load_data("cifar10", data_dir=tmp_path)
    assert cifar.name == "cifar10-jpeg"
    assert cifar.classes == KNOWN["cifar10"].classes
    assert arrays(cifar.train).images.shape == (300, 32, 32, 3)
    image = Image.open(io.BytesIO(table["img"][7]["bytes"].as_py()))
    assert np.array_equal(arrays(cifar.test).images[7], np.asarray(image))


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write_idx_set(folder: Path, *, zipped: bool) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    made = {}
    for split, count in (("train", 30), ("t10k", 11)):
        images = RANDOM.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            made[f"{split}-{kind}"] = array
            content = gzip.compress(idx(array)) if zipped else idx(array)
            (folder / f"{split}-{kind}-ubyte{'.gz' * zipped}").write_bytes(content)
    return made


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["fashion-mnist", "FashionMNIST/raw"])
def test_reads_idx(tmp_path: Path, zipped: bool, place: str) -> None:
    made = write_idx_set(tmp_path / place, zipped=zipped)
    found = load_data("fashion-mnist", data_dir=tmp_path)
    assert np.array_equal(arrays(found.train).images[..., 0], made["train-images-idx3"])
    assert np.array_equal(arrays(found.test).labels, made["t10k-labels-idx1"])
    assert found.classes[9] == "Ankle boot"


def test_a_set_is_found_by_variable_cache_and_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx_set(tmp_path / "cache/convnets/mnist", zipped=True)
    first = load_data("mnist")
    assert load_data(str(tmp_path / "cache/convnets/mnist")).fingerprint == first.fingerprint
    write_idx_set(tmp_path / "other/MNIST/raw", zipped=False)
    monkeypatch.setenv("CONVNETS_DATA", str(tmp_path / "other"))
    assert load_data("mnist").fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0",  # floats
        idx(np.zeros((3, 4), np.uint8))[:-1],
        idx(np.zeros((3, 4), np.uint8)) + b"\0",
        struct.pack(">HBB4I", 0, 8, 4, *[0xFFFFFFFF] * 4),  # 2^128 bytes
        struct.pack(">HBB3I", 0, 8, 3, 60_000, 200, 200),  # 2.4 GB declared, none there
        gzip.compress(idx(np.zeros((3, 4), np.uint8)), mtime=0)[:-9],
        b"\x1f\x8bnot gzip",
    ],
)
def test_damaged_idx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(BadData, match="t10k-images"):
        read_idx(path)


def archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


FILES = {10: [f"data_batch_{i}" for i in range(1, 6)], 100: ["train"]}
TEST = {10: "test_batch", 100: "test"}


def write_cifar(folder: Path, classes: int, kind: str, per_file: int = 40) -> list[np.ndarray]:
    """An archive as the authors lay it out; returns records of [coarse label,] label, pixels."""
    names = [b"class%d" % i for i in range(classes)]
    prefix = {
        "binary": {10: "cifar-10-batches-bin", 100: "cifar-100-binary"},
        "python": {10: "cifar-10-batches-py", 100: "cifar-100-python"},
    }[kind][classes]
    members, made = {}, []
    for file in [*FILES[classes], TEST[classes]]:
        labels = np.resize(np.arange(classes), max(per_file, classes)).astype(np.uint8)
        pixels = RANDOM.integers(0, 256, (len(labels), PIXELS), dtype=np.uint8)
        made.append(np.column_stack([labels, pixels]))
        if kind == "binary":
            coarse = [labels // 5] if classes == 100 else []
            records = np.column_stack([*coarse, labels, pixels])
            members[f"{prefix}/{file}.bin"] = records.tobytes()
        else:
            key = b"labels" if classes == 10 else b"fine_labels"
            batch = {b"data": pixels, key: labels.tolist(), b"batch_label": b"one"}
            members[f"{prefix}/{file}"] = pickle.dumps(batch, protocol=2)
    text = b"\n".join(names) + b"\n\n"
    members |= {
        ("binary", 10): {f"{prefix}/batches.meta.txt": text},
        ("binary", 100): {f"{prefix}/fine_label_names.txt": text},
        ("python", 10): {f"{prefix}/batches.meta": pickle.dumps({b"label_names": names})},
        ("python", 100): {f"{prefix}/meta": pickle.dumps({b"fine_label_names": names})},
    }[kind, classes]
    archive(folder / f"cifar-{classes}-{kind}.tar.gz", members)
    return made


@pytest.mark.parametrize("kind", ["binary", "python"])
@pytest.mark.parametrize("classes", [10, 100])
def test_reads_cifar_archives_in_place(tmp_path: Path, classes: int, kind: str) -> None:
    *train, test = write_cifar(tmp_path, classes, kind)
    found = load_data(f"cifar{classes}", data_dir=tmp_path)
    assert found.classes == tuple(f"class{i}" for i in range(classes))
    for split, records in ((found.train, np.concatenate(train)), (found.test, test)):
        images = arrays(split).images
        assert np.array_equal(split.labels, records[:, 0])
        # red, then green, then blue, each row by row
        assert np.array_equal(images[5, :, :, 0].ravel(), records[5, 1:1025])
        assert np.array_equal(images[5, :, :, 2].ravel(), records[5, 2049:])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"cifar-{classes}-{kind}.tar.gz"]


EVENTS: list[str] = []
WATCHED = (
    "pickle.find_class",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "exec",
    "compile",
    "ctypes.dlopen",
    "socket.connect",
)
HARMLESS = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy", "_codecs")


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if EVENTS and event in WATCHED and arguments[0] not in HARMLESS:
        EVENTS.append(f"{event} {arguments[:2]}")


sys.addaudithook(_watch)


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Collect the events of code that runs; the hook cannot be removed, but rests outside."""
    EVENTS.append("begin")
    try:
        yield EVENTS
    finally:
        EVENTS.clear()


class Payload:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def payloads(canary: Path) -> dict[str, Any]:
    touch = Payload(os.system, f"touch {canary}")
    hidden = np.empty(1, dtype=object)
    hidden[0] = touch
    return {
        "os.system": touch,
        "eval": Payload(eval, f"open({str(canary)!r}, 'w')"),
        "exec": Payload(exec, f"open({str(canary)!r}, 'w')"),
        "open": Payload(open, str(canary), "w"),
        "nested": {b"data": [touch]},
        "as a key": {Payload(os.getcwd): 1},
        "in an object array": {b"data": hidden},
        "getattr": Payload(getattr, "text", "upper"),
        "numpy.load": Payload(np.load, str(canary)),
        "memory": Payload(bytearray, 1 << 40),
    }


@pytest.mark.parametrize("protocol", range(6))
def test_no_pickle_runs_code(tmp_path: Path, protocol: int) -> None:
    write_cifar(tmp_path, 10, "python", per_file=10)
    path = tmp_path / "cifar-10-python.tar.gz"
    assert load_data("cifar10", data_dir=tmp_path).classes[0] == "class0"
    with tarfile.open(path) as tar:
        members = {m.name: file.read() for m in tar if (file := tar.extractfile(m))}
    canary = tmp_path / "canary"
    for name, payload in payloads(canary).items():
        content = pickle.dumps(payload, protocol)
        archive(path, members | {"cifar-10-batches-py/data_batch_1": content})
        with watched() as events:
            with pytest.raises(BadData, match="data_batch_1"):
                load_data("cifar10", data_dir=tmp_path)
            assert events == ["begin"], name
        assert not canary.exists(), name
    # The control: plain pickle runs it, and hook and canary both tell.
    with watched() as events:
        pickle.loads(pickle.dumps(payloads(canary)["os.system"], protocol))
        assert any("os.system" in event for event in events)
    assert canary.exists()


def batch(**fields: Any) -> bytes:
    whole = {b"data": np.zeros((10, PIXELS), np.uint8), b"labels": list(range(10))}
    return pickle.dumps(whole | {key.encode(): value for key, value in fields.items()}, 2)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps([1, 2]),
        batch(data=np.zeros((10, PIXELS), np.float64)),
        batch(data=np.zeros((10, PIXELS - 1), np.uint8)),
        batch(data=np.zeros((9, PIXELS), np.uint8)),
        batch(data=b"bytes"),
        batch(labels=[10] * 10),
        batch(labels=[-1] * 10),
        batch(labels=[0.5] * 10),
        batch(labels="ten labels"),
        batch()[:-20],
        b"",
    ],
)
def test_damaged_python_batches_are_refused(tmp_path: Path, content: bytes) -> None:
    write_cifar(tmp_path, 10, "python", per_file=10)
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path) as tar:
        members = {m.name: file.read() for m in tar if (file := tar.extractfile(m))}
    archive(path, members | {"cifar-10-batches-py/data_batch_3": content})
    with pytest.raises(BadData, match="data_batch_3"):
        load_data("cifar10", data_dir=tmp_path)


def hostile(kind: str) -> bytes:
    """An archive whose members try to leave the folder, or to fill memory."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        if kind == "bomb":
            info = tarfile.TarInfo("zeros")
            info.size = 20 << 20
            with open("/dev/zero", "rb") as zeros:
                tar.addfile(info, zeros)
        for name in ("../escaped", "/tmp/../escaped", "a/../../data_batch_1.bin"):
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"hello"))
        for name, form in (("test_batch.bin", tarfile.SYMTYPE), ("pipe", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type = form
            info.linkname = "/etc/passwd"
            tar.addfile(info)
        if kind == "twice":
            for _ in range(2):
                info = tarfile.TarInfo("x/data_batch_2.bin")
                info.size = 5
                tar.addfile(info, io.BytesIO(b"hello"))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["escape", "twice", "bomb", "cut", "not a tar"])
def test_hostile_archives_are_refused_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(cifar, "MAX_BYTES", 10 << 20)
    folder = tmp_path / "inner"
    folder.mkdir()
    content = hostile(kind)
    if kind == "cut":
        content = content[: len(content) // 2]
    if kind == "not a tar":
        content = b"<html>404</html>"
    (folder / "cifar-10-binary.tar.gz").write_bytes(content)
    with pytest.raises(BadData, match="cifar-10-binary"):
        load_data("cifar10", data_dir=folder)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [
        "cifar-10-binary.tar.gz"
    ]


def offered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer the idx files of a folder as if they were MNIST's, with their true checksums."""
    files = tuple(
        Remote(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
    )
    known = replace(KNOWN["mnist"], url=f"{folder.as_uri()}/", files=files)
    monkeypatch.setitem(KNOWN, "mnist", known)


def test_a_missing_set_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = tmp_path / "remote"
    write_idx_set(remote, zipped=True)
    offered(remote, monkeypatch)
    told: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    first = load_data("mnist", data_dir=tmp_path / "data", progress=progress)
    assert len(first.train) == 30
    assert len(told) == 4
    assert all(done == total for _, done, total in told)
    for path in remote.iterdir():
        path.unlink()
    assert load_data("mnist", data_dir=tmp_path / "data").fingerprint == first.fingerprint


@pytest.mark.parametrize("change", [b"", b"x", None])
def test_a_download_that_is_not_the_published_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes | None
) -> None:
    remote = tmp_path / "remote"
    write_idx_set(remote, zipped=True)
    offered(remote, monkeypatch)
    victim = remote / "train-images-idx3-ubyte.gz"
    whole = victim.read_bytes()
    # cut to nothing, lengthened, or one byte changed
    victim.write_bytes(whole[:-1] + b"!" if change is None else (change and whole + change))
    with pytest.raises(BadInput, match="train-images"):
        load_data("mnist", data_dir=tmp_path / "data")
    left = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert "train-images-idx3-ubyte.gz" not in left
    assert not any(name.startswith(".tmp") for name in left)


def test_without_network_the_error_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable = replace(KNOWN["cifar100"], url="http://127.0.0.1:9/")
    monkeypatch.setitem(KNOWN, "cifar100", unreachable)
    with pytest.raises(EnvironmentFailure) as caught:
        load_data("cifar100", data_dir=tmp_path)
    message = str(caught.value)
    assert caught.value.exit_code == 5
    assert "http://127.0.0.1:9/cifar-100-binary.tar.gz" in message
    assert str(tmp_path / "cifar100") in message
    assert str(tmp_path / "cache/convnets/cifar100") in message
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean") as caught:
        load_data("cifar-10")
    assert "cifar10" in caught.value.near
    assert caught.value.exit_code == 2


def hub_table(
    sizes: list[tuple[int, int]], *, form: str = "PNG", labels: list[int] | None = None
) -> tuple[pyarrow.Table, list[np.ndarray]]:
    """A table in the hub's layout, with class names in its metadata."""
    pixels = [RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    contents = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, form)
        contents.append({"bytes": file.getvalue(), "path": None})
    numbers = labels if labels is not None else [row % 2 for row in range(len(sizes))]
    table = pyarrow.table({"image": contents, "label": pyarrow.array(numbers, pyarrow.int64())})
    names = '{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
    return table.replace_schema_metadata({"huggingface": names}), pixels


def test_reads_any_hub_parquet(tmp_path: Path) -> None:
    for split, rows in (("train", 6), ("validation", 4)):
        table, pixels = hub_table([(9, 7)] * rows)
        pyarrow.parquet.write_table(table, tmp_path / f"{split}-00000-of-00001.parquet")
    found = load_data(str(tmp_path))
    assert found.classes == ("cat", "dog")
    assert np.array_equal(arrays(found.test).images, pixels)
    assert found.image_size == (9, 7)


def test_parquet_of_many_sizes_stays_encoded_and_splits_itself(tmp_path: Path) -> None:
    table, pixels = hub_table([(row + 5, 9) for row in range(20)])
    pyarrow.parquet.write_table(table, tmp_path / "pets.parquet")
    found = load_data(str(tmp_path / "pets.parquet"))
    assert (len(found.train), len(found.test)) == (16, 4)
    assert found.image_size is None
    seen = [found.train.image(row) for row in range(16)] + [
        found.test.image(row) for row in range(4)
    ]
    assert sorted(image.tobytes() for image in seen) == sorted(image.tobytes() for image in pixels)


@pytest.mark.parametrize(
    "table",
    [
        hub_table([(5, 5)] * 4, labels=[0, 1, 2, 0])[0],
        hub_table([(5, 5)] * 4, labels=[0, 1, -1, 0])[0],
        hub_table([(5, 5)] * 4)[0].rename_columns(["picture", "label"]),
        pyarrow.table({"image": [b"text"] * 4, "label": [0, 1, 0, 1]}),
        pyarrow.table({"image": [b"text", None], "label": [0, 1]}),
        pyarrow.table({"image": [b"text"] * 2, "label": [0.5, 1.5]}),
    ],
)
def test_bad_parquet_is_refused(tmp_path: Path, table: pyarrow.Table) -> None:
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(BadData, match="train"):
        load_data(str(tmp_path / "train.parquet"))


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and then nothing of the kind PAR1")
    with pytest.raises(BadData, match=r"train\.parquet"):
        load_data(str(tmp_path / "train.parquet"))
