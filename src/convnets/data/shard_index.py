"""The index of a set of shards: each image's place, size, label and hash, made once and kept."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from convnets.data.decode import picture
from convnets.data.folders import TEST_FOLDERS
from convnets.data.members import Member, parquet_members, tar_members
from convnets.data.sets import Progress
from convnets.data.threads import made_ahead
from convnets.download import user_cache
from convnets.errors import BadData, BadImage
from convnets.files import atomic_write, parse_json, to_json

FORMAT = 1
DIGEST = 32
TEST = re.compile(r"(test|validation|valid|val)([-_.0-9]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Shard:
    """A file of many images: where it is, ``inside`` its set too, and what a change would show."""

    path: str
    inside: str
    size: int
    stamp: str

    @property
    def for_test(self) -> bool:
        """Whether its name, or that of the folder it lies in, says that it is of the test split."""
        *folders, name = PurePosixPath(self.inside.lstrip("/") or self.path).parts
        return bool(TEST.match(name)) or folders[-1:] in [[each] for each in TEST_FOLDERS]


@dataclass(frozen=True)
class Index:
    """All images of a set, one row each, and the files that they are read from.

    ``table`` has the columns of ``SCHEMA``; ``reason`` is what is wrong with an image that cannot
    be read. ``names`` are the classes that the files themselves name.
    """

    table: pyarrow.Table
    files: tuple[str, ...]
    names: tuple[str, ...]

    def column(self, name: str) -> np.ndarray:
        """A column of numbers."""
        values: np.ndarray = self.table[name].to_numpy()
        return values


SCHEMA = pyarrow.schema(
    [
        ("shard", pyarrow.int32()),
        ("offset", pyarrow.int64()),
        ("length", pyarrow.int32()),
        ("key", pyarrow.string()),
        ("label", pyarrow.string()),
        ("height", pyarrow.int32()),
        ("width", pyarrow.int32()),
        ("grey", pyarrow.bool_()),
        ("digest", pyarrow.binary(DIGEST)),
        ("reason", pyarrow.string()),
    ]
)


def index_of(system: Any, shards: Sequence[Shard], source: str, progress: Progress | None) -> Index:
    """The index of these shards as they are now: from the cache, or made and put there."""
    seen = [[shard.path, shard.size, shard.stamp] for shard in shards]
    identity = to_json([FORMAT, source, seen], indent=None)
    folder = user_cache() / "shards" / hashlib.sha256(identity.encode()).hexdigest()[:16]
    path = folder / "index.parquet"
    if not path.exists():
        _make_index(path, system, shards, progress)
    try:
        table = pyarrow.parquet.read_table(path)
        about = parse_json(table.schema.metadata[b"convnets"])
        if table.schema.names != SCHEMA.names:
            raise ValueError("it has other columns")
        return Index(table, tuple(about["files"]), tuple(about["names"]))
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path}: not an index of ours: {error}; remove it") from error


def _make_index(
    path: Path, system: Any, shards: Sequence[Shard], progress: Progress | None
) -> None:
    batches: list[pyarrow.RecordBatch] = []
    files: list[str] = []
    names: tuple[str, ...] | None = None
    for number, shard in enumerate(shards):
        rows: list[tuple[Any, ...]] = []
        with system.open(shard.path, "rb") as file:
            if shard.path.endswith(".tar"):
                files.append(shard.path)
                for _ in _looked_at(tar_members(file, shard.path), number, rows):
                    pass
            else:
                files.append(str(path.with_name(f"{number:05}.images")))
                own, members = parquet_members(file, shard.path)
                if names is not None and own != names:
                    raise BadData(f"{shard.path}: its class names differ from those before it")
                names = own
                atomic_write(Path(files[-1]), _looked_at(members, number, rows))
        columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
        batches.append(pyarrow.record_batch(columns, schema=SCHEMA))
        if progress is not None:
            progress("looking at shards", number + 1, len(shards))
    about = to_json({"files": files, "names": list(names or ())}, indent=None)
    table = pyarrow.Table.from_batches(batches, SCHEMA)
    content = io.BytesIO()
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({"convnets": about}), content, compression="zstd"
    )
    atomic_write(path, content.getvalue())


def _looked_at(
    members: Iterable[Member], shard: int, rows: list[tuple[Any, ...]]
) -> Iterator[bytes]:
    """Add a row for each member, its image decoded in threads; yield its bytes."""
    for member, found in made_ahead(members, _examined):
        place = (shard, member.offset, len(member.content))
        rows.append((*place, member.key, member.label, *found))
        yield member.content


def _examined(member: Member) -> tuple[Member, tuple[int, int, bool, bytes, str | None]]:
    """Height, width, whether grey, SHA-256, and why it cannot be read."""
    digest = hashlib.sha256(member.content).digest()
    try:
        image = picture(member.content, name=member.key)
    except BadImage as error:
        return member, (0, 0, False, digest, error.reason)
    return member, (image.height, image.width, image.mode == "L", digest, None)
