"""Equal logits for every network that torchvision or timm has too."""

from __future__ import annotations

import pytest

from tests.models.parity import Case, cases, measure


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in cases()])
def test_logits_equal_the_peers(case: Case) -> None:
    assert measure(case) < 1e-9
