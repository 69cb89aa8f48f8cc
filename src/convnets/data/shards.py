"""Sets that outgrow memory: tar shards and Parquet files, on this machine or in object storage.

A tar shard is in the layout of webdataset (Aizman et al. 2019): the files of a sample lie side by
side and share all of their name up to its first dot, as in ``00012.jpg`` and ``00012.cls``. Images
are read in place by their offset and never unpacked. Parquet keeps its images compressed together,
so they are copied once, one behind the other, into a file of the cache.

All images are looked at once; what was found is kept as an index in the cache. From then on a set
is its index, and every image a position in a file: order, ranks and resuming are as in any set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, overload

import fsspec
import numpy as np

from convnets.data.folders import LICENCE, TEST_FOLDERS, refuse_equal_names
from convnets.data.scan import unreadable
from convnets.data.sets import ImageFiles, ImageSet, OnError, Progress, held_out, image_set
from convnets.data.shard_index import DIGEST, Index, Shard, index_of
from convnets.errors import BadData, BadImage, EnvironmentFailure, UsageError, printable

Value = TypeVar("Value")
FOLDERS = ("data", "train", *TEST_FOLDERS)
CLASS_FILES = ("classes.txt", "classnames.txt")
MAX_CLASS_BYTES = 16 << 20
LARGE_TABLES = 2 << 30
"""Bytes of Parquet files above which a set is not read into memory."""


def are_shards(source: str) -> bool:
    """Whether a set is read in place: a URL, tar files, or Parquet files too large to keep."""
    if "://" in source or "::" in source:
        return True
    path = Path(source)
    folders = [path, *(path / name for name in FOLDERS)]
    files = [path] if path.is_file() else [f for folder in folders for f in folder.glob("*.*")]
    if any(each.suffix == ".tar" for each in files):
        return True
    return sum(f.stat().st_size for f in files if f.suffix == ".parquet") > LARGE_TABLES


def read_shards(source: str, *, on_error: OnError, progress: Progress | None) -> ImageSet:
    """Read a set of shards by its index, which is made where it is missing.

    ``source`` is a path or whatever fsspec takes: ``s3://...``, ``simplecache::https://...``. A
    shard whose name begins with test, val or validation is of the test split; without any, a fifth
    of each class is held out. Class names are lines of ``classes.txt``, labels written out, or
    those in the Parquet files' metadata. Raises ``BadData``, and ``EnvironmentFailure`` where
    storage does not answer.
    """
    try:
        system, root = _opened(source)
        shards, names = _found(system, root, source)
        index = index_of(system, shards, source, progress)
        index = replace(index, names=names or index.names)
    except OSError as error:
        raise EnvironmentFailure(f"{source}: cannot read: {error}") from error
    if shards[0].path.endswith(".parquet"):
        system = fsspec.filesystem("file")
    return _set(source, system, index, shards, on_error)


def _opened(source: str) -> tuple[Any, str]:
    """The file system of a URL or path, and the place within it."""
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(source)
    except ImportError as error:
        raise EnvironmentFailure(
            f"{source}: {error}; install what fsspec needs for it, as pip install s3fs"
        ) from error
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from error
    return found


def _found(system: Any, root: str, source: str) -> tuple[list[Shard], tuple[str, ...]]:
    """The shards below ``root`` in order of their names, and the class names that lie beside."""
    found = system.find(root, detail=True)
    shards = [
        Shard(path, path.removeprefix(root), int(about["size"]), _stamp(about))
        for path, about in sorted(found.items())
        if path.endswith((".tar", ".parquet"))
    ]
    kinds = {shard.path.rpartition(".")[2] for shard in shards}
    if not shards:
        compressed = next((path for path in found if path.endswith((".tar.gz", ".tgz"))), None)
        hint = f"{compressed} is compressed, so that nothing in it has a place; gunzip it"
        raise BadData(f"{source}: " + (hint if compressed else "no .tar or .parquet file in it"))
    if len(kinds) > 1:
        raise BadData(f"{source}: holds both .tar and .parquet files; give a folder of one kind")
    for path in found:
        if PurePosixPath(path).name in CLASS_FILES:
            text = system.cat_file(path, start=0, end=MAX_CLASS_BYTES).decode("utf-8", "replace")
            return shards, tuple(line.strip() for line in text.splitlines() if line.strip())
    return shards, ()


def _stamp(about: dict[str, Any]) -> str:
    """What storage says of a file that changes with its content."""
    return str(
        next((about[key] for key in ("ETag", "etag", "mtime", "created") if key in about), "")
    )


class Rows(Sequence[Value]):
    """Some rows of an index, each made when it is asked for."""

    def __init__(self, rows: np.ndarray, made: Callable[[int], Value]) -> None:
        self.rows, self.made = rows, made

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Value: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Value]: ...
    def __getitem__(self, place: int | slice) -> Value | Sequence[Value]:
        if isinstance(place, slice):
            return Rows(self.rows[place], self.made)
        return self.made(int(self.rows[place]))


def _set(
    source: str, system: Any, index: Index, shards: Sequence[Shard], on_error: OnError
) -> ImageSet:
    """The set of an index: images are read, and named, when they are asked for."""
    table, shard, grey = index.table, index.column("shard"), index.column("grey")
    height, width = index.column("height"), index.column("width")
    start, length = index.column("offset"), index.column("length")
    digests = np.frombuffer(table["digest"].combine_chunks().buffers()[1], np.uint8)
    digests = digests.reshape(-1, DIGEST)[: len(table)]

    def named(row: int) -> Path:
        return Path(shards[shard[row]].path, table["key"][row].as_py())

    def content(row: int) -> bytes:
        end = int(start[row]) + int(length[row])
        try:
            found: bytes = system.cat_file(index.files[shard[row]], start=int(start[row]), end=end)
        except OSError as error:
            raise BadImage(named(row), f"cannot read: {error}") from error
        return found

    unread = np.flatnonzero(table["reason"].is_valid().to_numpy()).tolist()
    bad = [BadImage(named(row), table["reason"][row].as_py()) for row in unread]
    if bad and on_error == "fail":
        raise BadData(unreadable(source, bad))
    good = np.setdiff1d(np.arange(len(table)), unread)
    classes, labels = _labels(source, index)
    held = np.array([each.for_test for each in shards])[shard]
    if not held.any():
        shown = Rows(good, lambda row: digests[row].tobytes())
        held[good[held_out(labels[good], shown, classes, source)]] = True
    for label in np.setdiff1d(np.arange(len(classes)), labels[good[~held[good]]]):
        raise BadData(f"{source}: class {classes[label]!r} has no readable training image")

    def split(rows: np.ndarray) -> ImageFiles:
        sizes = np.unique(np.stack((height[rows], width[rows]), axis=1), axis=0)
        return ImageFiles(
            paths=Rows(rows, named),
            labels=labels[rows],
            channels=1 if grey[good].all() else 3,
            digests=Rows(rows, lambda row: digests[row].tobytes()),
            image_size=(int(sizes[0, 0]), int(sizes[0, 1])) if len(sizes) == 1 else None,
            contents=Rows(rows, content),
        )

    return image_set(
        printable(PurePosixPath(source.rstrip("/")).stem),
        classes,
        split(good[~held[good]]),
        split(good[held[good]]),
        licence=LICENCE,
        source=printable(source),
        skipped=[str(error) for error in bad],
    )


def _labels(source: str, index: Index) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names, and each row's class."""
    encoded = index.table["label"].combine_chunks().dictionary_encode()
    texts: list[str] = encoded.dictionary.to_pylist()
    numbers = [int(text) for text in texts if text.isascii() and text.isdecimal()]
    if len(numbers) == len(texts):
        classes = index.names or tuple(map(str, range(max(numbers, default=-1) + 1)))
    elif numbers:
        odd = next(text for text in texts if not text.isdecimal())
        raise BadData(f"{source}: label {odd!r} beside whole numbers")
    else:
        classes = index.names or tuple(sorted(texts))
        refuse_equal_names(list(classes), source)
        places = {name: place for place, name in enumerate(classes)}
        numbers = [places.get(text, len(classes)) for text in texts]
    for text, number in zip(texts, numbers, strict=True):
        if number >= len(classes):
            raise BadData(f"{source}: label {text!r} is none of its {len(classes)} classes")
    labels: np.ndarray = np.array(numbers, dtype=np.int64)[encoded.indices.to_numpy()]
    return classes, labels
