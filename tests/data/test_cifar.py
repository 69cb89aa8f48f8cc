"""The official archives of CIFAR, made here: read in place, without running what they hold."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnets.data import cifar, load_data
from convnets.data.cifar import PIXELS
from convnets.errors import BadData
from tests.data.conftest import RANDOM, arrays

pytestmark = pytest.mark.usefixtures("no_other_places")


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
