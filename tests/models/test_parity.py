"""Equal logits for every network that torchvision or timm has too."""

from __future__ import annotations

import pytest

from convnets.models import find_variant
from tests.models.parity import Case, cases, measure, precision

HUGE = 60_000_000
TORCHVISION = {case.row for case in cases() if case.library == "torchvision"}


def slow(case: Case) -> bool:
    """Whether a case waits for ``-m slow``; ``python -m benchmarks.parity`` runs them all.

    That is a network of very many parameters, or the second library for a row, but
    for the smallest row of each family.
    """
    family, variant = find_variant(case.row)
    second = case.library == "timm" and case.row in TORCHVISION
    least = min(family.variants.values(), key=lambda row: row.params)
    return variant.params > HUGE or (second and variant is not least)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=str(case), marks=[pytest.mark.slow] if slow(case) else [])
        for case in cases()
    ],
)
def test_logits_equal_the_peers(case: Case) -> None:
    assert measure(case) < precision(case)[1]
