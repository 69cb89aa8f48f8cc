"""What a study is: all that decides its trials but the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convnets.data import ImageSet
from convnets.recipes import Recipe
from convnets.search.rewards import ACCURACY, Reward
from convnets.search.spaces import Space
from convnets.search.strategies import How


@dataclass(frozen=True)
class Study:
    """A space, how it is searched, how candidates are trained, and what they are worth.

    ``validation`` is the share of each class's training images that rewards are measured on; test
    images are never looked at.
    """

    space: Space
    how: How
    recipe: Recipe
    reward: Reward = ACCURACY
    validation: float = 0.1
    seed: int = 0

    def content(self, image_set: ImageSet) -> dict[str, Any]:
        """What decides the trials, as JSON."""
        return {
            "space": self.space.content(),
            "how": self.how.model_dump(mode="json"),
            "recipe": self.recipe.values(),
            "reward": self.reward.model_dump(mode="json"),
            "validation": self.validation,
            "seed": self.seed,
            "data": {"name": image_set.name, "fingerprint": image_set.fingerprint},
        }
