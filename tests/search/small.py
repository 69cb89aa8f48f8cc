"""Searches of seconds: a space of eighteen LeNets, and what a study of it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401  # optimizers import it lazily; a child must not wait for that

from convnets.recipes import Recipe
from convnets.search.observer import Observer
from convnets.search.spaces import Decision, Space, space
from convnets.search.strategies import Evolution, How
from convnets.search.study import Study
from convnets.search.trials import Trial, Trials
from convnets.search.worker import Search
from convnets.training.settings import AdamW, Constant
from tests.runs.tiny import CPU, tiny_set

LENETS = space(
    "lenets",
    "lenet5_modern",
    [
        Decision("form", ("modern", "rectified")),
        Decision("maps", ((2, 4), (4, 8), (6, 16))),
        Decision("hidden", ((16,), (32,), (32, 16))),
    ],
)
RECIPE = Recipe(
    name="small", epochs=1, batch_size=25, optimizer=AdamW(lr=1e-2), schedule=Constant()
)
IMAGES = tiny_set(train=100, test=20)
EVOLUTION = Evolution(population=3, sample=2)


def study(how: How = EVOLUTION, searched: Space = LENETS, **changes: Any) -> Study:
    """A study of the small space with a fifth of the images held out."""
    return Study(searched, how, RECIPE, **{"validation": 0.2, **changes})


def go(
    out: Path, wanted: int = 6, what: Study | None = None, observer: Observer | None = None
) -> list[Trial]:
    """The trials of a study in ``out``."""
    return Search(what or study(), IMAGES, out, CPU, observer or Observer()).go(wanted)


def outcomes(out: Path) -> list[tuple[object, ...]]:
    """What the trials on disk came to, durations and attempts left out."""
    return [
        (t.number, t.state, t.choice, t.model, t.refused, t.reward, t.accuracy, t.macs)
        for t in Trials(out).read()
    ]
