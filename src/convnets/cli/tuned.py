"""What ``compress``, ``shrink``, ``distil`` share: a recipe's training, and settings checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from convnets.cli import options

if TYPE_CHECKING:
    from pydantic import BaseModel

    Settings = TypeVar("Settings", bound=BaseModel)

NOT_HERE = ("input_size", "normalise", "sampling", "weights")


def training(recipe: str, epochs: int | None, changes: list[str] | None) -> dict[str, Any]:
    """A recipe's training, its augmentation and its stem.

    Raises ``UsageError`` for a field that the model file settles already.
    """
    from convnets.errors import UsageError
    from convnets.training.settings import Optimisation

    chosen = options.chosen_recipe(recipe, epochs, None, None, changes)
    for name in NOT_HERE:
        if getattr(chosen, name) is not None:
            raise UsageError(
                f"recipe {chosen.name} sets {name}, which is for 'convnets train'; "
                f"give --set {name}=none"
            )
    fields = {name: getattr(chosen, name) for name in Optimisation.model_fields}
    return {"training": fields, "augmentation": chosen.augmentation, "stem": chosen.stem}


def checked(kind: type[Settings], fields: dict[str, Any]) -> Settings:
    """Settings of a kind; raises ``UsageError`` for the first that does not fit."""
    from pydantic import ValidationError

    from convnets.errors import UsageError, first_problem

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise UsageError(first_problem(error.errors())) from error


def model_file(out: Path) -> None:
    """Raise ``UsageError`` unless a path is named as a model file is."""
    from convnets.cli.save import SUFFIX
    from convnets.errors import UsageError

    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: a model file is a {SUFFIX} file")
