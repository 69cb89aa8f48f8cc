"""A run's folder: its lock, its plan, its log, and its result.

``plan.json`` comes first and ``result.json`` last; a folder with a result is a finished run.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convnets.errors import Busy, EnvironmentFailure, PlanChanged
from convnets.files import append_line, atomic_write, read_json, refusals, remove, to_json
from convnets.records import Result, read_result
from convnets.runs.plan import Plan

try:
    import fcntl
except ImportError as missing:
    raise EnvironmentFailure("runs need a POSIX system, Linux or macOS") from missing


class RunFolder:
    """One run on disk. Everything but ``result`` wants the lock held."""

    def __init__(self, parent: Path, plan: Plan) -> None:
        self.plan = plan
        self.path = Path(parent) / plan.run_name
        self.metrics = self.path / "metrics.jsonl"

    def result(self) -> Result | None:
        """The finished run's result, or None."""
        path = self.path / "result.json"
        return read_result(path) if path.exists() else None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run; raises ``Busy`` if a living process does. The kernel frees a dead one's."""
        with refusals(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise EnvironmentFailure(
                        f"{self.path}: cannot lock: {error.strerror}; choose another --out"
                    ) from error
                holder = (
                    os.pread(descriptor, 200, 0).decode("utf-8", "replace") or "another process"
                )
                raise Busy(
                    f"{self.path}: {holder} works on this run; wait for it or stop it"
                ) from error
            for left in self.path.glob(".tmp.*"):  # by a process that was killed while writing
                remove(left)
            with contextlib.suppress(OSError):  # a courtesy to whoever finds it locked
                os.ftruncate(descriptor, 0)
                holder = f"process {os.getpid()} on {socket.gethostname()}"
                os.pwrite(descriptor, holder.encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def claim(self) -> None:
        """Write the plan, or see that the one there is the same; raises ``PlanChanged``."""
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
        append_line(self.metrics, to_json(line, indent=None))

    def sync_log(self) -> None:
        """Have the log on disk before a checkpoint that is ahead of it."""
        if not self.metrics.exists():
            return
        with refusals(self.metrics):
            descriptor = os.open(self.metrics, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def cut_log(self, step: int, epochs: int) -> None:
        """Drop lines after ``step`` steps and ``epochs`` tested epochs, and a line cut short."""
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
        atomic_write(self.path / "result.json", to_json(result.model_dump(mode="json")) + "\n")


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
