"""Which layers are compressed, and what a user's patterns say of each."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrize

from convnets.errors import UnknownName

Value = TypeVar("Value")
Layer = nn.Conv2d | nn.Linear


def weighted_layers(network: nn.Module) -> dict[str, Layer]:
    """The convolutions, depthwise ones too, and linear layers of a network, by name."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def by_pattern(
    rules: Iterable[tuple[str, Value]], defaults: Mapping[str, Value]
) -> dict[str, Value]:
    """What rules of (pattern, value) give each named layer: the last that matches it counts.

    Raises ``UnknownName`` for a pattern that matches none.
    """
    values = dict(defaults)
    for pattern, value in rules:
        matching = [name for name in defaults if fnmatch.fnmatchcase(name, pattern)]
        if not matching:
            raise UnknownName("layer", pattern, defaults)
        values.update(dict.fromkeys(matching, value))
    return values


def settle(network: nn.Module) -> None:
    """Make each parametrized weight a plain parameter of the value it has."""
    for module in weighted_layers(network).values():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
