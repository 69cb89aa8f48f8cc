"""Equal logits for every network that torchvision or timm has too."""

from __future__ import annotations

import pytest

from convnets.models import find_variant
from tests.models.parity import Case, cases, measure, precision

MANY = 30_000_000
CASES = tuple(cases())
TORCHVISION = {case.row for case in CASES if case.library == "torchvision"}


def slow(case: Case) -> bool:
    """Whether a case waits for ``-m slow``; ``python -m benchmarks.parity`` runs them all.

    That is a network of many parameters, or the second library for a row, but for the smallest
    network of each family.
    """
    family = find_variant(case.row)[0]
    members = [find_variant(other.row)[1] for other in CASES if other.row in family.variants]
    variant = family.variants[case.row]
    second = case.library == "timm" and case.row in TORCHVISION
    least = min(members, key=lambda member: member.params)
    return variant is not least and (variant.params > MANY or second)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=str(case), marks=[pytest.mark.slow] if slow(case) else [])
        for case in CASES
    ],
)
def test_logits_equal_the_peers(case: Case) -> None:
    assert measure(case) < precision(case)[1]
