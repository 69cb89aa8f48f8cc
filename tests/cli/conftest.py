"""Calling a verb as a person does, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from convnets.cli import main


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
