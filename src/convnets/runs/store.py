"""A run's folder: its lock, its plan, its log, its checkpoints, and its result.

``plan.json`` comes first and ``result.json`` last; a folder with a result is a finished run.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from convnets.errors import Busy, PlanChanged
from convnets.files import (
    append_line,
    atomic_write,
    lock,
    read_json,
    refusals,
    remove,
    set_aside,
    to_json,
)
from convnets.records import Result, read_result
from convnets.runs.plan import Plan
from convnets.training.checkpoints import checkpoint_path, checkpoints, commit, newest_checkpoint
from convnets.training.ranks import SOLO, Ranks

LOG = "metrics.jsonl"


class RunFolder:
    """One run on disk. Everything but ``result`` wants the lock held.

    Of several ranks the main one alone reads and writes it; the others call along and learn what
    came of it, errors too. Only ``log`` is the main rank's own affair.
    """

    def __init__(self, parent: Path, plan: Plan, ranks: Ranks = SOLO) -> None:
        self.plan, self.ranks = plan, ranks
        self.path = Path(parent) / plan.run_name
        self.metrics = self.path / LOG

    def result(self) -> Result | None:
        """The finished run's result, or None."""
        path = self.path / "result.json"

        def read() -> Any:
            return read_result(path).model_dump(mode="json") if path.exists() else None

        found = self.ranks.by_main(read)
        return None if found is None else Result.model_validate(found)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run; raises ``Busy`` if a living process does. The kernel frees a dead one's."""
        with contextlib.ExitStack() as held:
            self.ranks.by_main(lambda: held.enter_context(self._locked()))
            yield

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with lock(self.path / ".lock") as found:
            if not found.held:
                holder = found.signed or "another process"
                raise Busy(f"{self.path}: {holder} works on this run; wait for it or stop it")
            for left in self.path.glob(".tmp.*"):  # by a process that was killed while writing
                remove(left)
            found.sign(f"process {os.getpid()} on {socket.gethostname()}")
            yield

    def claim(self) -> None:
        """Write the plan, or see that the one there is the same; raises ``PlanChanged``."""
        self.ranks.by_main(self._claim)

    def _claim(self) -> None:
        path = self.path / "plan.json"
        content = self.plan.content()
        if path.exists():
            before = read_json(path)
            if before != content:
                raise PlanChanged(
                    f"{path}: differs in {', '.join(differing(before, content)) or 'its form'}; "
                    "remove the folder or choose another --out"
                )
            return
        atomic_write(path, to_json(content) + "\n")

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        if self.ranks.main:
            append_line(self.metrics, to_json(line, indent=None))

    def newest(self) -> tuple[dict[str, Tensor], dict[str, Any], list[str]] | None:
        """Tensors and state of the newest good checkpoint, and which were skipped and why."""
        found: list[dict[str, Tensor]] = []

        def read() -> Any:
            newest = newest_checkpoint(self.path)
            if newest is None:
                return None
            found.append(newest[0])
            return newest[1:]

        told = self.ranks.by_main(read)
        if told is None:
            return None
        state, skipped = told
        return self.ranks.tensors(found[0] if found else None), state, skipped

    def commit(self, step: int, tensors: Mapping[str, Tensor], state: dict[str, Any]) -> None:
        """Save the checkpoint of ``step``, the log before it, and drop all but the newest two."""

        def write() -> None:
            self._sync_log()
            commit(self.path, step, tensors, state)

        self.ranks.by_main(write)

    def has(self, step: int) -> bool:
        """Whether the checkpoint of ``step`` is there."""
        return bool(self.ranks.by_main(checkpoint_path(self.path, step).exists))

    def keep(self, count: int) -> None:
        """Drop all but the newest ``count`` checkpoints."""

        def drop() -> None:
            for _, path in checkpoints(self.path)[count:]:
                remove(path)

        self.ranks.by_main(drop)

    def cut_back(self, step: int, epochs: int) -> None:
        """Go back to ``step`` steps and ``epochs`` tested epochs: what is later is no part of it.

        Later checkpoints are set aside; the log loses later lines, and one that was cut short.
        """

        def cut() -> None:
            for later, path in checkpoints(self.path):
                if later > step:
                    set_aside(path)
            self._cut_log(step, epochs)

        self.ranks.by_main(cut)

    def _sync_log(self) -> None:
        """Have the log on disk before a checkpoint that is ahead of it."""
        if not self.metrics.exists():
            return
        with refusals(self.metrics):
            descriptor = os.open(self.metrics, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _cut_log(self, step: int, epochs: int) -> None:
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text("utf-8", "replace").splitlines():
            try:
                entry = json.loads(line)
                epoch = entry.get("epoch", 0) if "test_top1" in entry else 0
                if entry["step"] <= step and epoch <= epochs:
                    kept.append(line + "\n")
            except (ValueError, KeyError, AttributeError, TypeError):
                continue
        atomic_write(self.metrics, "".join(kept))

    def finish(self, result: Result) -> None:
        """Write the result: the run is finished."""
        content = to_json(result.model_dump(mode="json")) + "\n"
        self.ranks.by_main(lambda: atomic_write(self.path / "result.json", content))


def differing(before: Any, after: Any, path: str = "") -> list[str]:
    """Paths at which two JSON values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [
            found
            for key in keys
            for found in differing(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if before == after else [path]
