"""The idx files of MNIST and its like, made here."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from convnets.data import load_data
from convnets.data.idx import read_idx
from convnets.errors import BadData
from tests.data.conftest import arrays, idx, write_idx_set

pytestmark = pytest.mark.usefixtures("no_other_places")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["fashion-mnist", "FashionMNIST/raw"])
def test_reads_idx(tmp_path: Path, zipped: bool, place: str) -> None:
    made = write_idx_set(tmp_path / place, zipped=zipped)
    found = load_data("fashion-mnist", data_dir=tmp_path)
    assert np.array_equal(arrays(found.train).images[..., 0], made["train-images-idx3"])
    assert np.array_equal(arrays(found.test).labels, made["t10k-labels-idx1"])
    assert found.classes[9] == "Ankle boot"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0",  # floats
        idx(np.zeros((3, 4), np.uint8))[:-1],
        idx(np.zeros((3, 4), np.uint8)) + b"\0",
        struct.pack(">HBB4I", 0, 8, 4, *[0xFFFFFFFF] * 4),  # 2^128 bytes
        struct.pack(">HBB3I", 0, 8, 3, 60_000, 200, 200),  # 2.4 GB declared, none there
        gzip.compress(idx(np.zeros((3, 4), np.uint8)), mtime=0)[:-9],
        b"\x1f\x8bnot gzip",
    ],
)
def test_damaged_idx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(BadData, match="t10k-images"):
        read_idx(path)
