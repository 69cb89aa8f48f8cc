"""Deeper, wider and of more pixels, as Tan and Le scale networks (2019, arXiv:1905.11946).

``RULES`` says which fields of a family's spec carry depth and width. With them, and with the side
of the image as resolution, the multiply-adds of the paper's scaled networks come out as it prints
them in Tables 3 and 7, within one unit of the last digit, but for these, in billions:

===============  ===============================  =======  ========
network          multipliers                      printed  computed
===============  ===============================  =======  ========
mobilenet_v1     depth 1.4, width 1.2, side 1.3   2.3      2.45
resnet50         depth 4                          16.2     14.6
resnet50         width 2                          14.7     16.1
efficientnet_b0  depth 4                          1.8      1.58
efficientnet_b0  width 2                          1.8      1.45
efficientnet_b0  side 2                           1.9      1.54
===============  ===============================  =======  ========

The compound rows of MobileNetV2 and ResNet-50 are not compared: their multipliers are not printed.
The two figures of ResNet-50 read as though they were exchanged. Those of B0 are more than four
times its printed 0.4, which twice the side alone cannot give.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from convnets.errors import UsageError
from convnets.layers.inverted_residual import multiple_of_8
from convnets.models import find_variant
from convnets.models.variations import varied

LARGEST_SIDE = 4096  # as for a recipe
DIGITS = 4  # of a coefficient after the point, for names that a person can type

Change = Callable[[Any, float], dict[str, object]]
"""From a spec and a factor to the fields that change, with their values."""


@dataclass(frozen=True)
class Rule:
    """How a family is made deeper, and how wider."""

    depth: Change
    width: Change


def multiplied(field: str) -> Change:
    """A coefficient of the family's own, which rounds as the family does."""
    return lambda spec, factor: {field: round(getattr(spec, field) * factor, DIGITS)}


def layers(field: str) -> Change:
    """A number of layers, or one for each stage: rounded up, as in Tan and Le's code."""
    return lambda spec, factor: {field: _each(getattr(spec, field), factor, more_layers)}


def channels(field: str) -> Change:
    """A number of channels, or one for each stage."""
    return lambda spec, factor: {field: _each(getattr(spec, field), factor, more_channels)}


def whole(field: str) -> Change:
    """A whole number, the nearest: paths, or maps that a layer adds."""
    return lambda spec, factor: {field: max(1, math.floor(getattr(spec, field) * factor + 0.5))}


def paths(spec: Any, factor: float) -> dict[str, object]:
    """ResNeXt's width: more paths of the same width, and the channels between the blocks."""
    return {**whole("cardinality")(spec, factor), **channels("width")(spec, factor)}


def stages(spec: Any, factor: float) -> dict[str, object]:
    """The layers of each row of a table: a record with a ``depth``, or a pair that ends in it."""

    def deeper(row: Any) -> object:
        if isinstance(row, tuple):
            return row[0], more_layers(row[1], factor)
        return replace(row, depth=more_layers(row.depth, factor))

    return {"stages": tuple(map(deeper, spec.stages))}


def regnet_depth(spec: Any, factor: float) -> dict[str, object]:
    """More blocks on a flatter line, from the same first width to the same last one."""
    depth = max(2, more_layers(spec.depth, factor))
    slope = spec.slope * (spec.depth - 1) / (depth - 1)
    return {"depth": depth, "slope": round(slope, DIGITS)}


def regnet_width(spec: Any, factor: float) -> dict[str, object]:
    """The whole line higher, its slope with its first width, so that the stages stay."""
    width = multiple_of_8(spec.initial_width * factor)
    slope = spec.slope * width / spec.initial_width
    return {"initial_width": width, "slope": round(slope, DIGITS)}


def more_layers(count: int, factor: float) -> int:
    """``count * factor`` rounded up; what is a whole number but for its last bits is that one."""
    return max(1, math.ceil(count * factor - 1e-9))


def more_channels(count: int, factor: float) -> int:
    """A multiple of 8 as in Tan and Le's code; below 64, where 8 is a big step, any number."""
    return multiple_of_8(count * factor) if count >= 64 else max(1, round(count * factor))


def _each(value: Any, factor: float, more: Callable[[int, float], int]) -> object:
    if isinstance(value, tuple):
        return tuple(more(each, factor) for each in value)
    return more(value, factor)


# What a family does not name stays: VGG's and MobileNetV2's last layers, RegNet's groups, dropout.
# fmt: off
RULES: Mapping[str, Rule] = {
    "vgg":             Rule(layers("depths"), channels("widths")),
    "resnet":          Rule(layers("depths"), channels("width")),
    "resnet_cifar":    Rule(layers("blocks"), channels("width")),
    "preact_resnet":   Rule(layers("depths"), channels("width")),
    "wide_resnet":     Rule(layers("blocks"), whole("factor")),
    "densenet":        Rule(layers("depths"), whole("growth_rate")),
    "resnext":         Rule(layers("depths"), paths),
    "mobilenet_v1":    Rule(stages,           multiplied("width")),
    "mobilenet_v2":    Rule(stages,           multiplied("width")),
    "mnasnet":         Rule(stages,           multiplied("width")),
    "efficientnet":    Rule(multiplied("depth"), multiplied("width")),
    "regnet":          Rule(regnet_depth,     regnet_width),
    "efficientnet_v2": Rule(multiplied("depth"), multiplied("width")),
    "convnext":        Rule(layers("depths"), channels("widths")),
    "van":             Rule(layers("depths"), channels("widths")),
    "convnext_v2":     Rule(layers("depths"), channels("widths")),
}
# fmt: on


def scaled(name: str, depth: float, width: float) -> str:
    """The name of a network ``depth`` times as deep and ``width`` times as wide.

    ``name`` may have changes of its own. Raises ``UsageError`` for a family without a rule.
    """
    family, row = find_variant(name)
    if family.name not in RULES:
        known = ", ".join(RULES)
        raise UsageError(f"no rule scales {name}, of the family {family.name}; of these: {known}")
    rule, spec = RULES[family.name], row.spec
    if family.name == "wide_resnet" and not hasattr(spec, "blocks"):
        raise UsageError(f"no rule scales {name}: its width is in its 3x3 convolutions alone")
    # A factor of 1 keeps a network whose widths are no multiples of 8 as it is.
    if depth != 1:
        spec = replace(spec, **rule.depth(spec, depth))
    if width != 1:
        spec = replace(spec, **rule.width(spec, width))
    base = name.partition("@")[0]
    own = find_variant(base)[1].spec
    every = {field.name: getattr(spec, field.name) for field in fields(spec)}
    changes = {field: value for field, value in every.items() if value != getattr(own, field)}
    found = varied(base, changes)
    find_variant(found)  # a size out of bounds is told of here
    return found


def resolved(size: int, resolution: float) -> int:
    """Side of the image in pixels: a multiple of 4 as in Tan and Le's code, from 240 to 600.

    Below 128 pixels an even number, since 4 of 32 would be too big a step.
    """
    step = 4 if size >= 128 else 2
    side = size if resolution == 1 else max(step, step * round(size * resolution / step))
    if side > LARGEST_SIDE:
        raise UsageError(f"images of {side:,} pixels; at most {LARGEST_SIDE:,}")
    return side
