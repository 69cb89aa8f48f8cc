"""The idx format of MNIST: a magic number, the dimensions, then bytes; plain or gzip."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from convnets.data.sets import ImageArrays
from convnets.errors import BadData

MAX_BYTES = 4 << 30
UNSIGNED_BYTE = 8


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file of unsigned bytes; raises ``BadData``.

    The declared dimensions must equal the file's size before anything of that size is allocated.
    """
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else open(path, "rb") as file:
            zeros, kind, rank = struct.unpack(">HBB", file.read(4))
            if zeros or kind != UNSIGNED_BYTE or not 1 <= rank <= 4:
                raise BadData(f"{path}: not an idx file of unsigned bytes")
            shape = struct.unpack(f">{rank}I", file.read(4 * rank))
            size = math.prod(shape)
            if size > MAX_BYTES:
                raise BadData(f"{path}: declares {size} bytes; the limit is {MAX_BYTES}")
            content = bytearray()
            while len(content) <= size and (piece := file.read(1 << 20)):
                content += piece
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise BadData(f"{path}: cannot read as idx: {error}") from error
    if len(content) != size:
        more = "more" if len(content) > size else f"{len(content)}"
        raise BadData(f"{path}: declares {shape}, {size} bytes, and holds {more}")
    return np.frombuffer(bytes(content), dtype=np.uint8).reshape(shape)


def read_idx_split(images: Path, labels: Path) -> ImageArrays:
    """Read a pair of idx files: images (n, h, w) and labels (n,); raises ``BadData``."""
    pixels, numbers = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or numbers.ndim != 1 or len(pixels) != len(numbers):
        raise BadData(
            f"{images}: shape {pixels.shape} does not go with labels of shape {numbers.shape}"
        )
    return ImageArrays(pixels[..., None], numbers.astype(np.int64))
