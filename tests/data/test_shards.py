"""Sets read in place: what lies in a shard comes back, pixel for pixel, and nothing is unpacked."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from convnets.data import ImageArrays, ImageFiles, ImageSet, load_data
from convnets.data import shard_index as indexing
from convnets.data import shards as module
from convnets.data.augment import Augmentation
from convnets.data.batches import Batches, make_batches
from convnets.errors import BadData, BadImage, EnvironmentFailure, UsageError

RANDOM = np.random.default_rng(5)
IMAGES = RANDOM.integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3
NAMES = ("cat", "dog", "emu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def tar(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """A tar file of regular files, and of entries as they are given."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def sample(number: int, kind: str = "cls") -> list[tuple[str, bytes]]:
    """An image and its label, as number, in JSON, or by its class's name."""
    label = int(LABELS[number])
    text = {
        "cls": str(label).encode(),
        "json": json.dumps({"label": label, "width": 12}).encode(),
        "name": NAMES[label].encode(),
    }[kind]
    beside = "cls" if kind == "name" else kind
    return [(f"{number:04}.png", png(IMAGES[number])), (f"{number:04}.{beside}", text)]


def samples(numbers: range, kind: str = "cls") -> bytes:
    return tar(*(member for number in numbers for member in sample(number, kind)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty training images in two shards, twenty test images in a third."""
    path = tmp_path / "pets"
    path.mkdir()
    (path / "train-0000.tar").write_bytes(samples(range(20)))
    (path / "train-0001.tar").write_bytes(samples(range(20, 40), "json"))
    (path / "test-0000.tar").write_bytes(samples(range(40, 60)))
    (path / "classes.txt").write_text("\n".join(NAMES))
    return path


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def check(found: ImageSet) -> None:
    """See that a set is what ``folder`` holds."""
    assert found.classes == NAMES
    assert (found.channels, found.image_size) == (3, (12, 12))
    assert (len(found.train), len(found.test)) == (40, 20)
    np.testing.assert_array_equal(found.train.labels, LABELS[:40])
    np.testing.assert_array_equal(found.test.labels, LABELS[40:])
    for number in range(40):
        np.testing.assert_array_equal(found.train.image(number), IMAGES[number])
    for number in range(20):
        np.testing.assert_array_equal(found.test.image(number), IMAGES[40 + number])


def test_shards_come_back_and_nothing_is_unpacked(folder: Path, cache: Path) -> None:
    before = listing(folder)
    found = load_data(str(folder))
    check(found)
    assert listing(folder) == before
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["index.parquet"]
    assert isinstance(found.train, ImageFiles)
    assert str(found.train.paths[21]).endswith("train-0001.tar/0021")


def test_object_storage_is_read_alike(folder: Path) -> None:
    system = fsspec.filesystem("memory")
    for path in folder.iterdir():
        system.pipe(f"/bucket/pets/{path.name}", path.read_bytes())
    try:
        found = load_data("memory://bucket/pets")
        check(found)
        assert found.fingerprint == load_data(str(folder)).fingerprint
    finally:
        system.rm("/bucket", recursive=True)


def test_the_index_is_made_once_and_again_when_a_shard_changes(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_data(str(folder))
    with monkeypatch.context() as patch:
        patch.setattr(indexing, "picture", lambda content, name: pytest.fail("looked at again"))
        again = load_data(str(folder))
        check(again)
        assert again.fingerprint == first.fingerprint
        changed = folder / "test-0000.tar"
        changed.write_bytes(samples(range(40, 59)))
        with pytest.raises(pytest.fail.Exception):
            load_data(str(folder))
    assert len(load_data(str(folder)).test) == 19
    (index, _) = cache.rglob("index.parquet")
    for path in (index, _):
        path.write_bytes(b"damaged")
    with pytest.raises(BadData, match=r"index\.parquet: not an index of ours: .*; remove it"):
        load_data(str(folder))


def batches(found: ImageSet, **changes: Any) -> Batches:
    return make_batches(
        found.train,
        size=12,
        batch_size=7,
        mean=(0.5,) * 3,
        deviation=(0.25,) * 3,
        device=torch.device("cpu"),
        seed=3,
        augmentation=Augmentation(padding=2, flip=True),
        training=True,
        **changes,
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_order_ranks_and_resuming_are_those_of_a_set_in_memory(folder: Path, rank: int) -> None:
    found = load_data(str(folder))
    arrays = ImageSet(
        name="pets",
        classes=NAMES,
        train=ImageArrays(IMAGES[:40], LABELS[:40]),
        test=ImageArrays(IMAGES[40:], LABELS[40:]),
        channels=3,
        fingerprint="",
        licence="",
        source="",
    )
    streamed = batches(found, rank=rank, world=2, memory_limit=0)
    kept = batches(arrays, rank=rank, world=2)
    for epoch in range(2):
        pairs = list(zip(streamed.epoch(epoch), kept.epoch(epoch), strict=True))
        for one, other in pairs:
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.targets, other.targets)
            assert torch.equal(one.indices, other.indices)
        later = list(streamed.epoch(epoch, 3))
        assert [b.indices.tolist() for b in later] == [one.indices.tolist() for one, _ in pairs[3:]]


def test_a_set_without_a_split_holds_out_a_fifth_of_each_class(tmp_path: Path) -> None:
    path = tmp_path / "pets.tar"
    path.write_bytes(samples(range(60), "name"))
    found = load_data(str(path))
    assert found.classes == NAMES
    assert found.name == "pets"
    assert np.bincount(found.train.labels).tolist() == [16, 16, 16]
    assert np.bincount(found.test.labels).tolist() == [4, 4, 4]
    seen = {found.train.image(i).tobytes() for i in range(48)}
    assert not seen & {found.test.image(i).tobytes() for i in range(12)}


def test_folders_of_shards_say_the_split_and_numbers_name_classes(tmp_path: Path) -> None:
    for split, numbers in (("train", range(40)), ("val", range(40, 60))):
        (tmp_path / "set" / split).mkdir(parents=True)
        (tmp_path / "set" / split / "00.tar").write_bytes(samples(numbers))
    found = load_data(str(tmp_path / "set"))
    assert found.classes == ("0", "1", "2")
    assert (len(found.train), len(found.test)) == (40, 20)


def table(numbers: range) -> pyarrow.Table:
    rows = {
        "image": [{"bytes": png(IMAGES[n]), "path": None} for n in numbers],
        "label": [int(LABELS[n]) for n in numbers],
    }
    features = {"info": {"features": {"label": {"names": list(NAMES)}}}}
    return pyarrow.table(rows).replace_schema_metadata({"huggingface": json.dumps(features)})


def test_large_parquet_is_laid_out_once_and_read_in_place(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pets"
    folder.mkdir()
    for name, numbers in (("train", range(40)), ("test", range(40, 60))):
        pyarrow.parquet.write_table(table(numbers), folder / f"{name}-0.parquet", row_group_size=7)
    whole = load_data(str(folder))
    check(whole)
    assert not cache.exists()
    monkeypatch.setattr(module, "LARGE_TABLES", 1000)
    found = load_data(str(folder))
    check(found)
    laid = sorted(path.name for path in cache.rglob("*") if path.is_file())
    assert laid == ["00000.images", "00001.images", "index.parquet"]
    bytes_of = sum(len(png(IMAGES[n])) for n in range(60))
    assert sum(path.stat().st_size for path in cache.rglob("*.images")) == bytes_of


def entry(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


def flawed(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    return tar(*sample(0), *members, *sample(1))


IMAGE = png(IMAGES[0])
FLAWS: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut in a file": (lambda: samples(range(9))[:1000], "cut off"),
    "no tar": (lambda: b"not a tar file at all" * 100, "not an uncompressed tar file"),
    "a symbolic link": (lambda: flawed(entry("x.png", tarfile.SYMTYPE)), "neither a file nor"),
    "a hard link": (lambda: flawed(entry("x.png", tarfile.LNKTYPE)), "neither a file nor"),
    "a pipe": (lambda: flawed(entry("x.png", tarfile.FIFOTYPE)), "neither a file nor"),
    "a device": (lambda: flawed(entry("x.png", tarfile.CHRTYPE)), "neither a file nor"),
    "no label": (lambda: flawed(("x.png", IMAGE)), "x has no label"),
    "a label that is no JSON": (lambda: flawed(("x.png", IMAGE), ("x.json", b"{")), "valid JSON"),
    "a label that is a list": (
        lambda: flawed(("x.png", IMAGE), ("x.json", b'{"label": [1]}')),
        "neither a whole number nor text",
    ),
    "a label of two kinds": (lambda: flawed(("x.png", IMAGE), ("x.cls", b"cat")), "beside whole"),
    "a label out of range": (lambda: flawed(("x.png", IMAGE), ("x.cls", b"9")), "none of its 3"),
    "a long label": (lambda: flawed(("x.png", IMAGE), ("x.json", b" " * 2_000_000)), "the limit"),
    "two images": (lambda: flawed(("x.png", IMAGE), ("x.jpg", IMAGE)), "a second image"),
    "a sample in two places": (lambda: flawed(*sample(2), *sample(0)), "do not lie side by side"),
    "an unreadable image": (lambda: flawed(("x.png", b"?"), ("x.cls", b"1")), "1 unreadable image"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flawed_shard_is_refused_by_name(folder: Path, flaw: str) -> None:
    content, words = FLAWS[flaw]
    (folder / "train-0001.tar").write_bytes(content())
    before = listing(folder)
    with pytest.raises(BadData) as caught:
        load_data(str(folder))
    assert words in str(caught.value)
    assert "pets" in str(caught.value)
    assert listing(folder) == before


def test_an_unreadable_image_is_left_out_on_request(folder: Path) -> None:
    bad = tar(*sample(20), ("x.png", b"?"), ("x.cls", b"1"), *sample(21))
    (folder / "train-0001.tar").write_bytes(bad)
    found = load_data(str(folder), on_error="skip")
    assert len(found.train) == 22
    assert len(found.skipped) == 1
    assert "train-0001.tar/x: not an image" in found.skipped[0]
    np.testing.assert_array_equal(found.train.image(21), IMAGES[21])


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "a\nb", "con<script>"])
def test_names_are_names_and_no_paths(folder: Path, tmp_path: Path, name: str) -> None:
    content = tar(*sample(0), (f"{name}.png", IMAGE), (f"{name}.cls", b"2"), *sample(1))
    (folder / "train-0000.tar").write_bytes(content)
    outside = listing(tmp_path)
    found = load_data(str(folder))
    np.testing.assert_array_equal(found.train.image(1), IMAGES[0])
    new = set(listing(tmp_path)) - set(outside)
    assert [os.path.basename(path) for path in new] == ["index.parquet"]


def test_a_shard_harmed_after_its_index_was_made_is_told_of(folder: Path) -> None:
    found = load_data(str(folder))
    path = folder / "train-0001.tar"
    for harm in (lambda: os.truncate(path, 600), path.unlink):
        harm()
        with pytest.raises(BadImage, match=r"train-0001\.tar/0039: "):
            found.train.image(39)


def test_compressed_shards_and_empty_folders_are_told_of(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/pets/train.tar.gz", b"")
    try:
        with pytest.raises(BadData, match=r"train\.tar\.gz is compressed.*gunzip it"):
            load_data("memory://bucket/pets")
        with pytest.raises(BadData, match=r"no \.tar or \.parquet file"):
            load_data("memory://bucket/none")
    finally:
        system.rm("/bucket", recursive=True)
    with pytest.raises(UsageError, match="nowhere"):
        load_data("nowhere://bucket/pets")


def test_storage_that_needs_more_than_is_installed_says_what(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(source: str) -> Iterator[None]:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(EnvironmentFailure, match="Install s3fs to access S3; install what"):
        load_data("s3://bucket/pets")


def test_storage_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Any, path: str, **_: Any) -> Any:
        raise OSError("connection reset")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "find", failing)
    with pytest.raises(EnvironmentFailure, match="cannot read: connection reset"):
        load_data("memory://bucket/pets")
