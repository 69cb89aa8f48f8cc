"""Spaces: how many networks they hold, and that a choice, its string and its name are one."""

from __future__ import annotations

import math
import random

import pytest
import torch

from convnets.errors import UnknownName, UsageError
from convnets.layers.cell_operations import OPERATIONS
from convnets.models import VARIANTS, create_model, find_variant
from convnets.search.built_in import SPACES, cells, find_space, mobile, residual
from convnets.search.spaces import Decision, space, with_base
from tests.search.small import LENETS


@pytest.mark.parametrize("name", SPACES)
def test_choice_string_and_name_are_one(name: str) -> None:
    searched = find_space(name)
    for seed in range(3):
        choice = searched.sample(random.Random(seed))
        text, network = searched.text(choice), searched.network(choice)
        assert len(text.split()) == len(searched.decisions)
        assert searched.read(text) == choice
        assert searched.choice(network) == choice
        with torch.device("meta"):
            assert create_model(network, num_classes=10)


@pytest.mark.parametrize("blocks", [1, 3, 5])
def test_the_cells_are_as_many_as_pnasnets_formula_counts(blocks: int) -> None:
    # Liu et al. 2017, Section 3.1: |I_b|^2 |O|^2 for each block with one way to combine, I_b the
    # two inputs and the maps so far. With their 8 operations that is 5.6e14 for one cell of 5.
    def cell(operations: int) -> int:
        return math.prod((block + 1) ** 2 * operations**2 for block in range(1, blocks + 1))

    assert cells(blocks).size == cell(len(OPERATIONS)) ** 2
    if blocks == 5:
        assert f"{cell(8):.1e}" == "5.6e+14"


def test_nasnet_a_is_in_its_space_with_its_own_count() -> None:
    searched = with_base(cells(), "nasnet_a_cifar")
    # Fig. 4 of Zoph et al. 2017, as the authors' code lists it.
    normal = [
        (0, "separable_5x5", 1, "separable_3x3"),
        (1, "separable_5x5", 1, "separable_3x3"),
        (0, "average_3x3", 1, "identity"),
        (1, "average_3x3", 1, "average_3x3"),
        (0, "separable_3x3", 0, "identity"),
    ]
    reduction = [
        (0, "separable_5x5", 1, "separable_7x7"),
        (0, "max_3x3", 1, "separable_7x7"),
        (0, "average_3x3", 1, "separable_5x5"),
        (3, "identity", 2, "average_3x3"),
        (2, "separable_3x3", 0, "max_3x3"),
    ]
    tokens = [
        f"{cell}{block}.left.map={first} {cell}{block}.right.map={second} "
        f"{cell}{block}.left={left} {cell}{block}.right={right}"
        for cell, rows in (("normal", normal), ("reduction", reduction))
        for block, (first, left, second, right) in enumerate(rows, start=1)
    ]
    choice = searched.read(" ".join(tokens))
    assert searched.choice("nasnet_a_cifar") == choice
    with torch.device("meta"):
        network = create_model(searched.network(choice))
    assert sum(p.numel() for p in network.parameters()) == 3_346_538


def test_mnasnets_stages_are_mobilenet_v2s_with_more_or_less() -> None:
    searched = mobile()
    # Kernel, expansion and squeeze have 2 options each, channels 3, layers 3; the last of
    # MobileNetV2's seven stages has one layer, which cannot lose one. The first is fixed.
    assert searched.size == 72**5 * 48
    plain = searched.read(
        " ".join(
            f"stage{n}.kernel=3 stage{n}.expansion=6 stage{n}.squeeze=false stage{n}.channels=1 "
            f"stage{n}.layers=0"
            for n in range(2, 8)
        )
    )
    stages = find_variant(searched.network(plain))[1].spec.stages
    theirs = VARIANTS["mobilenet_v2"][1].spec.stages
    assert [(s.expansion, s.channels, s.depth, s.stride) for s in stages] == [
        (t.expansion, t.channels, t.depth, t.stride) for t in theirs
    ]


def test_samples_are_even_and_a_mutation_changes_one_decision() -> None:
    searched, draw = residual(), random.Random(0)
    seen = [searched.sample(draw) for _ in range(7500)]
    counts = [seen.count(choice) for choice in set(seen)]
    assert len(counts) == searched.size == 75
    assert sum((count - 100) ** 2 / 100 for count in counts) < 120  # chi-squared, 74 degrees: 0.1 %
    for choice in seen[:200]:
        child = searched.mutated(choice, draw)
        assert sum(a != b for a, b in zip(choice, child, strict=True)) == 1


def test_another_base_of_the_family_keeps_its_other_fields() -> None:
    wider = with_base(cells(2), "nasnet_a_cifar@depth=2,width=16")
    network = wider.network((0,) * 16)
    assert network.startswith("nasnet_a_cifar@depth=2,width=16,normal=0.0.0.0-0.0.0.0,")
    assert wider.choice(network) == (0,) * 16
    with pytest.raises(UsageError, match="other fixed fields"):
        cells(2).choice(network)
    with pytest.raises(UsageError, match="space residual is of resnet_cifar; lenet5 is of lenet"):
        with_base(residual(), "lenet5")
    with pytest.raises(UsageError, match="lenet5 is not made of resnet20"):
        residual().choice("lenet5")


@pytest.mark.parametrize(
    ("decisions", "reason"),
    [
        ([Decision("width", ())], "width has no options"),
        ([Decision("width", (8, 8))], "width has an option twice"),
        ([Decision("width", (8,))], "it holds one network"),
        ([Decision("wdth", (8, 16))], "did you mean width"),
        ([Decision("stem", ("paper", "small"))], "unknown field"),
        ([Decision("width", (8, "wide"))], "width=wide"),
        ([Decision("blocks", (3,)), Decision("width", (8, 10**6))], "width=1000000"),
    ],
)
def test_a_wrong_space_is_refused_with_its_key(decisions: list[Decision], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        space("mine", "resnet20", decisions)


def test_what_is_not_in_the_space_is_refused() -> None:
    with pytest.raises(UsageError, match="hidden=64 is not in the space lenets; it has 16, 32"):
        LENETS.read("form=modern maps=2-4 hidden=64")
    with pytest.raises(UsageError, match="does not decide"):
        LENETS.read("form=modern maps=2-4")
    with pytest.raises(UnknownName, match="did you mean cells"):
        find_space("cell")
