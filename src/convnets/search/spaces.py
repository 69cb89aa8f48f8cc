"""A search space is data: a network's name, and decisions that change fields of its spec.

A candidate is a choice, one option's number for each decision. It has two spellings: the string of
tokens that a controller writes (Zoph and Le 2016, Section 3.2), and a network's name, which every
part of this package takes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from convnets.errors import UnknownName, UsageError
from convnets.models import VARIANTS, find_variant
from convnets.models.variations import canonical, varied

Choice = tuple[int, ...]
Values = Mapping[str, Any]
"""The options chosen, by the name of their decision."""


@dataclass(frozen=True)
class Decision:
    """One thing to be decided: a name, and the options there are."""

    name: str
    options: tuple[Any, ...]


class Composition(Protocol):
    """How decisions become fields of a spec, and the reverse."""

    def fields(self, values: Values) -> Mapping[str, object]:
        """The fields of the spec that these values change."""

    def values(self, spec: Any) -> Values:
        """The values with which a spec is made; raises ``UsageError`` where none make it."""


@dataclass(frozen=True)
class FieldByField:
    """Each decision is a field of the spec."""

    names: tuple[str, ...]

    def fields(self, values: Values) -> Mapping[str, object]:
        return dict(values)

    def values(self, spec: Any) -> Values:
        return {name: getattr(spec, name) for name in self.names}


@dataclass(frozen=True)
class Space:
    """The networks that decisions make of ``base``, a network's name."""

    name: str
    base: str
    decisions: tuple[Decision, ...]
    composition: Composition

    @property
    def size(self) -> int:
        """How many choices there are."""
        return math.prod(len(decision.options) for decision in self.decisions)

    def options(self, choice: Choice) -> dict[str, Any]:
        """What a choice decides, by the name of the decision."""
        pairs = zip(self.decisions, choice, strict=True)
        return {decision.name: decision.options[place] for decision, place in pairs}

    def text(self, choice: Choice) -> str:
        """The choice as a string of tokens, ``blocks=2 width=24``."""
        return " ".join(f"{name}={_token(value)}" for name, value in self.options(choice).items())

    def read(self, text: str) -> Choice:
        """The choice of a string of tokens; raises ``UsageError`` for what the space lacks."""
        tokens = dict(token.partition("=")[::2] for token in text.split())
        if tokens.keys() != {decision.name for decision in self.decisions}:
            raise UsageError(f"{text!r} does not decide what the space {self.name} has to decide")
        return tuple(
            self._place(decision, tokens[decision.name], [_token(o) for o in decision.options])
            for decision in self.decisions
        )

    def network(self, choice: Choice) -> str:
        """The name of the network of a choice; raises ``UsageError`` where it is no network."""
        row = self.base.partition("@")[0]
        spec = find_variant(self.base)[1].spec
        changed = {**vars(spec), **self.composition.fields(self.options(choice))}
        del changed["stem"]
        own = vars(VARIANTS[row][1].spec)
        changes = {field: value for field, value in changed.items() if value != own[field]}
        return canonical(varied(row, changes), VARIANTS[row][1])

    def choice(self, network: str) -> Choice:
        """The choice that makes a network; raises ``UsageError`` where none does."""
        if network.partition("@")[0] != self.base.partition("@")[0]:
            raise UsageError(f"{network} is not made of {self.base}")
        values = self.composition.values(find_variant(network)[1].spec)
        choice = tuple(
            self._place(decision, values[decision.name], decision.options)
            for decision in self.decisions
        )
        if self.network(choice) != canonical(network, VARIANTS[network.partition("@")[0]][1]):
            raise UsageError(f"{network} has other fixed fields than {self.base}")
        return choice

    def sample(self, draw: random.Random) -> Choice:
        """Any choice, each equally often."""
        return tuple(draw.randrange(len(decision.options)) for decision in self.decisions)

    def mutated(self, choice: Choice, draw: random.Random) -> Choice:
        """The choice with one decision, any that has options, decided otherwise."""
        open_ones = [n for n, decision in enumerate(self.decisions) if len(decision.options) > 1]
        place = draw.choice(open_ones)
        others = [n for n in range(len(self.decisions[place].options)) if n != choice[place]]
        return (*choice[:place], draw.choice(others), *choice[place + 1 :])

    def content(self) -> dict[str, Any]:
        """What decides the networks, as JSON."""
        decisions = {each.name: [_token(o) for o in each.options] for each in self.decisions}
        return {"name": self.name, "base": self.base, "decisions": decisions}

    def _place(self, decision: Decision, value: Any, options: Sequence[Any]) -> int:
        if value not in options:
            raise UsageError(
                f"{decision.name}={_token(value)} is not in the space {self.name}; "
                f"it has {', '.join(map(_token, decision.options))}"
            )
        return options.index(value)


def space(
    name: str, base: str, decisions: Sequence[Decision], composition: Composition | None = None
) -> Space:
    """A space, checked: raises ``UsageError`` for a field, an option or a base that is none.

    Without a composition each decision is a field of the base's spec.
    """
    find_variant(base)
    for decision in decisions:
        if not decision.options:
            raise UsageError(f"space {name}: {decision.name} has no options")
        tokens = [_token(option) for option in decision.options]
        if len(set(tokens)) != len(tokens):
            raise UsageError(f"space {name}: {decision.name} has an option twice")
    made = Space(
        name, base, tuple(decisions), composition or FieldByField(tuple(d.name for d in decisions))
    )
    if made.size < 2:
        raise UsageError(f"space {name}: it holds one network; give a decision a second option")
    if composition is None:
        _check_fields(made)
    return made


def _check_fields(made: Space) -> None:
    """See that every option of every decision, beside the base's fields, makes a name."""
    known = vars(find_variant(made.base)[1].spec).keys() - {"stem"}
    for decision in made.decisions:
        if decision.name not in known:
            raise UnknownName(f"field of {made.base} in space {made.name}", decision.name, known)
    first = (0,) * len(made.decisions)
    for place, decision in enumerate(made.decisions):
        for number in range(len(decision.options)):
            try:
                made.network((*first[:place], number, *first[place + 1 :]))
            except UsageError as error:
                raise UsageError(f"space {made.name}: {error}") from error


def with_base(made: Space, base: str) -> Space:
    """The same decisions on another network of the family."""
    family, before = find_variant(base)[0].name, find_variant(made.base)[0].name
    if family != before:
        raise UsageError(f"space {made.name} is of {before}; {base} is of {family}")
    return replace(made, base=base)


def _token(option: Any) -> str:
    """An option as a controller writes it: without spaces."""
    return varied("", {"": option}).removeprefix("@=").replace(" ", "_")
