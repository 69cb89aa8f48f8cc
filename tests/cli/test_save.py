"""``convnets save``: one file, its card, and what is refused before anything is written."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from convnets.records import Result, read_result
from convnets.weights import load_model
from tests.cli.conftest import Call


@pytest.fixture(scope="module")
def result(run: Path) -> Result:
    return read_result(run / "result.json")


def test_file_and_card_are_written_and_named(
    call: Call, run: Path, result: Result, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "model.safetensors"
    said = call("save", run, "--out", out, "--card", "--license", "mit")
    assert (said.code, said.err) == (0, "")
    for shown in (result.run, result.weights_sha256, "mit", str(out), str(out.with_suffix(".md"))):
        assert shown in said.words
    assert load_model(out).origin.licence == "mit"
    card = out.with_suffix(".md").read_text()
    assert f"{result.top1 * 100:.2f} % top-1" in card
    assert "convnets predict model.safetensors" in card
    assert sorted(path.name for path in out.parent.iterdir()) == ["model.md", "model.safetensors"]


def test_the_cards_own_lines_work(
    call: Call, run: Path, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert call("save", run, "--out", "my model.safetensors", "--card").code == 0
    shutil.copytree(pets / "cat", "photos")
    shutil.copy(pets / "dog" / "0.png", "image.png")
    blocks = re.findall(r"```(\w*)\n(.*?)\n```", Path("my model.md").read_text(), re.DOTALL)
    (python,) = (text for language, text in blocks if language == "python")
    exec(python, {})
    assert capsys.readouterr().out.startswith("image.png (('")
    (shell,) = (text for _, text in blocks if text.startswith("convnets predict"))
    assert call(*shlex.split(shell)[1:]).code == 0
    assert len(Path("classes.csv").read_text().splitlines()) == 1 + 10


def test_json_is_the_files_own_record(
    call: Call, run: Path, result: Result, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"
    record = json.loads(call("save", run, "--out", out, "--json").out)
    assert record["written"] == [str(out)]
    assert (record["sha256"], record["origin"]["top1"]) == (result.weights_sha256, result.top1)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_saved_file_serves_where_a_run_does(
    call: Call, run: Path, result: Result, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert call("save", run, "--out", first).code == 0
    assert call("save", first, "--out", second).code == 0
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give --out FILE.safetensors, --push OWNER/NAME, or both"),
        (("--out", "model.bin"), "a model file is a .safetensors file"),
        (("--card",), "give --out"),
        (("--push", "a/b", "--card"), "--card is written beside --out"),
        (("--out", "a.safetensors", "--private"), "--private goes with --push"),
        (("--out", "a.safetensors", "--licence", "x" * 300), "licence"),
    ],
)
def test_what_makes_no_sense_is_told(
    call: Call, run: Path, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    said = call("save", run, *arguments)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_model_is_told(call: Call, tmp_path: Path) -> None:
    said = call("save", tmp_path, "--out", tmp_path / "a.safetensors")
    assert said.code == 3
    assert "no checkpoint in it" in said.err
    assert list(tmp_path.iterdir()) == []
