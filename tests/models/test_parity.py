"""Equal logits for every network that torchvision or timm has too."""

from __future__ import annotations

import pytest

from convnets.models import find_variant
from tests.models.parity import Case, cases, measure, precision

HUGE = 100_000_000


def marks(case: Case) -> list[pytest.MarkDecorator]:
    """Networks of hundreds of millions of parameters take minutes in all."""
    return [pytest.mark.slow] if find_variant(case.row)[1].params > HUGE else []


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=str(case), marks=marks(case)) for case in cases()]
)
def test_logits_equal_the_peers(case: Case) -> None:
    assert measure(case) < precision(case)[1]
