"""A CSV file that lists images: path, label and, if wanted, split."""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePath

from convnets.data.folders import LICENCE, refuse_equal_names
from convnets.data.scan import Candidate, scanned_set
from convnets.data.sets import ImageSet, OnError, Progress
from convnets.errors import BadData, printable

MAX_BYTES = 256 << 20
PATH_HEADS = ("path", "file", "filename", "image")
LABEL_HEADS = ("label", "class")
TEST_SPLITS = ("test", "val", "valid", "validation")


def read_listing(path: Path, *, on_error: OnError, progress: Progress | None) -> ImageSet:
    """Read the images that a CSV file lists; paths are relative to its folder and stay below it.

    Columns are path, label and optionally split (train or test), in this order or as a first row
    names them. Labels are all class names, or all whole numbers from 0 on. Raises ``BadData``.
    """
    rows = _rows(path)
    names = [label for _, _, label, _ in rows]
    classes = _classes(path, names)
    numbers = {name: label for label, name in enumerate(classes)}
    splits = {split for _, _, _, split in rows}
    if "" in splits and len(splits) > 1:
        raise BadData(f"{path}: some rows name a split and some do not")
    candidates: list[Candidate] = []
    seen: set[str] = set()
    for line, file, label, split in rows:
        where = f"{path}, line {line}"
        relative = PurePath(file)
        if not file or relative.is_absolute() or ".." in relative.parts:
            raise BadData(f"{where}: {file!r} does not lie below the CSV's folder")
        if file in seen:
            raise BadData(f"{where}: {file!r} is listed twice")
        seen.add(file)
        if split not in ("", "train", *TEST_SPLITS):
            raise BadData(f"{where}: split {split!r}; it is train or test")
        test = split in TEST_SPLITS if split else None
        candidates.append(Candidate(path.parent / relative, numbers[label], test))
    return scanned_set(
        printable(path.stem),
        classes,
        candidates,
        decoded=False,
        on_error=on_error,
        progress=progress,
        licence=LICENCE,
        source=printable(str(path)),
    )


def _rows(path: Path) -> list[tuple[int, str, str, str]]:
    """Line number, path, label and split ("" if none) of each row."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadData(f"{path}: larger than {MAX_BYTES} bytes")
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except OSError as error:
        raise BadData(f"{path}: cannot read: {error.strerror}") from error
    except csv.Error as error:
        raise BadData(f"{path}: not a CSV file: {error}") from error
    if not lines:
        raise BadData(f"{path}: empty")
    head = [cell.casefold() for cell in lines[0][1]]
    file, label, split = 0, 1, 2 if len(head) > 2 else None
    if any(cell in PATH_HEADS for cell in head) and any(cell in LABEL_HEADS for cell in head):
        file = next(i for i, cell in enumerate(head) if cell in PATH_HEADS)
        label = next(i for i, cell in enumerate(head) if cell in LABEL_HEADS)
        split = head.index("split") if "split" in head else None
        del lines[0]
    rows = []
    for line, cells in lines:
        if len(cells) != len(head) or len(cells) < 2:
            raise BadData(f"{path}, line {line}: {len(cells)} columns; path,label[,split] is meant")
        where = "" if split is None else cells[split].casefold()
        rows.append((line, cells[file], cells[label], where))
    return rows


def _classes(path: Path, labels: list[str]) -> tuple[str, ...]:
    """Class names in the order of their labels."""
    names = sorted(set(labels))
    numeric = [name for name in names if _is_number(name)]
    if not numeric:
        if "" in names:
            raise BadData(f"{path}: a row has no label")
        refuse_equal_names(names, str(path))
        return tuple(names)
    for name in names:
        if not (name.isascii() and name.isdigit() and name == str(int(name))):
            raise BadData(
                f"{path}: label {name!r}; beside numbers a label is a whole number from 0"
            )
    for number in range(len(names)):
        if str(number) not in names:
            raise BadData(
                f"{path}: label {max(map(int, names))} for {len(names)} classes, "
                f"and none has label {number}; labels are 0 to {len(names) - 1}"
            )
    return tuple(str(number) for number in range(len(names)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
