"""Compound scaling beside the paper's tables and the networks that it published."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from convnets.errors import UsageError
from convnets.models import FAMILIES, VARIANTS, create_model, find_variant
from convnets.search.dimensions import RULES, resolved, scaled
from convnets.search.scaling import (
    Coefficients,
    Multipliers,
    base_of,
    compound,
    fitting,
    scaled_networks,
    series,
)

# Width, depth, side and parameters of B1 to B7, as the authors' code has them and torchvision
# counts them.
PUBLISHED = {
    "efficientnet_b1": (1.0, 1.1, 240, 7_794_184),
    "efficientnet_b2": (1.1, 1.2, 260, 9_109_994),
    "efficientnet_b3": (1.2, 1.4, 300, 12_233_232),
    "efficientnet_b4": (1.4, 1.8, 380, 19_341_616),
    "efficientnet_b5": (1.6, 2.2, 456, 30_389_784),
    "efficientnet_b6": (1.8, 2.6, 528, 43_040_704),
    "efficientnet_b7": (2.0, 3.1, 600, 66_347_960),
}
# Tables 3 and 7: depth, width, resolution, and billions of multiply-adds as printed. Compound rows
# whose multipliers the paper does not print are left out.
PRINTED = [
    ("mobilenet_v1", (1, 1, 1), "0.6"),
    ("mobilenet_v1", (1, 2, 1), "2.2"),
    ("mobilenet_v1", (1, 1, 2), "2.2"),
    ("mobilenet_v2", (1, 1, 1), "0.3"),
    ("mobilenet_v2", (4, 1, 1), "1.2"),
    ("mobilenet_v2", (1, 2, 1), "1.1"),
    ("mobilenet_v2", (1, 1, 2), "1.2"),
    ("resnet50", (1, 1, 1), "4.1"),
    ("resnet50", (1, 1, 2), "16.4"),
    ("efficientnet_b0", (1, 1, 1), "0.4"),
    ("efficientnet_b0", (1.4, 1.2, 1.3), "1.8"),
]
# What the paper prints and we do not reach: printed, and ours, as ``dimensions`` says.
OFF = [
    ("mobilenet_v1", (1.4, 1.2, 1.3), 2.3, 2.45),
    ("resnet50", (4, 1, 1), 16.2, 14.6),
    ("resnet50", (1, 2, 1), 14.7, 16.1),
    ("efficientnet_b0", (4, 1, 1), 1.8, 1.58),
    ("efficientnet_b0", (1, 2, 1), 1.8, 1.45),
    ("efficientnet_b0", (1, 1, 2), 1.9, 1.54),
]


def billions(name: str, by: tuple[float, float, float]) -> float:
    *_, found = scaled_networks(base_of(name), [(None, Multipliers(*by))])
    return found.macs / 1e9


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_are_b0_scaled(name: str) -> None:
    width, depth, side, params = PUBLISHED[name]
    by = Multipliers(depth, width, side / 224)
    _, found = scaled_networks(base_of("efficientnet_b0"), [(None, by)])
    assert (found.params, found.input_size) == (params, side)
    assert found.macs == VARIANTS[name][1].macs
    spec, row = find_variant(found.model)[1].spec, VARIANTS[name][1].spec
    assert (spec.width, spec.depth) == (row.width, row.depth)


@pytest.mark.parametrize(("name", "by", "printed"), PRINTED)
def test_tables_3_and_7(name: str, by: tuple[float, float, float], printed: str) -> None:
    assert abs(billions(name, by) - float(printed)) <= 0.1


@pytest.mark.parametrize(("name", "by", "printed", "ours"), OFF)
def test_what_differs_from_the_tables_is_as_told(
    name: str, by: tuple[float, float, float], printed: float, ours: float
) -> None:
    found = billions(name, by)
    assert abs(found - ours) <= 0.05
    assert abs(found - printed) > 0.1


def test_constants_of_the_paper_and_what_is_refused() -> None:
    assert Coefficients().product == pytest.approx(1.2 * 1.21 * 1.3225)
    by = Coefficients().at(2)
    assert (by.depth, by.width) == (pytest.approx(1.44), pytest.approx(1.21))
    assert by.resolution == pytest.approx(1.3225)
    with pytest.raises(UsageError, match=r"gamma\^2 is 2.4 with 1.5, 1.1, 1.15"):
        Coefficients(alpha=1.5)
    with pytest.raises(UsageError, match=r"beta is 0.9; each constant is at least 1"):
        Coefficients(1.2, 0.9, 1.4)
    for phi in (-1.0, 31.0, float("nan")):
        with pytest.raises(UsageError, match="phi is"):
            Coefficients().at(phi)
    with pytest.raises(UsageError, match="width is multiplied by 0"):
        Multipliers(1, 0, 1)


def test_multiply_adds_of_b0_grow_about_as_two_to_phi() -> None:
    """Within a quarter: layers are rounded up, the product of the constants is 1.92."""
    own, *networks = compound(base_of("efficientnet_b0"), Coefficients(), range(5))
    assert own.times == 1
    for phi, found in enumerate(networks, start=1):
        assert found.phi == phi
        assert 0.75 <= found.times / 2**phi <= 1.25
    for smaller, larger in pairwise([own, *networks]):
        assert smaller.params < larger.params
        assert smaller.kept_bytes < larger.kept_bytes


def test_phi_within_a_budget_is_the_largest() -> None:
    base, constants = base_of("mobilenet_v2"), Coefficients()
    found = fitting(base, constants, 600e6)
    assert found.phi is not None
    _, more = compound(base, constants, [found.phi + 0.01])
    assert found.macs <= 600e6 < more.macs
    assert fitting(base, constants, 300_774_272).phi == 0
    with pytest.raises(UsageError, match="itself takes 300,774,272 multiply-adds"):
        fitting(base, constants, 1e6)


def test_series_ends_where_no_network_goes_further() -> None:
    tiny, larger = "resnet20@blocks=1,width=4", Coefficients(1, 1, 1.4)
    assert [each.phi for each in series(base_of(tiny), Coefficients())] == list(range(8))
    found = series(base_of(tiny, size=1024), larger)
    assert [each.input_size for each in found] == [1024, 1432, 2008, 2808, 3932]
    most = fitting(base_of(tiny, size=1024), larger, 1e15)
    assert 4080 <= most.input_size <= 4096


def test_every_rule_makes_a_network_deeper_and_wider() -> None:
    first = {family.name: next(iter(family.variants)) for family in FAMILIES}
    assert set(RULES) <= set(first)
    for family in RULES:
        name = "wrn_16_8_cifar" if family == "wide_resnet" else first[family]
        own, deeper, wider = scaled_networks(
            base_of(name, size=64), [(None, Multipliers(2, 1, 1)), (None, Multipliers(1, 2, 1))]
        )
        assert own.params < deeper.params
        # DenseNet's later layers read all earlier ones: more than twice.
        assert 1.3 < deeper.times < 2.9, name
        assert own.params < wider.params
        assert 1.9 < wider.times < 4.6, name


def test_scaling_by_hand() -> None:
    assert scaled("resnet50", 1.2, 1.1) == "resnet50@depths=4-5-8-4,width=72"
    assert scaled("resnet20", 2, 1) == "resnet20@blocks=6"
    assert scaled("efficientnet_b1", 1.2, 1.1) == "efficientnet_b1@width=1.1,depth=1.32"
    assert scaled("convnext_tiny", 1, 1) == "convnext_tiny"
    assert scaled("resnet50@width=96", 2, 1) == "resnet50@depths=6-8-12-6,width=96"


def test_regnet_keeps_its_stages_when_it_grows() -> None:
    for name in ("regnet_x_3_2gf", "regnet_y_1_6gf"):
        found = scaled(name, 1.5, 1.3)
        with torch.device("meta"):
            assert len(create_model(found).features) == len(create_model(name).features)


def test_sides_are_multiples_of_four_as_the_published_ones() -> None:
    assert all(side % 4 == 0 for _, _, side, _ in PUBLISHED.values())
    assert [resolved(224, r) for r in (1, 1.15, 1.3, 2)] == [224, 256, 292, 448]
    assert [resolved(32, r) for r in (1, 1.1, 1.2, 1.4)] == [32, 36, 38, 44]
    assert resolved(33, 1) == 33
    with pytest.raises(UsageError, match="at most 4,096"):
        resolved(224, 20)


def test_what_no_rule_scales_is_told() -> None:
    with pytest.raises(UsageError, match="no rule scales lenet5, of the family lenet; of these"):
        scaled("lenet5", 2, 1)
    with pytest.raises(UsageError, match="3x3 convolutions alone"):
        scaled("wide_resnet50_2", 2, 1)
    with pytest.raises(UsageError, match="at most"):
        scaled("resnet50", 100, 1)
