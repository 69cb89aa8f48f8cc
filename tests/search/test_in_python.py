"""A search from Python: by names alone, finished trials read again."""

from __future__ import annotations

from pathlib import Path

import convnets
from convnets.search.final import Found
from convnets.search.strategies import Random
from tests.runs.tiny import CPU
from tests.search.small import IMAGES, LENETS, RECIPE


def test_a_search_from_python_tests_its_winner_beside_the_base(tmp_path: Path) -> None:
    def searched() -> Found:
        return convnets.search_architecture(
            LENETS, IMAGES, RECIPE, how=Random(), trials=2, out=tmp_path, engine=CPU
        )

    found = searched()
    assert found.winner is not None
    assert found.base is not None
    best = max(trial.reward or 0.0 for trial in found.trials)
    assert found.winner.trial is not None
    assert found.winner.trial.reward == best
    assert found.base.result.model == "lenet5_modern"
    assert searched().to_dict() == found.to_dict()


def test_a_scaled_name_is_a_network_like_any_other() -> None:
    # Tan and Le 2019: B2 is B0 1.1 times as wide and 1.2 times as deep, with 9,109,994 parameters.
    assert convnets.profile(convnets.scaled("efficientnet_b0", 1.2, 1.1)).params == 9_109_994
