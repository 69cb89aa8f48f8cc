"""A folder of class folders, with or without a split of its own."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from convnets.data.scan import Candidate, scanned_set
from convnets.data.sets import ImageSet, OnError, Progress
from convnets.errors import BadData, printable
from convnets.files import walk

TEST_FOLDERS = ("test", "val", "valid", "validation")
LICENCE = "that of the files"


def read_folder(folder: Path, *, on_error: OnError, progress: Progress | None) -> ImageSet:
    """Read ``folder/CLASS/*``, or ``folder/train/CLASS/*`` and ``folder/test/CLASS/*``.

    The test part may be called val, valid or validation too. Classes are sorted by name. Raises
    ``BadData`` for a layout that is not plainly one of these.
    """
    train = folder / "train"
    if not train.is_dir():
        classes, candidates = _class_folders(folder, None)
    else:
        named = [folder / name for name in TEST_FOLDERS if (folder / name).is_dir()]
        classes, candidates = _class_folders(train, False if named else None)
        for test in named[:1]:
            test_classes, listed = _class_folders(test, True)
            if test_classes != classes:
                differ = sorted(set(classes) ^ set(test_classes))
                raise BadData(f"{test}: its classes differ from those of {train}: {differ}")
            candidates += listed
    return scanned_set(
        printable(folder.resolve().name),
        classes,
        candidates,
        decoded=False,
        on_error=on_error,
        progress=progress,
        licence=LICENCE,
        source=printable(str(folder)),
    )


def _class_folders(folder: Path, test: bool | None) -> tuple[tuple[str, ...], list[Candidate]]:
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        raise BadData(f"{folder}: cannot list: {error.strerror}") from error
    names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for entry in sorted(entries, key=lambda entry: entry.name):
        if entry.name not in names:
            kind = "a link to a folder" if entry.is_dir() else "a file"
            raise BadData(f"{folder}: {entry.name} is {kind} beside the class folders")
    if not names:
        raise BadData(f"{folder}: no class folder in it; put the images of each class in one")
    refuse_equal_names(names, str(folder))
    files: dict[str, list[Path]] = {name: [] for name in names}
    for path in walk(folder):
        files[path.relative_to(folder).parts[0]].append(path)
    for name, paths in files.items():
        if not paths:
            raise BadData(f"{folder / name}: empty class folder")
    return tuple(printable(name) for name in names), [
        Candidate(path, label, test) for label, paths in enumerate(files.values()) for path in paths
    ]


def refuse_equal_names(names: list[str], source: str) -> None:
    """Raise ``BadData`` if two class names are equal but for case or Unicode form."""
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise BadData(f"{source}: classes {seen[folded]!r} and {name!r} read the same")
        seen[folded] = name
