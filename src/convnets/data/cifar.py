"""CIFAR-10 and CIFAR-100 as their authors distribute them, read in place from the tar archive.

The binary archive holds plain records. The Python one holds pickles: they are read by an unpickler
that knows five harmless names and refuses all others. No other file of the package may unpickle.
"""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from convnets.data.sets import ImageArrays, Progress
from convnets.errors import BadData

PIXELS = 3 * 32 * 32
MAX_BYTES = 512 << 20
"""Limit of what an archive unpacks to; the real ones hold 185 MB."""


@dataclass(frozen=True)
class Layout:
    """The members of an archive, and where a record or a pickle holds label and names."""

    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    label_bytes: int = 1
    labels_key: bytes = b""
    names_key: bytes = b""


# fmt: off
LAYOUTS = {
    "cifar-10-binary.tar.gz": Layout(
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", "batches.meta.txt",
        10),
    "cifar-100-binary.tar.gz": Layout(
        ("train.bin",), "test.bin", "fine_label_names.txt", 100, label_bytes=2),
    "cifar-10-python.tar.gz": Layout(
        tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta", 10,
        labels_key=b"labels", names_key=b"label_names"),
    "cifar-100-python.tar.gz": Layout(
        ("train",), "test", "meta", 100, labels_key=b"fine_labels", names_key=b"fine_label_names"),
}
# fmt: on


def read_cifar(
    path: Path, progress: Progress | None = None
) -> tuple[tuple[str, ...], ImageArrays, ImageArrays]:
    """Read class names, training and test split of an archive with one of ``LAYOUTS``' names.

    CIFAR-100 gives its 100 fine labels. Raises ``BadData``.
    """
    layout = LAYOUTS[path.name]
    members = _members(path, [*layout.train, layout.test, layout.names], progress)
    if layout.labels_key:
        names = _unpickled(path, layout.names, members).get(layout.names_key)
        if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
            raise BadData(f"{path}: {layout.names} does not hold class names")
        read = _python_split
    else:
        names = members[layout.names].split()
        read = _binary_split
    if len(names) != layout.classes:
        raise BadData(f"{path}: {layout.names} names {len(names)} classes, not {layout.classes}")
    classes = tuple(name.decode("ascii", "replace") for name in names)
    train, test = (read(path, layout, files, members) for files in (layout.train, (layout.test,)))
    return classes, train, test


def _members(path: Path, wanted: Sequence[str], progress: Progress | None) -> dict[str, bytes]:
    """Read the wanted regular members; paths within the archive are never used as paths."""
    found: dict[str, bytes] = {}
    try:
        with (
            gzip.open(path) as unpacked,
            tarfile.open(fileobj=_Capped(unpacked), mode="r|") as archive,
        ):
            for member in archive:
                name = PurePosixPath(member.name).name
                if not member.isreg() or name not in wanted:
                    continue
                file = archive.extractfile(member)
                if name in found or file is None:
                    raise BadData(f"{path}: holds {name} more than once")
                found[name] = file.read()
                if progress is not None:
                    progress(f"reading {path.name}", len(found), len(wanted))
                if len(found) == len(wanted):
                    break
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise BadData(f"{path}: cannot read the archive: {error}") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BadData(f"{path}: the archive lacks {', '.join(missing)}")
    return found


class _Capped(io.BufferedIOBase):
    """A stream that ends in an error once ``MAX_BYTES`` are read from it."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self.file = file
        self.left = MAX_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self.left + 1 if size is None or size < 0 else min(size, self.left + 1)
        piece = self.file.read(wanted)
        self.left -= len(piece)
        if self.left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {MAX_BYTES} bytes")
        return piece


def _binary_split(
    path: Path, layout: Layout, files: Sequence[str], members: dict[str, bytes]
) -> ImageArrays:
    """Records of one label byte (CIFAR-100: coarse, then fine) and 3,072 of red, green, blue."""
    record = layout.label_bytes + PIXELS
    for name in files:
        if not members[name] or len(members[name]) % record:
            raise BadData(f"{path}: {name} is not a whole number of {record}-byte records")
    content = b"".join(members[name] for name in files)
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    labels = records[:, layout.label_bytes - 1].astype(np.int64)
    return _split(records[:, layout.label_bytes :], labels)


def _python_split(
    path: Path, layout: Layout, files: Sequence[str], members: dict[str, bytes]
) -> ImageArrays:
    pixels, labels = [], []
    for name in files:
        batch = _unpickled(path, name, members)
        data, numbers = batch.get(b"data"), batch.get(layout.labels_key)
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2:
            raise BadData(f"{path}: {name} holds no array of bytes")
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            raise BadData(f"{path}: {name} holds no whole-number labels")
        if data.shape != (len(numbers), PIXELS) or not numbers:
            raise BadData(f"{path}: {name} holds {data.shape} pixels for {len(numbers)} labels")
        if min(numbers) < 0 or max(numbers) >= layout.classes:
            raise BadData(f"{path}: {name} has a label outside 0 to {layout.classes - 1}")
        pixels.append(data)
        labels.append(np.array(numbers, dtype=np.int64))
    return _split(np.concatenate(pixels), np.concatenate(labels))


def _split(planes: np.ndarray, labels: np.ndarray) -> ImageArrays:
    images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return ImageArrays(np.ascontiguousarray(images), labels)


class _OnlyArrays(pickle.Unpickler):
    """Knows what a pickled array needs (and how Python 3 pickles bytes); refuses other names."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _unpickled(path: Path, name: str, members: dict[str, bytes]) -> dict[Any, Any]:
    try:
        content = _OnlyArrays(io.BytesIO(members[name]), encoding="bytes").load()
    except Exception as error:  # a damaged pickle may raise anything
        raise BadData(f"{path}: {name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise BadData(f"{path}: {name} is not a batch")
    return content
