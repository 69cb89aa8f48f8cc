"""The sanity checks that ``convnets see`` puts beside a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convnets.cli.console import tracked
from convnets.cli.seeing import Seen
from convnets.visualize.arrays import Picture
from convnets.visualize.methods import Method
from convnets.visualize.sanity import (
    PixelCheck,
    Randomisation,
    deletion,
    insertion,
    randomisation_check,
)

# Enough to tell a picture from a random one, at an eighth of the functions' own cost.
STEPS, ORDERS = 10, 3
Check = PixelCheck | Randomisation


def checks(name: str, method: Method, seen: Seen, picture: Picture) -> list[Check]:
    """Whether a picture follows the weights, and whether its pixels matter; with a bar."""
    network, images, target = seen.network, seen.inputs, seen.target
    sampled: dict[str, Any] = {"target": target, "steps": STEPS, "random_orders": ORDERS}
    with tracked(f"checking {name}") as progress:
        random = randomisation_check(network, images, method, target=target, progress=progress)
    pixels = [check(network, images, picture, **sampled) for check in (deletion, insertion)]
    return [random, *pixels]


def named(check: Check) -> str:
    """What was done."""
    return check.kind if isinstance(check, PixelCheck) else "randomisation"


def brief(check: Check) -> str:
    """The outcome with its numbers, short enough to stand beside a picture."""
    outcome = "passes" if check.passed else "fails"
    if isinstance(check, Randomisation):
        return f"{outcome}: rank correlation {check.correlation:.2f}, limit {check.limit:.2f}"
    low, high = min(check.random), max(check.random)
    return f"{outcome}: area {check.area:.2f}, at random {low:.2f} to {high:.2f}"


def records(found: Sequence[Check]) -> dict[str, Any]:
    """The checks as JSON."""
    return {
        named(check): {
            "passed": check.passed,
            "value": check.correlation if isinstance(check, Randomisation) else check.area,
            "limits": [check.limit] if isinstance(check, Randomisation) else list(check.random),
        }
        for check in found
    }
