"""Known sets made small, in a place of their own."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from convnets.data import ImageArrays

RANDOM = np.random.default_rng(5)


@pytest.fixture
def no_other_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder but those a test names is looked into."""
    monkeypatch.delenv("CONVNETS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def arrays(split: object) -> ImageArrays:
    assert isinstance(split, ImageArrays)
    return split


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write_idx_set(folder: Path, *, zipped: bool) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    made = {}
    for split, count in (("train", 30), ("t10k", 11)):
        images = RANDOM.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            made[f"{split}-{kind}"] = array
            content = gzip.compress(idx(array)) if zipped else idx(array)
            (folder / f"{split}-{kind}-ubyte{'.gz' * zipped}").write_bytes(content)
    return made
