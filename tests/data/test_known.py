"""Known sets: built in, from the shared copies, found in their places, downloaded."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from convnets.data import KNOWN, load_data
from convnets.data.known import Remote
from convnets.errors import BadInput, EnvironmentFailure, UnknownName
from tests.data.conftest import arrays, write_idx_set

pytestmark = pytest.mark.usefixtures("no_other_places")


def test_digits_are_scikit_learns() -> None:
    digits = load_data("digits")
    train, test = arrays(digits.train), arrays(digits.test)
    assert (len(train), len(test)) == (1437, 360)
    assert np.bincount(test.labels).tolist() == [36] * 10
    ours = [
        (image.tobytes(), int(label))
        for split in (train, test)
        for image, label in zip(split.images, split.labels, strict=True)
    ]
    source = load_digits()
    scaled = np.rint(source.images * 255 / 16).astype(np.uint8)
    theirs = [
        (image.tobytes(), int(label)) for image, label in zip(scaled, source.target, strict=True)
    ]
    assert sorted(ours) == sorted(theirs)
    assert digits.channels == 1
    assert digits.image_size == (8, 8)
    assert digits.fingerprint == load_data("digits").fingerprint


def test_shared_mnist(shared: Path) -> None:
    mnist = load_data("mnist", data_dir=shared / "data")
    train, test = arrays(mnist.train), arrays(mnist.test)
    assert train.images.shape == (60_000, 28, 28, 1)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    # the figures every MNIST script normalises with
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert train.images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


def test_shared_cifar10_is_named_for_its_jpegs(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for split in ("train", "test"):
        source = shared / f"data/cifar10/plain_text/{split}-00000-of-00001.parquet"
        table = pyarrow.parquet.read_table(source).slice(0, 300)
        pyarrow.parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    cifar = load_data("cifar10", data_dir=tmp_path)
    assert cifar.name == "cifar10-jpeg"
    assert cifar.classes == KNOWN["cifar10"].classes
    assert arrays(cifar.train).images.shape == (300, 32, 32, 3)
    image = Image.open(io.BytesIO(table["img"][7]["bytes"].as_py()))
    assert np.array_equal(arrays(cifar.test).images[7], np.asarray(image))


def test_a_set_is_found_by_variable_cache_and_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx_set(tmp_path / "cache/convnets/mnist", zipped=True)
    first = load_data("mnist")
    assert load_data(str(tmp_path / "cache/convnets/mnist")).fingerprint == first.fingerprint
    write_idx_set(tmp_path / "other/MNIST/raw", zipped=False)
    monkeypatch.setenv("CONVNETS_DATA", str(tmp_path / "other"))
    assert load_data("mnist").fingerprint != first.fingerprint


def offered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer the idx files of a folder as if they were MNIST's, with their true checksums."""
    files = tuple(
        Remote(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
    )
    known = replace(KNOWN["mnist"], url=f"{folder.as_uri()}/", files=files)
    monkeypatch.setitem(KNOWN, "mnist", known)


def test_a_missing_set_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = tmp_path / "remote"
    write_idx_set(remote, zipped=True)
    offered(remote, monkeypatch)
    told: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    first = load_data("mnist", data_dir=tmp_path / "data", progress=progress)
    assert len(first.train) == 30
    assert len(told) == 4
    assert all(done == total for _, done, total in told)
    for path in remote.iterdir():
        path.unlink()
    assert load_data("mnist", data_dir=tmp_path / "data").fingerprint == first.fingerprint


@pytest.mark.parametrize("change", [b"", b"x", None])
def test_a_download_that_is_not_the_published_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes | None
) -> None:
    remote = tmp_path / "remote"
    write_idx_set(remote, zipped=True)
    offered(remote, monkeypatch)
    victim = remote / "train-images-idx3-ubyte.gz"
    whole = victim.read_bytes()
    # cut to nothing, lengthened, or one byte changed
    victim.write_bytes(whole[:-1] + b"!" if change is None else (change and whole + change))
    with pytest.raises(BadInput, match="train-images"):
        load_data("mnist", data_dir=tmp_path / "data")
    left = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert "train-images-idx3-ubyte.gz" not in left
    assert not any(name.startswith(".tmp") for name in left)


def test_without_network_the_error_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable = replace(KNOWN["cifar100"], url="http://127.0.0.1:9/")
    monkeypatch.setitem(KNOWN, "cifar100", unreachable)
    with pytest.raises(EnvironmentFailure) as caught:
        load_data("cifar100", data_dir=tmp_path)
    message = str(caught.value)
    assert caught.value.exit_code == 5
    assert "http://127.0.0.1:9/cifar-100-binary.tar.gz" in message
    assert str(tmp_path / "cifar100") in message
    assert str(tmp_path / "cache/convnets/cifar100") in message
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean") as caught:
        load_data("cifar-10")
    assert "cifar10" in caught.value.near
    assert caught.value.exit_code == 2
