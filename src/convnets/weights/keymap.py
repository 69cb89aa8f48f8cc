"""How another library names the tensors of one of our networks, as a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from convnets.errors import UsageError
from convnets.layers.network import ConvNet

Rule = tuple[str, str]


@dataclass(frozen=True)
class KeyMap:
    """The names of one library for one family.

    ``names`` gives the library's model for each of our rows. A rule is a pair (ours, theirs) of
    name prefixes that end at a dot or at the end; what follows is equal in both. ``{x}`` in ours
    stands for a number or a word, and ``{x}``, ``{x+1}``, ``{x-1}`` in theirs for the same one;
    ``{n}`` is how many blocks (``features.*.block*``) come before this one in the network. The
    first rule that fits counts. ``rules`` may be a function of the network where numbers depend on
    more. Their tensors under a prefix in ``ignored`` have no counterpart. ``note`` is what who uses
    their weights must know.
    """

    names: Mapping[str, str]
    rules: tuple[Rule, ...] | Callable[[ConvNet], tuple[Rule, ...]]
    ignored: tuple[str, ...] = ()
    note: str = ""

    def pairs(self, network: ConvNet) -> Iterator[tuple[str, str]]:
        """Yield (our name, their name) for every tensor of ``network``'s state."""
        rules = self.rules(network) if callable(self.rules) else self.rules
        patterns = [(_pattern(ours), theirs) for ours, theirs in rules]
        numbers = _block_numbers(network)
        for name in network.state_dict():
            yield name, _translate(name, patterns, numbers)

    def convert(self, network: ConvNet, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename ``theirs`` to a state of ``network``; every tensor of both must find its pair.

        Shapes that differ by sides of one become ours; others are left for the caller to see.
        Raises ``UsageError`` with the first name that is left.
        """
        left = {
            name
            for name in theirs
            if not any(f"{name}.".startswith(f"{prefix}.") for prefix in self.ignored)
        }
        own = network.state_dict()
        state: dict[str, Tensor] = {}
        for ours, their_name in self.pairs(network):
            if their_name not in theirs:
                if ours.endswith("num_batches_tracked"):
                    state[ours] = own[ours].new_zeros((), device="cpu")
                    continue
                raise UsageError(f"{ours}: the weights have no {their_name}")
            state[ours] = _shaped(theirs[their_name], own[ours])
            left.discard(their_name)
        if left:
            raise UsageError(f"{min(left)}: the network has no such tensor")
        return state


def _shaped(value: Tensor, like: Tensor) -> Tensor:
    sides = [[side for side in tensor.shape if side != 1] for tensor in (value, like)]
    return value.reshape(like.shape) if sides[0] == sides[1] else value


def _pattern(ours: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", ours)
    literal = [re.escape(part) for part in parts]
    literal[1::2] = [f"(?P<{name}>[a-z]+|[0-9]+)" for name in parts[1::2]]
    return re.compile("".join(literal) + r"(?=\.|$)")


def _block_numbers(network: ConvNet) -> dict[str, int]:
    blocks = [
        f"features.{stage}.{block}"
        for stage, children in network.features.named_children()
        for block, _ in children.named_children()
        if block.startswith("block")
    ]
    return {block: number for number, block in enumerate(blocks)}


def _translate(
    name: str, patterns: list[tuple[re.Pattern[str], str]], numbers: Mapping[str, int]
) -> str:
    for pattern, theirs in patterns:
        if found := pattern.match(name):
            values: dict[str, Any] = dict(found.groupdict())
            values["n"] = numbers.get(".".join(name.split(".")[:3]))
            return _filled(theirs, values) + name[found.end() :]
    raise UsageError(f"{name}: no rule of the key map fits")


def _filled(theirs: str, values: Mapping[str, Any]) -> str:
    def value(found: re.Match[str]) -> str:
        name, offset = found.groups()
        return str(int(values[name]) + int(offset)) if offset else str(values[name])

    return re.sub(r"\{(\w+?)([+-]\d+)?\}", value, theirs)
