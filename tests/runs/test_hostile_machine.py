"""A disk that is full or read-only, a clock that jumps, a read that hangs: told of, survived."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convnets.data import ImageSet, batches, threads
from convnets.data.sets import ImageFiles
from convnets.errors import DiskFull
from convnets.runs import run as runs
from convnets.runs.observer import Observer
from convnets.training.checkpoints import checkpoints, load_checkpoint
from tests.children import in_child
from tests.runs import crash
from tests.runs.test_crash import Ends, finished

CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 1 << 12, 1 << 14, 1 << 18
PATIENCE = 1.0


def unharmed(folder: Path) -> None:
    """See that a run's checkpoints are good and nothing half-written is left."""
    run = crash.only_run(folder)
    assert not list(run.glob(".tmp.*"))
    assert checkpoints(run)
    for _, path in checkpoints(run):
        load_checkpoint(path)


# --- the disk ---------------------------------------------------------------------------------


@pytest.mark.fault("A6")
def test_without_space_for_checkpoints_training_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    stepped: list[int] = []
    watcher = Observer()
    watcher.stepped = lambda report: stepped.append(report.step)  # type: ignore[method-assign]
    with pytest.raises(DiskFull, match="10000 bytes free, checkpoints need") as caught:
        crash.go(tmp_path, observer=watcher)
    assert caught.value.exit_code == 5
    assert stepped == []


@pytest.mark.fault("A6")
def test_a_disk_that_fills_up_leaves_a_run_that_goes_on(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    def work() -> None:
        write, turns = os.write, iter(range(1000))

        def refused(descriptor: int, data: bytes) -> int:
            if len(data) > 10_000 and next(turns) > 12:
                write(descriptor, data[:5000])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, data)

        os.write = refused
        crash.go(tmp_path)

    code, message = in_child(work)
    assert code == 5
    assert ".ckpt: cannot write: No space left on device" in message
    assert len(checkpoints(crash.only_run(tmp_path))) == 2
    unharmed(tmp_path)
    assert finished(tmp_path) == expected


class Acts(Observer):
    """Does something after a step."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.step, self.act = step, act

    def stepped(self, report: Any) -> None:
        if report.step == self.step:
            self.act()


@pytest.mark.fault("A6")
def test_a_limit_on_the_size_of_files_is_told_of(tmp_path: Path, expected: dict[str, Any]) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    code, message = in_child(lambda: crash.go(tmp_path, observer=Acts(9, limit)))
    assert code == 5
    assert "step-00000010.ckpt: cannot write: File too large; more than" in message
    unharmed(tmp_path)
    assert finished(tmp_path) == expected


def mounted(folder: Path, options: str) -> None:
    """Put a small file system of our own at ``folder``, for this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    private = (None, b"/", None, MS_REC | MS_PRIVATE, None)
    own = (b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options.encode())
    failed = libc.unshare(CLONE_NEWNS) or libc.mount(*private) or libc.mount(*own)
    if failed:
        raise PermissionError(os.strerror(ctypes.get_errno()))


def read_only(folder: Path) -> None:
    """Lay the folder over itself, so that files open below do not keep it writable."""
    libc, path = ctypes.CDLL(None), os.fsencode(folder)
    for flags in (MS_BIND, MS_BIND | MS_REMOUNT | MS_RDONLY):
        assert not libc.mount(path, path, None, flags, None)


def on_own_disk(folder: Path, work: Callable[[], Any], options: str) -> tuple[int, Any]:
    """Do ``work`` in a child with its own disk at ``folder``; skip where that is not allowed."""

    def there() -> Any:
        try:
            mounted(folder, options)
        except PermissionError as error:
            return f"no mount: {error}"
        return work()

    code, value = in_child(there)
    if str(value).startswith("no mount"):
        pytest.skip(f"a file system of its own needs root here: {value}")
    return code, value


