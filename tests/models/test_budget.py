"""Limits as a person writes them."""

from __future__ import annotations

import pytest

from convnets.errors import UsageError
from convnets.models import find_variant
from convnets.models.budget import Limit, parse_budget, published_figures


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("params<5M", Limit("params", "<", 5e6)),
        (" macs <= 1.5 G", Limit("macs", "<=", 1.5e9)),
        ("latency<20ms", Limit("latency", "<", 0.02)),
        ("latency<2s", Limit("latency", "<", 2.0)),
        ("year>=2017", Limit("year", ">=", 2017.0)),
        ("error<30", Limit("error", "<", 30.0)),
    ],
)
def test_one_limit(text: str, limit: Limit) -> None:
    assert parse_budget(text) == (limit,)


@pytest.mark.parametrize("text", ["", "params", "params<", "params<-3", "cost<3", "params<1.2.3M"])
def test_what_is_no_limit_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="budget"):
        parse_budget(text)


def test_several_limits_and_an_unknown_figure() -> None:
    few, cheap = parse_budget("params<12M,macs<=1814073344")
    figures = published_figures(*find_variant("resnet18"))
    assert few.allows(figures)
    assert cheap.allows(figures), "1,814,073,344 is torchvision's count"
    unknown = published_figures(*find_variant("lenet5_modern"))
    assert not Limit("error", "<", 100).allows(unknown), "no paper prints its error"
