"""``convnets predict``: from files, folders, lists and standard input, to table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnets.weights import load_model, predict, save_model
from tests.cli.conftest import Call


@pytest.fixture(scope="module")
def model(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of LeNet-5, trained for a moment on two classes."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(run, path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Seven images in a folder of their own."""
    folder = tmp_path / "images"
    folder.mkdir()
    draw = np.random.default_rng(0)
    paths = [folder / f"{number}, an image.png" for number in range(7)]
    for path in paths:
        Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return paths


def on_standard_input(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_every_form_says_what_the_library_says(
    call: Call, model: Path, images: list[Path], tmp_path: Path
) -> None:
    expected = predict(load_model(model), images, top=2).predictions
    records = [one.to_dict() for one in expected]
    folder = images[0].parent
    options = ("--top", 2, "--device", "cpu", "--batch-size", 3)
    said = call("predict", model, folder, *options, "--json")
    assert (said.code, said.err) == (0, "")
    for record, wanted in zip(json.loads(said.out), records, strict=True):
        assert record["path"] == wanted["path"]
        for guess, known in zip(record["classes"], wanted["classes"], strict=True):
            assert guess["name"] == known["name"]
            assert guess["probability"] == pytest.approx(known["probability"], abs=1e-5)

    said = call("predict", model, folder, *options, "--csv", "-")
    heading, *lines = rows(said.out)
    assert heading == ["path", "class_1", "probability_1", "class_2", "probability_2"]
    assert [line[0] for line in lines] == [str(path) for path in images]
    assert [line[1] for line in lines] == [r["classes"][0]["name"] for r in records]
    target = tmp_path / "out.csv"
    written = call("predict", model, folder, *options, "--csv", target)
    assert target.read_text() == said.out
    assert (written.out, written.err) == ("", f"7 images: {target}\n")

    said = call("predict", model, folder, *options)
    for path, record in zip(images, records, strict=True):
        guess = record["classes"][0]
        assert f"{path} {guess['name']} {guess['probability']:.1%}" in said.words


def test_an_image_on_standard_input(
    call: Call, model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (expected,) = json.loads(call("predict", model, images[2], "--json").out)
    on_standard_input(images[2].read_bytes(), monkeypatch)
    said = call("predict", model, "-", "--json")
    assert (said.code, json.loads(said.out)) == (0, [{**expected, "path": "-"}])
    on_standard_input(b"not an image", monkeypatch)
    said = call("predict", model, "-", "--csv", "-")
    assert (said.code, len(rows(said.out))) == (3, 1)
    assert said.err.startswith("convnets: -: not an image")


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
@pytest.mark.parametrize("standard", [True, False])
def test_paths_come_from_a_list(
    call: Call, model: Path, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    standard: bool, separator: str,
) -> None:  # fmt: skip
    names = [images[5], images[1], images[0].parent]
    content = separator.join(str(name) for name in names) + separator
    listed = tmp_path / "list"
    listed.write_bytes(content.encode())
    on_standard_input(content.encode(), monkeypatch)
    said = call("predict", model, "--list", "-" if standard else listed, "--csv", "-")
    assert said.code == 0
    found = [line[0] for line in rows(said.out)[1:]]
    assert found == [str(path) for path in (images[5], images[1], *images)]


def test_a_list_holds_names_of_any_bytes(call: Call, model: Path, images: list[Path]) -> None:
    folder = images[0].parent
    odd = os.fsdecode(b"caf\xe9\nnew line.png")
    images[0].rename(folder / odd)
    listed = folder.parent / "list"
    listed.write_bytes(os.fsencode(folder / odd) + b"\0")
    said = call("predict", model, "--list", listed, "--csv", "-")
    assert said.code == 0
    assert rows(said.out)[1][0] == f"{folder}/caf\\udce9\\nnew line.png"


def test_what_cannot_be_read_is_listed_after_the_rest(
    call: Call, model: Path, images: list[Path], tmp_path: Path
) -> None:
    images[3].write_bytes(images[3].read_bytes()[:60])
    (images[0].parent / "text.png").write_bytes(b"text")
    target = tmp_path / "out.csv"
    said = call("predict", model, images[0].parent, tmp_path / "gone.png", "--csv", target)
    assert said.code == 3
    assert len(rows(target.read_text())) == 1 + 6
    summary, *bad = said.err.splitlines()
    assert summary == f"6 images: {target}"
    assert [line.split(": ")[1] for line in bad] == [
        str(images[3]),
        str(images[0].parent / "text.png"),
        str(tmp_path / "gone.png"),
    ]


def test_a_bar_on_the_terminal_takes_nothing_of_the_output(
    call: Call, model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar takes the place of sys.stdout while it moves, and would send results to stderr."""
    plain = {form: call("predict", model, *images, *form) for form in (("--json",), ("--csv", "-"))}
    ours, theirs = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with open(theirs, "w") as terminal, monkeypatch.context() as patched:
        for form, expected in plain.items():
            patched.setattr(sys, "stderr", terminal)
            assert call("predict", model, *images, *form).out == expected.out
        terminal.flush()
        shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "predicting" in shown
    assert "class_1" not in shown


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "give images, folders, - for an image on standard input, or --list FILE"),
        (("-", "-"), 2, "standard input can be read once"),
        (("-", "--list", "-"), 2, "standard input can be read once"),
        (("a.png", "--json", "--csv", "-"), 2, "--json or --csv, not both"),
        (("--list", "nowhere"), 3, "nowhere: cannot read: No such file"),
        (("--list", os.devnull), 3, "no path in it"),
    ],
)
def test_what_makes_no_sense_is_told(
    call: Call, model: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    said = call("predict", model, *arguments)
    assert (said.code, said.out) == (code, "")
    assert says in said.err
    assert said.err.count("\n") == 1
