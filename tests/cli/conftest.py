"""Calling a verb as a person does, in this process, and what verbs are called with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnets.cli import main

QUICK = ("--epochs", "1", "--set", "batch_size=8")


@dataclass(frozen=True)
class Said:
    """What a call printed and returned."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Standard output without the tables' spacing."""
        return " ".join(self.out.split())


Call = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run ``convnets`` with these arguments in this process."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return run


def image(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(level).integers(0, 40, (16, 16), dtype=np.uint8)
    Image.fromarray(noise + np.uint8(level)).save(path)


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder with the hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


def refused(said: Said, code: int, *words: str) -> None:
    """One line on stderr, nothing on stdout, no traceback."""
    assert said.code == code, said
    assert said.out == ""
    assert said.err.startswith("convnets: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    assert "Traceback" not in said.err
    assert said.err[:-1].isprintable()
    for word in words:
        assert word in said.err


@pytest.fixture(scope="session")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of ten small grey images each."""
    folder = tmp_path_factory.mktemp("sets") / "pets"
    for number in range(10):
        image(folder / "cat" / f"{number}.png", number)
        image(folder / "dog" / f"{number}.png", 200 + number)
    return folder


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory, pets: Path) -> Path:
    """A folder with one finished run of LeNet-5."""
    folder = tmp_path_factory.mktemp("out")
    assert main(["train", "lenet5", "--data", str(pets), *QUICK, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def run(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


@pytest.fixture(scope="session")
def benched(tmp_path_factory: pytest.TempPathFactory, pets: Path) -> Path:
    """Two networks with two seeds."""
    folder = tmp_path_factory.mktemp("bench")
    names = ["bench", "lenet5", "lenet5_modern", "--data", str(pets), "--seeds", "2"]
    assert main([*names, *QUICK, "--out", str(folder)]) == 0
    return folder
