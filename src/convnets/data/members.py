"""The images within one tar shard or Parquet file, one after the other, with their labels."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow
import pyarrow.parquet

from convnets.data.decode import MAX_BYTES
from convnets.data.parquet import class_names, image_and_label
from convnets.errors import BadData, printable
from convnets.files import parse_json

IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp"})
LABEL_FIELDS = ("label", "cls", "class")
MAX_LABEL_BYTES = 1 << 20
ROWS = 64


@dataclass(frozen=True)
class Member:
    """An encoded image, where its bytes begin, and its label as it is written there."""

    key: str
    label: str
    offset: int
    content: bytes


def tar_members(file: BinaryIO, name: str) -> Iterator[Member]:
    """Yield the samples of an uncompressed tar file; raises ``BadData``.

    A sample's label is the text of ``KEY.cls``, or the field label, cls or class of ``KEY.json``.
    Files of other kinds are passed over, as are folders; nothing else belongs in a shard.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            yield from _samples(archive, name)
    except (tarfile.TarError, EOFError) as error:
        raise BadData(f"{name}: not an uncompressed tar file, or cut off: {error}") from error


def _samples(archive: tarfile.TarFile, name: str) -> Iterator[Member]:
    key, image, label = "", None, None
    seen: set[str] = set()
    for entry in archive:
        archive.members.clear()  # type: ignore[attr-defined]  # or it would keep them all
        if entry.isdir():
            continue
        where = f"{name}: {printable(entry.name)}"
        if not entry.isreg():
            raise BadData(f"{where} is neither a file nor a folder")
        own, _, kind = _parts(entry.name)
        if own != key:
            if image is not None:
                yield _member(name, key, label, image)
            if own in seen:
                raise BadData(f"{where}: the files of a sample do not lie side by side")
            seen.add(own)
            key, image, label = own, None, None
        if kind in IMAGES:
            if image is not None:
                raise BadData(f"{where}: a second image of one sample")
            image = entry.offset_data, _content(archive, entry, where, MAX_BYTES)
        elif kind in ("cls", "json"):
            text = _content(archive, entry, where, MAX_LABEL_BYTES)
            found = _label(text, kind, where)
            label = found if found is not None else label
    if image is not None:
        yield _member(name, key, label, image)


def _parts(path: str) -> tuple[str, str, str]:
    """A name up to its first dot, and what follows, in lower case."""
    folder, slash, base = path.rpartition("/")
    stem, dot, kind = base.partition(".")
    return folder + slash + stem, dot, kind.lower()


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo, where: str, limit: int) -> bytes:
    if entry.size > limit:
        raise BadData(f"{where}: {entry.size} bytes; the limit is {limit}")
    file = archive.extractfile(entry)
    content = file.read() if file is not None else b""
    if len(content) != entry.size:
        raise BadData(f"{where}: cut off after {len(content)} of {entry.size} bytes")
    return content


def _label(content: bytes, kind: str, where: str) -> str | None:
    if kind == "cls":
        return content.decode("utf-8", "replace").strip()
    try:
        found = parse_json(content)
    except ValueError as error:
        raise BadData(f"{where}: not valid JSON: {error}") from error
    fields: dict[str, Any] = found if isinstance(found, dict) else {"label": found}
    value = next((fields[field] for field in LABEL_FIELDS if field in fields), None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadData(f"{where}: label {value!r} is neither a whole number nor text")
    return str(value)


def _member(name: str, key: str, label: str | None, image: tuple[int, bytes]) -> Member:
    if not label:
        raise BadData(f"{name}: {printable(key)} has no label; KEY.cls or KEY.json is meant")
    return Member(printable(key), printable(label), *image)


def parquet_members(file: BinaryIO, name: str) -> tuple[tuple[str, ...], Iterator[Member]]:
    """Class names, and the samples of a hub-layout Parquet file, as if laid end to end."""
    try:
        table = pyarrow.parquet.ParquetFile(file)
        columns = image_and_label(Path(name), table.schema_arrow)
        names = class_names(table.schema_arrow, columns[1])
    except (pyarrow.ArrowException, ValueError, AttributeError) as error:
        raise BadData(f"{name}: cannot read as hub-layout Parquet: {error}") from error

    def members() -> Iterator[Member]:
        row = offset = 0
        for batch in table.iter_batches(batch_size=ROWS, columns=list(columns)):
            for image, label in zip(*(batch[each].to_pylist() for each in columns), strict=True):
                content = image.get("bytes") if isinstance(image, dict) else image
                if not isinstance(content, bytes) or not isinstance(label, int):
                    raise BadData(f"{name}: row {row} has no image bytes or no label")
                yield Member(f"{PurePosixPath(name).stem}/{row}", str(label), offset, content)
                row, offset = row + 1, offset + len(content)

    return names, members()
