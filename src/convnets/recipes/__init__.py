"""Complete named training runs, as data: each value with its source."""

from __future__ import annotations

from convnets.recipes.baseline import BASELINE
from convnets.recipes.lecture import LECTURE
from convnets.recipes.recipe import Recipe as Recipe
from convnets.recipes.recipe import find, with_changes

RECIPES: tuple[Recipe, ...] = (BASELINE, LECTURE)

__all__ = ["RECIPES", "Recipe", "load_recipe", "with_changes"]


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe by name, or from a TOML file of the same schema."""
    return find(name_or_path, RECIPES)
