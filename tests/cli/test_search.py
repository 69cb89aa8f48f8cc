"""``convnets search`` as a person calls it: what it prints, writes, refuses, and goes on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convnets.cli import main
from convnets.records import read_results
from convnets.search.trials import Trials
from tests.cli.conftest import Call, refused, tree

SPACE = """
base = "lenet5_modern"
[decisions]
form = ["modern", "rectified"]
maps = [[2, 4], [4, 8]]
"""
QUICK = ("--data", "digits", "--images", "100", "--set", "batch_size=25", "--epochs", "1")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "lenets.toml"
    path.write_text(SPACE)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, space: Path) -> Path:
    """A finished study of three trials."""
    out = tmp_path_factory.mktemp("studies") / "study"
    last = ("--trials", "3", "--final", "2", "--final-epochs", "1")
    assert main(["search", str(space), *QUICK, *last, "--out", str(out)]) == 0
    return out


def test_it_says_what_was_found_and_whether_it_was_worth_it(
    call: Call, space: Path, study: Path
) -> None:
    before = tree(study)
    last = ("--trials", 3, "--final", 2, "--final-epochs", 1)
    said = call("search", space, *QUICK, *last, "--out", study)
    assert said.code == 0
    assert "3 trials of" in said.words
    assert "Highest reward: 0." in said.words
    assert "against the base's" in said.words or "The base itself" in said.words
    assert "times what training the base took" in said.words
    assert "convnets bench lenet5_modern" in said.words
    assert "--set batch_size=25 --seeds 3" in said.words
    after = tree(study)
    pages = ("search.md", "search.png", "final/report.html", "final/complexity.png")
    assert {name for name in before if before[name] != after.get(name)} <= set(pages)
    assert after.keys() == before.keys(), "nothing is trained twice, nothing half-written is left"
    assert not any(".tmp." in name for name in after)


def test_its_folder_holds_the_study_the_trials_and_the_tests(study: Path) -> None:
    assert json.loads((study / "study.json").read_text())["space"]["base"] == "lenet5_modern"
    trials = Trials(study).read()
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert (study / "search.png").read_bytes().startswith(b"\x89PNG")
    page = (study / "search.md").read_text()
    for heading in ("## Trained anew", "## Best trials", "\nconvnets bench "):
        assert heading in page
    finals = read_results(study / "final")
    assert "lenet5_modern" in {result.model for result in finals}
    for result in finals:
        assert (result.data.train_images, result.data.test_images) == (100, 100)
        assert list((study / "final" / result.run).glob("*.ckpt")), "the winner can be used"
    assert not list((study / "runs").rglob("*.ckpt"))
    assert (study / "final" / "leaderboard.csv").exists()


def test_json_is_all_of_it(call: Call, space: Path, study: Path) -> None:
    said = call("search", space, *QUICK, "--trials", 4, "--final", 0, "--out", study, "--json")
    record = json.loads(said.out)
    assert record["networks"] == 4
    assert len(record["trials"]) == 4
    assert record["finals"] == []
    assert record["winner"] is None
    assert record["seconds"] > 0
    assert "[4/4] trial 3: 0." in said.err


@pytest.mark.slow
def test_shared_weights_from_the_command_line(call: Call, tmp_path: Path) -> None:
    said = call(
        *("search", "cells", "--how", "shared", "--base", "nasnet_a_cifar@depth=1,width=4"),
        *QUICK,
        *("--trials", 2, "--final", 0, "--out", tmp_path),
    )
    assert said.code == 0
    assert "nasnet_a_cifar@depth=1,width=4,normal=" in said.words
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cell",), ("unknown space 'cell'", "cells")),
        (("residual", "--base", "lenet5"), ("is of lenet",)),
        (("residual", "--base", "resnet2"), ("unknown model",)),
        (("residual", "--how", "shared"), ("space cells alone",)),
        (("residual", "--how", "random", "--sample", 2), ("--sample is for --how evolution",)),
        (("residual", "--population", 2, "--sample", 3), ("population of 2",)),
        (("residual", "--reward", "soft"), ("target",)),
        (("residual", "--target", "40M"), ("target",)),
        (("residual", "--reward", "hard", "--target", "4x"), ("4x",)),
        (("residual", "--validation", 0), ("between 0 and 1",)),
        (("residual", "--recipe", "baselin"), ("unknown recipe",)),
        (("residual", "--how", "luck"), ("luck",)),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    call: Call, tmp_path: Path, arguments: tuple[object, ...], words: tuple[str, ...]
) -> None:
    out = tmp_path / "study"
    refused(call("search", *arguments, "--images", 100, "--out", out), 2, *words)
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (SPACE.replace("maps", "mpas"), "mpas"),
        (SPACE.replace('"rectified"', '"square"'), "form=square"),
        (SPACE.replace("[[2, 4], [4, 8]]", "[]"), "maps has no options"),
        (SPACE.replace("lenet5_modern", "lenet6"), "lenet6"),
    ],
)
def test_a_wrong_space_of_ones_own_is_refused(
    call: Call, tmp_path: Path, text: str, word: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    refused(call("search", path, "--out", tmp_path / "study"), 2, "mine.toml", word)
    assert not (tmp_path / "study").exists()


def test_a_changed_command_is_refused_on_an_old_folder(
    call: Call, space: Path, study: Path
) -> None:
    before = tree(study)
    said = call("search", space, *QUICK, "--trials", 3, "--seed", 1, "--out", study)
    refused(said, 2, "study.json: differs in", "seed")
    assert tree(study) == before
