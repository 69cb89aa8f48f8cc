"""A user's own space, from a TOML file: a network and the options of some fields of its spec.

base = "resnet20"

[decisions]
blocks = [1, 2, 3]
width = [8, 16, 24]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from convnets.errors import UsageError, first_problem
from convnets.files import read_toml
from convnets.records import Record
from convnets.search.spaces import Decision, Space, space


class SpaceFile(Record):
    """What the file holds. An option that is a list stands for a tuple of the spec."""

    base: str
    decisions: dict[str, tuple[Any, ...]] = Field(min_length=1, max_length=200)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")


def read_space(path: Path) -> Space:
    """Read a space; raises ``BadInput`` for an unreadable file, ``UsageError`` for a wrong one."""
    content = read_toml(path)
    try:
        file = SpaceFile.model_validate({"name": path.stem.lower(), **content})
        decisions = [
            Decision(field, tuple(_frozen(option) for option in options))
            for field, options in file.decisions.items()
        ]
        return space(file.name, file.base, decisions)
    except ValidationError as error:
        raise UsageError(f"{path}: {first_problem(error.errors())}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _frozen(option: Any) -> Any:
    """Lists as tuples, as a spec has them."""
    return tuple(_frozen(each) for each in option) if isinstance(option, list) else option
