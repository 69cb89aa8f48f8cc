"""How a network is to be compressed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from convnets.compress.layers import by_pattern, weighted_layers
from convnets.compress.share import WIDEST, Start
from convnets.data.augment import Augmentation
from convnets.records import Record
from convnets.training.settings import Optimisation

Share = Annotated[float, Field(gt=0, le=1)]
Bits = Annotated[int, Field(ge=1, le=WIDEST)]


class Settings(Record):
    """The three stages' settings.

    ``keep`` and ``bits`` are rules, a pattern of layer names and what it gives; the last that
    matches counts. ``keep`` is the share of weights kept, 1 without a rule, reached in ``rounds``
    with a training each. A shared weight has 8 bits in convolutions and 5 in linear layers without
    a rule (Han et al. 2015, Section 5). ``pruning`` and ``sharing`` are how the weights left, and
    then the values they share, are trained; None does not train. ``half`` rounds every number that
    is stored as it is, such as biases and codebooks, to float16.
    """

    keep: tuple[tuple[str, Share], ...] = ()
    rounds: int = Field(default=3, ge=1, le=100)
    bits: tuple[tuple[str, Bits], ...] = ()
    conv_bits: Bits = 8
    linear_bits: Bits = 5
    start: Start = "linear"
    half: bool = False
    pruning: Optimisation | None = None
    sharing: Optimisation | None = None
    augmentation: Augmentation = Augmentation()
    seed: int = Field(default=0, ge=0, lt=2**31)

    def shares(self, network: nn.Module) -> dict[str, float]:
        """The share of its weights that each layer keeps in the end."""
        return by_pattern(self.keep, dict.fromkeys(weighted_layers(network), 1.0))

    def widths(self, network: nn.Module) -> dict[str, int]:
        """Bits of each layer's weights."""
        return by_pattern(
            self.bits,
            {
                name: self.conv_bits if isinstance(layer, nn.Conv2d) else self.linear_bits
                for name, layer in weighted_layers(network).items()
            },
        )
