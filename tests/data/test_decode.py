"""The decoder on every kind of image that it must read, and on everything it must refuse."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from convnets.data.decode import MAX_BYTES, decode, read_image
from convnets.errors import BadImage
from tests.data import corpus

# The product silences Pillow's remarks on odd EXIF data; pytest restores them for every test.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

GOOD = corpus.good()
BAD = corpus.bad()


@pytest.mark.parametrize("name", GOOD)
def test_reads(name: str) -> None:
    case = GOOD[name]
    pixels = decode(case.content, name=name)
    assert pixels.dtype == np.uint8
    assert pixels.shape == case.expected.shape
    difference = np.abs(pixels.astype(int) - case.expected.astype(int)).max()
    assert difference <= case.tolerance


@pytest.mark.parametrize("name", BAD)
def test_refuses(name: str) -> None:
    begun = time.monotonic()
    with pytest.raises(BadImage) as caught:
        decode(BAD[name], name=f"photos/{name}")
    assert time.monotonic() - begun < 2
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith(f"photos/{name}: ")
    assert len(str(caught.value)) > len(f"photos/{name}: ")


def test_grey_has_one_channel_on_request() -> None:
    assert np.array_equal(decode(GOOD["grey"].content, name="x", channels=1)[..., 0], corpus.GREY)
    luma = decode(GOOD["rgb"].content, name="x", channels=1)[..., 0].astype(float)
    # ITU-R 601, to the rounding of fixed-point arithmetic
    assert np.abs(luma - corpus.RGB @ [0.299, 0.587, 0.114]).max() <= 1


def test_names_with_control_characters_stay_on_one_line() -> None:
    with pytest.raises(BadImage) as caught:
        decode(b"", name="a\nb\x1b[31m<script>\udce9.png")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone")
    locked = tmp_path / "locked.png"
    locked.write_bytes(GOOD["rgb"].content)
    locked.chmod(0)
    names = ["pipe.png", "folder.png", "dangling.png", "missing.png"]
    if os.geteuid():
        names.append("locked.png")
    for name in names:
        with pytest.raises(BadImage, match=name):
            read_image(tmp_path / name)


def test_a_file_over_the_cap_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with open(path, "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(BadImage, match="limit"):
        read_image(path)


@pytest.mark.parametrize("name", ["caf\udce9.png", ".hidden.PNG", "a\nb.png", "x" * 196 + ".png"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(GOOD["rgb"].content)
    assert np.array_equal(decode(read_image(path), name=path), corpus.RGB)


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Flip bytes, cut, splice or overwrite with extreme numbers."""
    data = bytearray(content)
    kind = random.integers(4)
    if kind == 0:
        for place in random.integers(0, len(data), random.integers(1, 9)):
            data[place] ^= 1 << random.integers(8)
    elif kind == 1:
        del data[random.integers(1, len(data)) :]
    elif kind == 2:
        start, stop = sorted(random.integers(0, len(data), 2))
        data[start:stop] = random.bytes(int(random.integers(0, 16)))
    else:
        place = int(random.integers(0, max(1, len(data) - 4)))
        data[place : place + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"][
            int(random.integers(3))
        ]
    return bytes(data)


def test_only_bad_image_escapes() -> None:
    random = np.random.default_rng(0)
    seeds = [case.content for case in GOOD.values() if len(case.content) < 50_000]
    read = refused = 0
    for _ in range(2000):
        content = mutated(seeds[random.integers(len(seeds))], random)
        try:
            pixels = decode(content, name="mutation")
        except BadImage:
            refused += 1
        else:
            assert pixels.dtype == np.uint8
            read += 1
    assert min(read, refused) > 200
