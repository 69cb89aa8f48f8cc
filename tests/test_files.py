"""Files appear whole or not at all, folders are listed without surprises, JSON is strict."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from convnets import files
from convnets.errors import BadInput, DiskFull
from convnets.files import (
    append_line,
    atomic_write,
    read_json,
    remove,
    set_aside,
    short_hash,
    to_json,
    walk,
)
from tests.children import in_child

OLD, NEW = b"old" * 1000, b"newer" * 1000
POINTS = ("pre-open", "write", "pre-fsync", "pre-rename", "post-rename")


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".tmp.")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("höher\n", "höher\n".encode()),
        (OLD, OLD),
        ([b"in ", b"", b"parts"], b"in parts"),
        (b"", b""),
    ],
)
def test_a_write_is_the_content_and_nothing_else(
    tmp_path: Path, content: bytes | str | list[bytes], expected: bytes
) -> None:
    path = tmp_path / "new folder" / "file"
    atomic_write(path, content)
    assert path.read_bytes() == expected
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path, point: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def work() -> None:
        os.environ["CONVNETS_FAULT"] = f"{point}:2"
        atomic_write(tmp_path / "other", b"first time")
        atomic_write(path, NEW)

    assert in_child(work)[0] == -signal.SIGKILL
    assert (tmp_path / "other").read_bytes() == b"first time"
    assert path.read_bytes() == (NEW if point == "post-rename" else OLD)


def test_data_is_on_disk_before_its_name_and_its_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        calls.append(f"fsync {os.path.basename(os.readlink(f'/proc/self/fd/{descriptor}'))[:4]}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    folder = tmp_path / "home"
    atomic_write(folder / "file", NEW)
    assert calls == ["fsync .tmp", "rename", "fsync home"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_refused_write_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    write = os.write

    def short_then_refused(descriptor: int, data: memoryview) -> int:
        if len(data) == len(NEW):
            return write(descriptor, data[:100])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", short_then_refused)
    with pytest.raises(DiskFull) as caught:
        atomic_write(path, NEW)
    assert str(path) in str(caught.value)
    assert os.strerror(code) in str(caught.value)
    assert caught.value.exit_code == 5
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["file"]


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    atomic_write(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW


def test_the_systems_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        atomic_write(path, NEW)

    code, message = in_child(work)
    assert code == 5
    assert str(path) in message
    assert "bytes are needed" in message
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskFull, match="file/below"):
        atomic_write(tmp_path / "file" / "below", b"")


@pytest.mark.parametrize(
    "error", [TimeoutError("no answer"), ValueError("bad"), KeyboardInterrupt()]
)
def test_what_a_source_raises_is_its_own(tmp_path: Path, error: BaseException) -> None:
    def source() -> Iterator[bytes]:
        yield b"half of"
        raise error

    with pytest.raises(type(error)):
        atomic_write(tmp_path / "file", source())
    assert os.listdir(tmp_path) == []


def test_lines_are_appended_by_one_write_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "log"
    written: list[bytes] = []
    write = os.write

    def noted(descriptor: int, data: bytes) -> int:
        written.append(bytes(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", noted)
    append_line(path, "one")
    append_line(path, "zwölf")
    assert written == [b"one\n", "zwölf\n".encode()]
    assert path.read_bytes() == b"".join(written)


def test_a_line_that_does_not_fit_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))
    with pytest.raises(DiskFull, match="log"):
        append_line(tmp_path / "log", "cut off")


def test_removing_is_quiet_about_what_is_gone_and_plain_about_what_it_cannot(
    tmp_path: Path,
) -> None:
    remove(tmp_path / "gone")
    (tmp_path / "file").write_bytes(b"")
    remove(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DiskFull, match="folder"):
        remove(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


def test_setting_aside_frees_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder"):
        set_aside(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file.damaged", "folder.damaged"]
    with pytest.raises(DiskFull, match="gone"):
        set_aside(tmp_path / "gone")


def test_walk_yields_each_regular_file_once_in_order(tmp_path: Path) -> None:
    names = [b"-dash.png", b"B.png", b"a.png", b"caf\xe9.png", b"new\nline.png", b"x" * 200]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(name)
    below = tmp_path / "c"
    below.mkdir()
    (below / "deep.png").write_bytes(b"")
    (below / "loop").symlink_to(tmp_path)
    (below / "self").symlink_to(below / "self")  # a loop of one: dangling
    (tmp_path / "z hard link.png").hardlink_to(tmp_path / "a.png")
    (tmp_path / "z soft link.png").symlink_to(tmp_path / "B.png")
    (tmp_path / ".hidden").write_bytes(b"")
    (tmp_path / ".folder").mkdir()
    (tmp_path / ".folder" / "inside").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.png")
    found = [os.fsencode(path.relative_to(tmp_path)) for path in walk(tmp_path)]
    assert found == [
        b"-dash.png",
        b"B.png",
        b"a.png",
        b"c/deep.png",
        b"c/self",
        b"caf\xe9.png",
        b"new\nline.png",
        b"x" * 200,
    ]


def test_a_link_to_a_file_outside_counts_once(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("first", "second"):
        (folder / name).symlink_to(tmp_path / "outside")
    assert [path.name for path in walk(folder)] == ["first"]


def test_a_folder_that_cannot_be_listed_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        list(walk(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "text",
    [
        '{"loss": NaN}',
        "[Infinity]",
        "[-Infinity]",
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 1_000_000,
        "",
        "{",
        "'single'",
    ],
    ids=lambda text: text[:12],
)
def test_what_is_not_strict_json_is_bad_input(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"record\.json: not valid JSON") as caught:
        read_json(path)
    assert caught.value.exit_code == 3


def test_json_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'"caf\xe9"')
    (tmp_path / "folder.json").mkdir()
    with open(tmp_path / "vast.json", "wb") as file:
        file.truncate(files.JSON_LIMIT + 1)
    for name in ("latin.json", "folder.json", "vast.json", "missing.json"):
        with pytest.raises(BadInput, match=name):
            read_json(tmp_path / name)


def test_json_goes_round_and_refuses_what_is_not_json(tmp_path: Path) -> None:
    value = {"name": "café \udce9\n", "numbers": [1, 0.1, 1e-300], "none": None, "deep": {"a": []}}
    text = to_json(value)
    assert text.isascii()
    atomic_write(tmp_path / "record.json", text)
    assert read_json(tmp_path / "record.json") == value
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            to_json({"loss": wrong})


def test_a_short_hash_names_a_value_whatever_its_order() -> None:
    value = {"b": [1, 2.5, None], "a": "é"}
    canonical = '{"a":"\\u00e9","b":[1,2.5,null]}'
    assert short_hash(value) == hashlib.sha256(canonical.encode()).hexdigest()[:8]
    assert short_hash(json.loads(canonical)) == short_hash(value)
    assert short_hash({**value, "b": [2.5, 1, None]}) != short_hash(value)
    with pytest.raises(ValueError, match="not JSON compliant"):
        short_hash(float("nan"))


def test_a_fault_names_a_point_and_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _process, number: killed.append(number))
    monkeypatch.setenv("CONVNETS_FAULT", "here:3")
    for turn in range(1, 4):
        files.failpoint("elsewhere")
        files.failpoint("here")
        assert len(killed) == (turn == 3)
    monkeypatch.delenv("CONVNETS_FAULT")
    files.failpoint("here")
    assert killed == [signal.SIGKILL]
