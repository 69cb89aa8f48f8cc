"""The Parquet layout of the Hugging Face hub: images, labels, class names in the metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from convnets.data.scan import Candidate, scanned_set
from convnets.data.sets import ImageSet, OnError, Progress
from convnets.errors import BadData

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")


def read_parquet(
    name: str,
    paths: Sequence[Path],
    *,
    on_error: OnError,
    progress: Progress | None,
    licence: str,
    source: str,
    jpeg_name: str | None = None,
) -> ImageSet:
    """Read a set from hub-layout Parquet files; raises ``BadData``.

    A file's name says its split: ``train*``, and ``test*`` or else ``validation*``.
    """
    train = _of_split(paths, "train")
    test = _of_split(paths, "test") or _of_split(paths, "validation") or _of_split(paths, "val")
    if not train:
        train = [path for path in paths if path not in test]
    if not train:
        raise BadData(f"{source}: no training Parquet file; its name begins with 'train'")
    classes: tuple[str, ...] | None = None
    candidates: list[Candidate] = []
    for path in [*train, *test]:
        table, names = _read_table(path)
        if classes is not None and names != classes:
            raise BadData(f"{path}: its class names differ from those of {train[0]}")
        classes = names
        candidates += _candidates(path, table, (path in test) if test else None)
    labels = [candidate.label for candidate in candidates]
    if not classes:
        classes = tuple(str(label) for label in range(max(labels, default=-1) + 1))
    for candidate in candidates:
        if not 0 <= candidate.label < len(classes):
            raise BadData(
                f"{candidate.path}: label {candidate.label}; labels are 0 to {len(classes) - 1}"
            )
    return scanned_set(
        name,
        classes,
        candidates,
        decoded=True,
        on_error=on_error,
        progress=progress,
        licence=licence,
        source=source,
        jpeg_name=jpeg_name,
    )


def _of_split(paths: Sequence[Path], split: str) -> list[Path]:
    pattern = re.compile(rf"{split}([-_.0-9]|$)", re.IGNORECASE)
    return [path for path in paths if pattern.match(path.name)]


def _read_table(path: Path) -> tuple[pyarrow.Table, tuple[str, ...]]:
    """Read the image and label columns, and the class names (empty where the file has none)."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            image, label = image_and_label(path, file.schema_arrow)
            names = class_names(file.schema_arrow, label)
            table = file.read(columns=[image, label])
    except (pyarrow.ArrowException, OSError, ValueError, AttributeError) as error:
        raise BadData(f"{path}: cannot read as hub-layout Parquet: {error}") from error
    return table.rename_columns(["image", "label"]), names


def image_and_label(path: Path, schema: pyarrow.Schema) -> tuple[str, str]:
    """The columns that hold the images and their labels; raises ``BadData``."""
    image, label = (_column(path, schema.names, w) for w in (IMAGE_COLUMNS, LABEL_COLUMNS))
    return image, label


def class_names(schema: pyarrow.Schema, label: str) -> tuple[str, ...]:
    """Class names from the hub's metadata, none where there are none; raises ``ValueError``."""
    metadata = (schema.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    names = features.get(label, {}).get("names", ())
    if not all(isinstance(name, str) for name in names):
        raise ValueError("class names in its metadata are not text")
    return tuple(names)


def _column(path: Path, present: Sequence[str], wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in present:
            return name
    raise BadData(f"{path}: no column {' or '.join(wanted)}; it has {', '.join(present)}")


def _candidates(path: Path, table: pyarrow.Table, test: bool | None) -> list[Candidate]:
    if not pyarrow.types.is_integer(table.schema.field("label").type):
        raise BadData(f"{path}: labels are {table.schema.field('label').type}, not whole numbers")
    listed: list[Candidate] = []
    rows: Any = zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True)
    for row, (image, label) in enumerate(rows):
        content = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(content, bytes) or label is None:
            raise BadData(f"{path}: row {row} has no image bytes or no label")
        listed.append(Candidate(path / str(row), label, test, content))
    return listed
