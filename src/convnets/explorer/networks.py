"""Networks as the page shows them: the table of all, and one layer by layer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, cast

import torch

from convnets.analysis import Profile, profile
from convnets.analysis.cost import LayerCost
from convnets.analysis.grid import Field
from convnets.errors import UsageError
from convnets.models import VARIANTS, create_model, find_variant
from convnets.report.tables import model_records
from convnets.weights.released import released

LARGEST = 1024
KEPT = 32
LEVELS = {"stages": 2, "blocks": 3, "layers": 99}
"""Of how many components the path of a part is."""


def networks() -> list[dict[str, Any]]:
    """A record for every network: names, cost, published figures."""
    return model_records(VARIANTS, {name: released(name) for name in VARIANTS})


def anatomy(name: str, size: int | None, stem: str | None, level: str) -> dict[str, Any]:
    """What a network costs part by part, in order of execution.

    Raises ``UnknownName`` and ``UsageError`` for a name, size, stem or level there is not.
    """
    _, variant = find_variant(name)
    size = variant.input_size if size is None else size
    if not 1 <= size <= LARGEST:
        raise UsageError(f"an input of {size} pixels: give 1 to {LARGEST}")
    if level not in LEVELS:
        raise UsageError(f"level is {level!r}; it is {', '.join(LEVELS)}")
    built, cost = _profile(name, size, stem or "auto")
    return {
        "name": name,
        "stem": built,
        "size": size,
        "level": level,
        "input_shape": list(cost.input_shape),
        "params": cost.params,
        "macs": cost.macs,
        "activation_bytes": cost.activation_bytes,
        "parts": parts(cost, LEVELS[level]),
    }


@lru_cache(KEPT)
def _profile(name: str, size: int, stem: str) -> tuple[str, Profile]:
    with torch.device("meta"):
        wanted = cast(Literal["paper", "small", "auto"], stem)
        network = create_model(name, stem=wanted, input_size=size)
    return network.spec.stem, profile(network, size)


def parts(cost: Profile, depth: int) -> list[dict[str, Any]]:
    """The sums of each part of a network that costs anything, what it is, and what it returns."""
    last = {layer.name: layer for layer in cost.layers}
    return [
        {
            "name": name,
            **_described(last.get(name)),
            **{column: sums[column] for column in ("params", "macs", "activation_bytes")},
        }
        for name, sums in cost.subtotals(depth).items()
        if any(sums.values())
    ]


def _described(layer: LayerCost | None) -> dict[str, Any]:
    if layer is None:
        return {"kind": "", "shape": [], "field": None}
    return {
        "kind": layer.kind,
        "shape": list(layer.output_shape[1:]),
        "field": described_field(layer.field),
    }


def described_field(field: Field | None) -> dict[str, list[float]] | None:
    """Along height and width: pixels that a unit sees, pixels to the next, the first's centre."""
    if field is None or len(field) != 2:
        return None
    return {
        "size": [axis.size for axis in field],
        "stride": [axis.stride for axis in field],
        "centre": [axis.centre for axis in field],
    }
