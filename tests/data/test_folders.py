"""Folders of class folders and CSV listings: what is read, and what is refused with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnets.data import ImageFiles, ImageSet, load_data
from convnets.errors import BadData

RANDOM = np.random.default_rng(11)


def picture(path: Path, *, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (8, 8) if mode == "L" else (8, 8, 3)
    Image.fromarray(RANDOM.integers(0, 256, shape, dtype=np.uint8)).save(path, "PNG")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten images each."""
    for name in ("cat", "dog"):
        for number in range(10):
            picture(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


def names(image_set: ImageSet) -> tuple[list[str], list[str]]:
    assert isinstance(image_set.train, ImageFiles)
    assert isinstance(image_set.test, ImageFiles)
    return tuple(
        sorted(f"{path.parent.name}/{path.name}" for path in split.paths)
        for split in (image_set.train, image_set.test)
    )  # type: ignore[return-value]


def test_a_folder_without_a_split_holds_out_a_fifth(folder: Path) -> None:
    pets = load_data(str(folder))
    assert pets.classes == ("cat", "dog")
    assert pets.channels == 3
    assert np.bincount(pets.train.labels).tolist() == [8, 8]
    assert np.bincount(pets.test.labels).tolist() == [2, 2]
    train, test = names(pets)
    assert not set(train) & set(test)
    # the choice follows content, not names
    chosen = {(folder / name).read_bytes() for name in test}
    for path in sorted(folder.rglob("*.png")):
        path.rename(path.with_name(f"renamed-{9 - int(path.stem)}.png"))
    again = load_data(str(folder))
    assert {(folder / name).read_bytes() for name in names(again)[1]} == chosen


@pytest.mark.parametrize("test_name", ["test", "val", "validation"])
def test_a_folder_with_a_split_keeps_it(tmp_path: Path, test_name: str) -> None:
    for split in ("train", test_name):
        for name in ("a", "b"):
            picture(tmp_path / split / name / "deep" / f"{split}.PNG", mode="L")
    found = load_data(str(tmp_path))
    assert found.channels == 1
    assert found.image_size == (8, 8)
    assert names(found) == (["deep/train.PNG"] * 2, [f"deep/{test_name}.PNG"] * 2)


def test_copies_of_one_image_stay_in_one_split(folder: Path) -> None:
    for name in ("cat", "dog"):
        content = (folder / name / "0.png").read_bytes()
        for number in range(1, 8):
            (folder / name / f"{number}.png").write_bytes(content)
    pets = load_data(str(folder))
    assert not set(pets.train.hashes()) & set(pets.test.hashes())


def test_the_fingerprint_sees_content_labels_and_classes(folder: Path) -> None:
    prints = {load_data(str(folder)).fingerprint}
    assert load_data(str(folder)).fingerprint in prints
    picture(folder / "cat/3.png")
    prints.add(load_data(str(folder)).fingerprint)
    (folder / "cat").rename(folder / "bat")
    prints.add(load_data(str(folder)).fingerprint)
    (folder / "bat").rename(folder / "eel")
    prints.add(load_data(str(folder)).fingerprint)
    assert len(prints) == 4


def test_every_unreadable_file_is_named_at_once(folder: Path) -> None:
    (folder / "cat/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "dog/empty.jpg").write_bytes(b"")
    (folder / "dog/dangling.png").symlink_to(folder / "gone")
    (folder / "dog/notes\n.txt").write_text("not an image")
    with pytest.raises(BadData) as caught:
        load_data(str(folder))
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert "4 unreadable images" in message
    assert "\n" not in message
    for name in ("cat/broken.png", "dog/empty.jpg", "dog/dangling.png", r"dog/notes\n.txt"):
        assert name in message
    pets = load_data(str(folder), on_error="skip")
    assert len(pets.skipped) == 4
    assert len(pets.train) + len(pets.test) == 20


def test_every_unreadable_file_is_named(folder: Path) -> None:
    for number in range(33):
        (folder / f"cat/bad{number:02}.png").write_bytes(b"x")
    with pytest.raises(BadData, match=r"33 unreadable") as refusal:
        load_data(str(folder))
    assert all(f"cat/bad{number:02}.png" in str(refusal.value) for number in range(33))


def test_links_and_odd_names(folder: Path, tmp_path: Path) -> None:
    (folder / "cat/loop").symlink_to(folder)
    (folder / "cat/again.png").symlink_to(folder / "cat/0.png")
    (folder / "cat/.hidden").write_text("skipped")
    os.mkfifo(folder / "cat/pipe.png")
    picture(Path(os.fsdecode(os.fsencode(folder / "dog") + b"/caf\xe9.png")))
    picture(folder / "dog" / ("x" * 196 + ".png"))
    (folder / "dog/PICTURE.JPG").write_bytes((folder / "dog/1.png").read_bytes() + b"tail")
    pets = load_data(str(folder))
    assert len(pets.train) + len(pets.test) == 23


def test_layouts_that_are_refused(folder: Path, tmp_path: Path) -> None:
    def refused(reason: str, path: Path = folder) -> None:
        with pytest.raises(BadData, match=reason):
            load_data(str(path))

    stray = picture(folder / "stray.png")
    refused("stray.png is a file beside the class folders")
    stray.unlink()
    (folder / "link").symlink_to(folder / "cat")
    refused("link is a link to a folder")
    (folder / "link").unlink()
    (folder / "fox").mkdir()
    refused("fox: empty class folder")
    (folder / "fox/bad.png").write_bytes(b"")
    with pytest.raises(BadData, match="'fox' has no readable training image"):
        load_data(str(folder), on_error="skip")
    (folder / "fox").joinpath("bad.png").unlink()
    (folder / "fox").rmdir()
    picture(folder / "Cat/0.png")
    refused("'Cat' and 'cat' read the same")
    (folder / "Cat/0.png").unlink()
    (folder / "Cat").rmdir()
    for form in ("caf\u00e9", "cafe\u0301"):
        picture(folder / form / "0.png")
    refused("read the same")
    (tmp_path / "none").mkdir()
    refused("no class folder", tmp_path / "none")
    for number in range(5):
        picture(tmp_path / f"single/only/{number}.png")
    refused("1 class", tmp_path / "single")
    for name in ("train/a", "train/b", "test/a"):
        picture(tmp_path / "uneven" / name / "0.png")
    refused(r"classes differ.*\['b'\]", tmp_path / "uneven")
    for name in ("a", "b"):
        picture(tmp_path / "scarce" / name / "0.png")
    refused("fewer than two different images", tmp_path / "scarce")
    (tmp_path / "text.txt").write_text("hello")
    refused("neither a folder", tmp_path / "text.txt")


def listing(folder: Path, text: str) -> ImageSet:
    path = folder / "list.csv"
    path.write_text(text)
    return load_data(str(path))


@pytest.mark.parametrize("header", ["", "Path,Label\n", "\ufeffpath,label\n"])
def test_reads_a_listing(folder: Path, header: str) -> None:
    rows = [f"{name}/{i}.png,{name}\r\n" for name in ("dog", "cat") for i in range(10)]
    found = listing(folder, header + "".join(rows))
    assert found.classes == ("cat", "dog")
    assert (len(found.train), len(found.test)) == (16, 4)


def test_a_listing_may_give_the_split(folder: Path) -> None:
    text = "label,split,file\n" + "".join(
        f"{label},{'test' if i > 6 else 'train'},{name}/{i}.png\n"
        for label, name in enumerate(("dog", "cat"))
        for i in range(10)
    )
    found = listing(folder, text)
    assert found.classes == ("0", "1")
    assert (len(found.train), len(found.test)) == (14, 6)
    assert names(found)[1][0] == "cat/7.png"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("cat/0.png,-1\ncat/1.png,0\n", "label '-1'"),
        ("cat/0.png,3.5\ncat/1.png,0\n", r"label '3\.5'"),
        ("cat/0.png,NaN\ncat/1.png,0\n", "label 'NaN'"),
        ("cat/0.png,nan\ncat/1.png,dog\n", "label 'dog'"),
        ("cat/0.png,0\ncat/1.png,2\n", "label 2 for 2 classes"),
        ("cat/0.png,\ncat/1.png,dog\n", "no label"),
        ("cat/0.png,cat\ncat/1.png,Cat\n", "read the same"),
        ("../pets/cat/0.png,0\ncat/1.png,1\n", "does not lie below"),
        ("/etc/passwd,0\ncat/1.png,1\n", "does not lie below"),
        ("cat/0.png,0\ncat/0.png,1\n", "line 2.*listed twice"),
        ("cat/0.png,0\ncat/1.png,1,2\n", "line 2: 3 columns"),
        ("cat/0.png\n", "1 columns"),
        ("path,label,split\ncat/0.png,0,train\ncat/1.png,1,\n", "some rows name a split"),
        ("path,label,split\ncat/0.png,0,trial\ncat/1.png,1,train\n", "split 'trial'"),
        ("", "empty"),
        ('cat/0.png,"0\n', "not a CSV"),
    ],
)
def test_listings_that_are_refused(folder: Path, rows: str, reason: str) -> None:
    with pytest.raises(BadData, match=reason):
        listing(folder, rows)


def test_a_listing_names_every_missing_file(folder: Path) -> None:
    rows = [f"{name}/{i}.png,{name}\n" for name in ("dog", "cat") for i in range(12)]
    with pytest.raises(BadData, match="4 unreadable") as caught:
        listing(folder, "".join(rows))
    for name in ("dog/10.png", "dog/11.png", "cat/10.png", "cat/11.png"):
        assert name in str(caught.value)
    with pytest.raises(BadData, match="label 9 for 2 classes"):
        listing(folder, "path,label,split\ncat/0.png,0,train\ncat/1.png,9,test\n")
