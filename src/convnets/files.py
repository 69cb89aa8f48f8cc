"""The only code that writes files, and the one that lists folders.

A file appears whole or not at all: ``atomic_write`` writes a temporary file beside it, syncs, and
renames. ``failpoint`` marks the moments at which the crash tests kill the process.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import signal
import stat
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnets.errors import BadInput, DiskFull, EnvironmentFailure, UsageError

_PIECE = 1 << 20
JSON_LIMIT = 64 << 20


def failpoint(name: str) -> None:
    """Kill this process here if the environment's ``CONVNETS_FAULT`` names this point.

    The variable reads ``NAME`` or ``NAME:N`` (the N-th time the point is reached, from 1).
    """
    wanted = os.environ.get("CONVNETS_FAULT")
    if not wanted:
        return
    point, _, nth = wanted.partition(":")
    if point != name:
        return
    left = int(nth or 1) - 1
    if left:
        os.environ["CONVNETS_FAULT"] = f"{point}:{left}"
        return
    os.kill(os.getpid(), signal.SIGKILL)


def atomic_write(path: Path, content: bytes | str | Iterable[bytes]) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, whole.

    Raises ``DiskFull`` when the disk, a quota or a permission refuses, leaving no temporary file.
    """
    path = Path(path)
    temporary = path.with_name(f".tmp.{os.getpid()}.{secrets.token_hex(4)}")
    with contextlib.ExitStack() as cleanup:
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            failpoint("pre-open")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        cleanup.callback(temporary.unlink, missing_ok=True)
        cleanup.callback(os.close, descriptor)
        written = 0
        for piece in _pieces(content):  # what the source raises is its own, not the disk's
            with refusals(path, written):
                written += _write(descriptor, piece)
        with refusals(path, written):
            failpoint("pre-fsync")
            os.fsync(descriptor)
            failpoint("pre-rename")
            os.replace(temporary, path)
            failpoint("post-rename")
            sync_directory(path.parent)


def _pieces(content: bytes | str | Iterable[bytes]) -> Iterator[memoryview]:
    if isinstance(content, str):
        content = content.encode("utf-8")
    for part in [content] if isinstance(content, bytes) else content:
        view = memoryview(part).cast("B")
        yield from (view[i : i + _PIECE] for i in range(0, len(view), _PIECE))


def _write(descriptor: int, piece: memoryview) -> int:
    """Write all of a piece, however little the system takes at once; return its length."""
    left = piece
    while left:
        failpoint("write")
        left = left[os.write(descriptor, left) :]
    return len(piece)


@contextlib.contextmanager
def refusals(path: Path, written: int = 0) -> Iterator[None]:
    """Turn the system's refusal to write into ``DiskFull`` with what to do about it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = f"more than {written} bytes are needed; free some space or choose another --out"
        else:
            hint = "choose another --out or mend its permissions"
        raise DiskFull(f"{path}: cannot write: {reason}; {hint}") from error


@dataclass(frozen=True)
class Lock:
    """A lock's file: whether it is ``held`` here, else by another, and who has signed it."""

    held: bool
    descriptor: int

    @property
    def signed(self) -> str:
        """What its holder wrote; empty where that is nothing."""
        return os.pread(self.descriptor, 200, 0).decode("utf-8", "replace")

    def sign(self, text: str) -> None:
        """Say who holds it: a courtesy, which a full disk may refuse."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, text.encode(), 0)


@contextlib.contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[Lock]:
    """Hold a file's lock, or without ``wait`` learn that another process does.

    The kernel frees that of a process that died. Raises ``DiskFull`` or ``EnvironmentFailure``.
    """
    try:
        import fcntl
    except ImportError as missing:
        raise EnvironmentFailure("runs need a POSIX system, Linux or macOS") from missing
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise EnvironmentFailure(
                    f"{path}: cannot lock: {error.strerror}; choose another --out"
                ) from error
            held = False
        yield Lock(held, descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make a rename or removal in ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_line(path: Path, line: str) -> None:
    """Append one line with a single write: a crash leaves it whole, cut at the end, or absent."""
    path = Path(path)
    data = line.encode("utf-8") + b"\n"
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Remove one file; a file that is gone already is no error."""
    failpoint("pre-prune")
    with refusals(path), contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    failpoint("post-prune")


def set_aside(path: Path) -> None:
    """Rename what cannot be read to ``NAME.damaged``, so that its name is free again."""
    with refusals(path):
        os.replace(path, path.with_name(f"{path.name}.damaged"))


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """Return strict JSON: ASCII, no NaN, keys in the order given."""
    return json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=True)


def read_json(path: Path) -> Any:
    """Read strict JSON of at most 64 MiB; raises ``BadInput`` with the path and the reason."""
    path = Path(path)
    try:
        if path.stat().st_size > JSON_LIMIT:
            raise BadInput(f"{path}: larger than {JSON_LIMIT} bytes; not one of our records")
        return parse_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot read: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path}: not valid JSON: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """Read strict JSON: no NaN, each key once; raises ``ValueError``, for deep nesting too."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_each_key_once)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def read_toml(path: Path) -> dict[str, Any]:
    """What a person wrote; raises ``BadInput`` where unreadable, ``UsageError`` where no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key is given twice")
    return record


def short_hash(value: Any) -> str:
    """Eight hex digits that name a JSON value, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def walk(folder: Path) -> Iterator[Path]:
    """Yield the regular files below ``folder``, sorted, each real file once.

    Symbolic links to folders are not followed; a link to a file counts if the file was not seen
    already. Sockets, pipes and devices are passed over. Hidden entries are skipped.
    """
    seen: set[tuple[int, int]] = set()

    def visit(directory: Path) -> Iterator[Path]:
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise BadInput(f"{directory}: cannot list: {error.strerror}") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from visit(Path(entry.path))
                continue
            try:
                found = entry.stat()
            except OSError:
                yield Path(entry.path)  # a dangling link: the reader says what is wrong with it
                continue
            key = (found.st_dev, found.st_ino)
            if stat.S_ISREG(found.st_mode) and key not in seen:
                seen.add(key)
                yield Path(entry.path)

    yield from visit(Path(folder))
