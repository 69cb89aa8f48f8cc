"""What a recipe is, how a user's own is read, and how one value of it is changed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from convnets.data.augment import Augmentation
from convnets.data.preparation import Sampling
from convnets.errors import UnknownName, UsageError
from convnets.files import read_toml
from convnets.training.settings import Optimisation


class Recipe(Optimisation):
    """A complete training run but for the network, the data and the seed.

    ``stem`` is what ``create_model`` takes; ``input_size`` None means the data's own size, at
    least 32 pixels. ``weights`` are what training starts from: "torchvision", "timm", a file, or a
    repository on the hub. ``sampling`` "balanced" shows every class equally often, "repeated" a
    third of the images three times each.

    ``normalise`` None: each channel less its mean, over its deviation. "unit": pixels from 0 to 1
    as they are; "mean": these less their channel's mean alone, as in AlexNet; "imagenet": with the
    mean and deviation that released weights were trained with.

    ``year`` is that of the paper it follows; ``summary`` says what it is for; ``sources`` gives the
    source of each value by its path, or of a group of values.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$")
    summary: str = ""
    year: int | None = None
    stem: Literal["paper", "small", "auto"] = "auto"
    input_size: int | None = Field(default=None, ge=1, le=4096)
    augmentation: Augmentation = Augmentation()
    weights: str | None = Field(default=None, min_length=1, max_length=4096)
    sampling: Sampling | None = None
    normalise: Literal["mean", "unit", "imagenet"] | None = None
    sources: Mapping[str, str] = {}

    def values(self) -> dict[str, Any]:
        """What decides the weights a run ends with: all but the prose, and all that is off.

        So a plan keeps its name when a field is added that is off unless it is set.
        """
        return _set_alone(self.model_dump(mode="json", exclude={"summary", "year", "sources"}))


WRITTEN_AS_NULL = frozenset({"clip_norm", "ema_decay", "input_size"})
"""The fields that plans name though they are off: there before the others were left out."""


def _set_alone(content: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _set_alone(value) if isinstance(value, dict) else value
        for key, value in content.items()
        if value is not None or key in WRITTEN_AS_NULL
    }


def fields(part: Any) -> frozenset[str]:
    """Every name that a recipe's file may hold, in its parts too."""
    if isinstance(part, type) and issubclass(part, BaseModel):
        inner = (fields(field.annotation) for field in part.model_fields.values())
        return frozenset(part.model_fields).union(*inner)
    return frozenset().union(*(fields(choice) for choice in get_args(part)))


def find(name_or_path: str, known: Iterable[Recipe]) -> Recipe:
    """The recipe of that name among ``known``, or the one in a ``.toml`` file."""
    by_name = {recipe.name: recipe for recipe in known}
    if name_or_path in by_name:
        return by_name[name_or_path]
    if name_or_path.endswith(".toml"):
        return read_recipe(Path(name_or_path))
    raise UnknownName("recipe", name_or_path, by_name)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from TOML; the file's name is its name unless it gives one."""
    return _validated({"name": path.stem, **read_toml(path)}, str(path))


def with_changes(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """Return ``recipe`` with changes like ``"optimizer.lr=0.05"``; path and type are checked.

    Values are read as TOML, and as plain text where they are not TOML.
    """
    content = recipe.model_dump()
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise UsageError(f"--set {change!r}: write FIELD=VALUE, for example optimizer.lr=0.05")
        _assign(content, path.strip(), _literal(text.strip()))
    return _validated(content, "recipe")


def _assign(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = content
    new = False
    for depth, part in enumerate([*parents, last]):
        if not new and (not isinstance(place, dict) or part not in place):
            known = place if isinstance(place, dict) else {}
            prefix = ".".join(path.split(".")[:depth])
            raise UnknownName("recipe field", path, (f"{prefix}.{k}".lstrip(".") for k in known))
        if depth < len(parents):
            if place.get(part) is None:  # a part that was off; what it holds is checked in the end
                place[part], new = {}, True
            place = place[part]
    if last == "kind":  # another kind has other fields: it starts from its own defaults
        kept = {key: place[key] for key in ("lr", "warmup") if key in place}
        place.clear()
        place.update(kept)
    place[last] = value


def _literal(text: str) -> Any:
    if text in ("none", "None", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def _validated(content: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        found = []
        for problem in error.errors():
            path = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                raise UnknownName(
                    f"field in {where}", str(problem["loc"][-1]), fields(Recipe)
                ) from error
            found.append(f"{path}: {problem['msg']} (got {problem['input']!r})")
        raise UsageError(f"{where}: {'; '.join(found)}") from error