@pytest.mark.fault("A6")
def test_a_full_disk_of_its_own_is_told_of_and_the_run_goes_on_with_more(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    kept = tmp_path / "kept"

    def work() -> None:
        disk, ballast = tmp_path / "disk", tmp_path / "disk" / "ballast"

        def fill() -> None:
            with ballast.open("wb") as file:
                file.write(b"0" * (shutil.disk_usage(disk).free - 20_000))

        try:
            crash.go(disk, observer=Acts(9, fill))
        finally:
            ballast.unlink()
            shutil.copytree(disk, kept)

    (tmp_path / "disk").mkdir()
    code, message = on_own_disk(tmp_path / "disk", work, "size=3m")
    assert code == 5
    assert "step-00000010.ckpt: cannot write: No space left on device" in message
    unharmed(kept)
    assert finished(kept) == expected


@pytest.mark.fault("A6")
@pytest.mark.parametrize("step", [0, 9])
def test_a_disk_that_may_not_be_written_is_told_of(
    tmp_path: Path, expected: dict[str, Any], step: int
) -> None:
    kept = tmp_path / "kept"

    def work() -> None:
        disk = tmp_path / "disk"
        if not step:
            read_only(disk)
        try:
            crash.go(disk, observer=Acts(step, lambda: read_only(disk)))
        finally:
            shutil.copytree(disk, kept)

    (tmp_path / "disk").mkdir()
    code, message = on_own_disk(tmp_path / "disk", work, "size=8m")
    assert code == 5
    assert "Read-only file system; choose another --out or mend its permissions" in message
    if step:
        unharmed(kept)
        assert finished(kept) == expected
    else:
        assert not list(kept.iterdir())


# --- the clock --------------------------------------------------------------------------------


@pytest.mark.fault("A10")
def test_times_of_files_and_jumps_of_the_clock_change_nothing(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    draw = random.Random(1)

    def work() -> None:
        true = time.time
        time.time = lambda: true() + draw.choice((-3600, 0, 86_400))
        crash.go(tmp_path)

    def stopped() -> None:
        time.time = lambda: 0.0
        crash.go(tmp_path, observer=Ends(21, signal.SIGTERM))

    assert in_child(stopped)[0] == 143
    run = crash.only_run(tmp_path)
    for age, (_, path) in enumerate(checkpoints(run)):  # the newest looks oldest
        os.utime(path, (1_000_000_000 + age, 1_000_000_000 + age))
    assert in_child(work)[0] == 0
    result = json.loads((run / "result.json").read_text())
    seconds = [record["seconds"] for record in result["curve"]]
    assert seconds[0] > 0
    assert seconds == sorted(seconds)
    assert seconds[-1] <= result["seconds"] < 60
    assert crash.final_state(tmp_path) == expected


# --- the data ---------------------------------------------------------------------------------


class Odd(ImageFiles):
    """A split with one image that, after so many reads, does something else than being read."""

    def image(self, index: int) -> np.ndarray:
        if index == 40 and next(READS) >= 3:
            DEEDS[0]()
        return super().image(index)


READS = iter(range(1000))
DEEDS: list[Callable[[], object]] = []


def hang() -> None:
    ours, _theirs = os.pipe()
    os.read(ours, 1)


def no_answer() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def encoded(folder: Path) -> ImageSet:
    """The trial's images as PNG files, in place of arrays."""
    found = crash.pocket_set()
    paths = []
    for number, pixels in enumerate(found.train.images):
        paths.append(folder / f"{number:02}.png")
        Image.fromarray(pixels).save(paths[-1])
    labels = found.train.labels
    return replace(found, train=Odd(tuple(paths), labels, 3, image_size=(32, 32)))


@pytest.mark.fault("A9")
@pytest.mark.parametrize(
    ("deed", "code", "words"),
    [
        ("hangs", 5, f"reading images hangs: nothing has come for {PATIENCE:.0f} seconds"),
        ("is gone", 3, "40.png: cannot read: No such file or directory"),
        ("is damaged", 3, "40.png: not an image"),
        ("fails", 1, ""),
    ],
)
def test_an_image_that_cannot_be_read_any_more_ends_the_run_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str, code: int, words: str
) -> None:
    """Some epochs into training; with the image mended the run goes on as if nothing had been."""
    monkeypatch.setattr(threads, "PATIENCE", PATIENCE)
    monkeypatch.setattr(batches, "DeviceBatches", lambda s, p, _: batches.StreamedBatches(s, p))
    (tmp_path / "images").mkdir()
    images = encoded(tmp_path / "images")
    path = images.train.paths[40]
    good = path.read_bytes()
    deeds = {
        "hangs": hang,
        "is gone": lambda: path.unlink(missing_ok=True),
        "is damaged": lambda: path.write_bytes(b"damaged"),
        "fails": no_answer,
    }

    def go(out: Path) -> None:
        runs.train(
            "pocket",
            images,
            crash.RECIPE,
            out=out,
            engine=crash.ENGINE,
            conduct=runs.Conduct(checkpoint_steps=2),
        )

    def disturbed() -> None:
        DEEDS.append(deeds[deed])
        go(tmp_path / "cut")

    DEEDS[:] = [lambda: None]
    assert in_child(lambda: go(tmp_path / "whole"))[0] == 0
    DEEDS.clear()
    begun = time.monotonic()
    found, message = in_child(disturbed)
    assert time.monotonic() - begun < 10
    assert found == code
    if words:
        assert words in message
    unharmed(tmp_path / "cut")
    path.write_bytes(good)
    DEEDS[:] = [lambda: None]
    assert in_child(lambda: go(tmp_path / "cut"))[0] == 0
    ends = [crash.final_state(tmp_path / each) for each in ("whole", "cut")]
    assert ends[0] == ends[1]
