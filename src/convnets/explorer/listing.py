"""What lies in the folders: finished runs, checkpoints and model files, each under an id.

An id is made here from a name and a hash of the path; what a browser sends is looked up among the
ids and never becomes a path.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convnets.compress.format import MAGIC as COMPRESSED
from convnets.errors import BadInput, UnknownName, printable
from convnets.files import walk
from convnets.records import Result, read_result
from convnets.training.checkpoints import MAGIC as CHECKPOINT
from convnets.training.checkpoints import NAME
from convnets.weights.model_file import is_model_file

ID = re.compile(r"[a-z0-9-]{1,64}")
LONGEST_SLUG = 55
LONGEST_SHOWN = 80
RESULT = "result.json"
START_BYTES = 9


@dataclass(frozen=True)
class Item:
    """A finished run, something that holds weights, or both: a run's folder with checkpoints."""

    id: str
    name: str
    result: Result | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Contents:
    """All items by id, in the order of the folders, and what could not be read and why."""

    items: dict[str, Item]
    problems: tuple[str, ...]

    @property
    def results(self) -> list[Result]:
        """Each run once, however many folders hold it."""
        found = {item.result.run: item.result for item in self.items.values() if item.result}
        return list(found.values())

    def find(self, wanted: str) -> Item:
        """The item of an id; raises ``UnknownName`` for any other text."""
        if not ID.fullmatch(wanted) or wanted not in self.items:
            raise UnknownName("run or model", printable(wanted)[:LONGEST_SHOWN], self.items)
        return self.items[wanted]


class Listing:
    """Folders, or single files with weights, as they are now; results once read are kept."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._read: dict[Path, tuple[tuple[int, int], Result]] = {}

    def contents(self) -> Contents:
        """Look through the folders; a result that cannot be read is a problem, not an error."""
        items: dict[str, Item] = {}
        problems: list[str] = []
        for file in self._files(problems):
            try:
                found = self._item(file)
            except BadInput as error:
                problems.append(str(error))
                continue
            if found is not None:
                before = items.get(found.id, found)
                items[found.id] = replace(
                    found if found.result else before,
                    result=found.result or before.result,
                    weights=found.weights or before.weights,
                )
        return Contents(items, tuple(problems))

    def _files(self, problems: list[str]) -> Iterator[Path]:
        for path in self.paths:
            try:
                yield from walk(path) if path.is_dir() else [path]
            except BadInput as error:
                problems.append(str(error))

    def _item(self, file: Path) -> Item | None:
        """What a file makes of its folder or of itself; None for a file of no interest here."""
        if file.name == RESULT:
            result = self._result(file)
            return Item(_id(file.parent), printable(result.run), result=result)
        if NAME.fullmatch(file.name) and file not in self.paths:
            return Item(_id(file.parent), printable(file.parent.name), weights=file.parent)
        if holds_weights(file):
            return Item(_id(file), printable(file.name), weights=file)
        return None

    def _result(self, file: Path) -> Result:
        try:
            status = file.stat()
        except OSError as error:
            raise BadInput(f"{file}: cannot read: {error.strerror}") from error
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._read.get(file)
        if known is None or known[0] != stamp:
            known = self._read[file] = (stamp, read_result(file))
        return known[1]


def holds_weights(file: Path) -> bool:
    """Whether a file begins as a checkpoint, a model file or a compressed one of ours does."""
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            start = opened.read(START_BYTES)
    except OSError:
        return False
    known = (CHECKPOINT, COMPRESSED)
    return start.startswith(known) or (start.endswith(b"{") and is_model_file(file))


def _id(path: Path) -> str:
    path = path.resolve()
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower())[:LONGEST_SLUG].strip("-")
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return f"{slug}-{digest}".lstrip("-")
