"""How the next candidate is chosen: at random, by evolution, or by a controller.

A strategy is told of finished trials in order and asked for the next one. What it answers is a
function of its seed, of what it was told, and of the number it is asked for: asking changes
nothing, so that a search that goes on asks what one that was never stopped would have asked.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Annotated, Literal, Protocol, Self

from pydantic import Field, model_validator

from convnets.records import Record
from convnets.search.spaces import Choice, Space

Positive = Annotated[int, Field(ge=1, le=100_000)]


class Strategy(Protocol):
    """What chooses candidates."""

    def ask(self, number: int, turn: int = 0) -> Choice:
        """The candidate of trial ``number``; the next ``turn`` where that one is no network."""

    def tell(self, choice: Choice, reward: float) -> None:
        """Learn from a finished trial."""


class Random(Record):
    """Every candidate equally often: what any other strategy has to beat."""

    kind: Literal["random"] = "random"


class Evolution(Record):
    """Regularised evolution; ours are for some tens of trials (Real et al. 2018: 100 and 25)."""

    kind: Literal["evolution"] = "evolution"
    population: Positive = 10
    sample: Positive = 3

    @model_validator(mode="after")
    def _a_sample_of_the_population(self) -> Self:
        if self.sample > self.population:
            raise ValueError(f"a sample of {self.sample} out of a population of {self.population}")
        return self


class Controller(Record):
    """A recurrent policy and how it learns.

    An LSTM of one layer, as in NASNet (Zoph et al. 2017, Appendix A.2: 100 units, baseline decay
    0.95, entropy 1e-5). ``learning_rate`` is Adam's: ours is for some tens of trials, where the
    paper has thousands.
    """

    kind: Literal["controller"] = "controller"
    width: Positive = 64
    learning_rate: float = Field(default=5e-3, gt=0)
    baseline_decay: float = Field(default=0.9, ge=0, lt=1)
    entropy: float = Field(default=1e-4, ge=0)


class Shared(Record):
    """Shared weights, trained for the recipe's epochs with a controller (Pham et al. 2018).

    ``controller_steps`` are its updates after each epoch, with one minibatch of validation images
    each (Section 2.2: 2,000 after each pass over the training images).
    """

    kind: Literal["shared"] = "shared"
    controller: Controller = Controller()
    controller_steps: Positive = 50


How = Annotated[Random | Evolution | Controller | Shared, Field(discriminator="kind")]


def draws(seed: int, number: int, turn: int) -> random.Random:
    """The random numbers of one question to a strategy."""
    return random.Random(f"{seed} {number} {turn}")


class RandomSearch:
    """Draws each candidate evenly from the space."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed

    def ask(self, number: int, turn: int = 0) -> Choice:
        return self.space.sample(draws(self.seed, number, turn))

    def tell(self, choice: Choice, reward: float) -> None:
        """Nothing is learned."""


class AgingEvolution:
    """Regularised evolution (Real et al. 2018, arXiv:1802.01548, Algorithm 1).

    The first ``population`` candidates are drawn at random. Then each cycle draws ``sample``
    members with replacement, and the best of them has a child with one decision changed; the child
    joins the population and the oldest member leaves it, however good it is.
    """

    # Differs: a mutation always changes something; the paper's identity mutation is left out.

    def __init__(self, space: Space, seed: int, settings: Evolution) -> None:
        self.space, self.seed, self.settings = space, seed, settings
        self.population: deque[tuple[float, Choice]] = deque(maxlen=settings.population)

    def ask(self, number: int, turn: int = 0) -> Choice:
        draw = draws(self.seed, number, turn)
        if number < self.settings.population or not self.population:
            return self.space.sample(draw)
        sample = [draw.choice(self.population) for _ in range(self.settings.sample)]
        _, parent = max(sample, key=lambda member: member[0])
        return self.space.mutated(parent, draw)

    def tell(self, choice: Choice, reward: float) -> None:
        self.population.append((reward, choice))


def make_strategy(how: How, space: Space, seed: int) -> Strategy:
    """The strategy of a setting, untold yet."""
    match how:
        case Random():
            return RandomSearch(space, seed)
        case Evolution():
            return AgingEvolution(space, seed, how)
        case Controller():
            from convnets.search.controller import Reinforce

            return Reinforce(space, seed, how)
        case Shared():
            raise AssertionError("candidates of shared weights come from their own controller")
