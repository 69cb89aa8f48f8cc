"""Strategies on rewards known by heart: what they find, who dies, and that asking is pure."""

from __future__ import annotations

from statistics import fmean

import pytest
from pydantic import ValidationError

from convnets.search.spaces import Choice, Decision, FieldByField, Space
from convnets.search.strategies import (
    AgingEvolution,
    Controller,
    Evolution,
    How,
    Random,
    make_strategy,
)

GOAL = (3, 1, 0, 2, 2, 1)
TOY = Space(
    "toy",
    "resnet20",
    tuple(Decision(f"d{n}", tuple(range(4))) for n in range(len(GOAL))),
    FieldByField(()),
)
BUDGET = 150


def matches(choice: Choice) -> float:
    """The share of decisions that are as they should be: one of 4,096 choices is right."""
    return sum(a == b for a, b in zip(choice, GOAL, strict=True)) / len(GOAL)


def searched(how: How, seed: int, budget: int = BUDGET) -> list[float]:
    strategy = make_strategy(how, TOY, seed)
    rewards = []
    for number in range(budget):
        choice = strategy.ask(number)
        rewards.append(matches(choice))
        strategy.tell(choice, rewards[-1])
    return rewards


@pytest.mark.parametrize("how", [Evolution(population=20, sample=5), Controller()])
def test_it_finds_what_random_search_does_not(how: How) -> None:
    runs, blind = ([searched(each, seed) for seed in range(5)] for each in (how, Random()))
    # 150 of 4,096: a blind search finds the one with a chance of 4 %.
    assert fmean(map(max, runs)) > fmean(map(max, blind)) + 0.1
    assert sum(max(rewards) == 1.0 for rewards in runs) >= 3
    late = fmean(fmean(rewards[-30:]) for rewards in runs)
    assert late > 0.6, "random choices match a quarter"


@pytest.mark.parametrize("how", [Random(), Evolution(population=4, sample=2), Controller()])
def test_what_is_asked_depends_on_seed_and_history_alone(how: How) -> None:
    one, other = make_strategy(how, TOY, 7), make_strategy(how, TOY, 7)
    for number in range(12):
        choice = one.ask(number)
        for extra in range(number % 3):
            other.ask(number + extra, turn=extra)
        assert other.ask(number) == choice
        one.tell(choice, matches(choice))
        other.tell(choice, matches(choice))
    assert make_strategy(how, TOY, 8).ask(0) != make_strategy(how, TOY, 7).ask(0)
    assert one.ask(12, turn=1) != one.ask(12) or one.ask(12, turn=2) != one.ask(12)


def living(strategy: AgingEvolution, members: list[Choice]) -> set[Choice]:
    """Which of members that are far apart have children: one decision away."""

    def parent(child: Choice) -> Choice:
        (found,) = (m for m in members if sum(a != b for a, b in zip(m, child, strict=True)) == 1)
        return found

    return {parent(strategy.ask(number)) for number in range(100, 200)}


def test_the_oldest_dies_however_good_it_is() -> None:
    members = [(n,) * 6 for n in range(4)] + [(0, 0, 0, 1, 1, 1), (2, 2, 2, 3, 3, 3)]
    one, two, three, four, five, six = members
    # With replacement and two a sample, each of three has children, but not the worst of them
    # unless it is drawn twice; so each is asked of by the age rule alone.
    strategy = AgingEvolution(TOY, 0, Evolution(population=3, sample=1))
    for choice, reward in ((one, 0.9), (two, 0.2), (three, 0.1)):
        strategy.tell(choice, reward)
    assert living(strategy, members) == {one, two, three}
    strategy.tell(four, 0.05)
    assert living(strategy, members) == {two, three, four}, "the best was the oldest"
    strategy.tell(five, 0.6)
    strategy.tell(six, 0.01)
    assert living(strategy, members) == {four, five, six}


def test_the_best_of_a_sample_is_the_parent() -> None:
    members = [(n,) * 6 for n in range(3)]
    strategy = AgingEvolution(TOY, 0, Evolution(population=3, sample=3))
    for choice, reward in zip(members, (0.1, 0.3, 0.2), strict=True):
        strategy.tell(choice, reward)
    children = [strategy.ask(number) for number in range(100, 1100)]
    shares = [
        fmean(sum(a != b for a, b in zip(m, c, strict=True)) == 1 for c in children)
        for m in members
    ]
    # With replacement: the worst needs all three draws, the best misses all three with 8 of 27.
    assert shares == pytest.approx([1 / 27, 19 / 27, 7 / 27], abs=0.05)


def test_the_first_ones_are_drawn_evenly() -> None:
    evolution = make_strategy(Evolution(population=5, sample=2), TOY, 3)
    blind = make_strategy(Random(), TOY, 3)
    for number in range(5):
        assert evolution.ask(number) == blind.ask(number)
        evolution.tell(evolution.ask(number), 1.0)
    assert evolution.ask(5) != blind.ask(5)


def test_a_sample_larger_than_the_population_is_refused() -> None:
    with pytest.raises(ValidationError, match="a sample of 4 out of a population of 3"):
        Evolution(population=3, sample=4)
