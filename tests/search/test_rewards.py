"""MnasNet's reward against what its paper says of it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from convnets.search.rewards import Reward

TARGET = 75.0


def test_twice_the_cost_for_five_percent_of_accuracy_is_about_even() -> None:
    # Tan et al. 2018, Section 3: the two should have similar rewards, which gives beta = -0.07.
    reward = Reward(kind="soft", target=TARGET)
    for cost in (20.0, TARGET, 200.0):
        one, other = reward.of(0.5, cost), reward.of(0.5 * 1.05, 2 * cost)
        assert other == pytest.approx(one, rel=1e-3)
    assert reward.of(0.7, TARGET) == 0.7


def test_the_hard_reward_counts_the_excess_alone() -> None:
    reward = Reward(kind="hard", target=TARGET)
    assert reward.of(0.6, TARGET / 10) == reward.of(0.6, TARGET) == 0.6
    assert reward.of(0.6, 2 * TARGET) == pytest.approx(0.3)


def test_a_target_goes_with_a_cost_that_counts() -> None:
    assert Reward().of(0.6, 1e9) == 0.6
    for wrong in ({"kind": "soft"}, {"target": 3.0}, {"kind": "hard", "target": 0.0}):
        with pytest.raises(ValidationError):
            Reward.model_validate(wrong)
