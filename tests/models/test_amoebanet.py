"""AmoebaNet, which no library has: counts and cells by hand, from the authors' lists."""

from __future__ import annotations

import pytest
import torch

from convnets.layers.cell import Cell, Genotype, Shape, Step
from convnets.models import create_model, find_variant
from convnets.models.amoebanet import AMOEBANET_A, AMOEBANET_C
from tests.models.cells import (
    AMOEBANET_A_NORMAL,
    AMOEBANET_A_REDUCTION,
    AMOEBANET_C_NORMAL,
    AMOEBANET_C_REDUCTION,
    Computed,
    Published,
    count,
)
from tests.models.peers import randomise

A = (AMOEBANET_A_NORMAL, AMOEBANET_A_REDUCTION)
C = (AMOEBANET_C_NORMAL, AMOEBANET_C_REDUCTION)
CASES = [
    ("amoebanet_a_n6_f190", A, 6, 190, 32),
    ("amoebanet_a_n6_f448", A, 6, 448, 32),
    ("amoebanet_a_mobile_n4_f50", A, 4, 50, 32),
    ("amoebanet_c_mobile_n4_f50", C, 4, 50, 32),
    ("amoebanet_a_cifar_n6_f32", A, 6, 32, None),
    ("amoebanet_a_cifar_n6_f36", A, 6, 36, None),
]


@pytest.mark.parametrize(("name", "cells", "depth", "width", "stem_width"), CASES)
def test_count_by_hand(
    name: str,
    cells: tuple[Published, Published],
    depth: int,
    width: int,
    stem_width: int | None,
) -> None:
    variant = find_variant(name)[1]
    for classes, params in ((variant.num_classes, variant.params), (10, variant.params_10)):
        counted = count(
            *cells,
            depth=depth,
            width=width,
            size=variant.input_size,
            classes=classes,
            stem_width=stem_width,
        )
        assert counted[0] == params
        if classes == variant.num_classes:
            assert counted[1] == variant.macs


def test_multiply_adds_of_table_2_are_of_299_pixels() -> None:
    macs = count(*A, depth=6, width=448, size=299, classes=1000, stem_width=32)[1]
    assert round(macs / 1e9) == 104
    assert f"{macs:,}" in find_variant("amoebanet_a_n6_f448")[1].note


def test_cells_of_c_give_its_larger_network_of_another_table() -> None:
    """EfficientNet's Table 2 prints 155M and 41B for AmoebaNet-C, N=6 and F=228."""
    params, macs = count(*C, depth=6, width=228, size=331, classes=1000, stem_width=32)
    assert (round(params / 1e6), round(macs / 1e9)) == (155, 41)


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize("halved", [False, True], ids=["same size", "older larger"])
@pytest.mark.parametrize(
    ("genotype", "cell", "stride"),
    [
        pytest.param(AMOEBANET_A.normal, AMOEBANET_A_NORMAL, 1, id="A normal"),
        pytest.param(AMOEBANET_A.reduction, AMOEBANET_A_REDUCTION, 2, id="A reduction"),
        pytest.param(AMOEBANET_C.normal, AMOEBANET_C_NORMAL, 1, id="C normal"),
        pytest.param(AMOEBANET_C.reduction, AMOEBANET_C_REDUCTION, 2, id="C reduction"),
    ],
)
def test_cell_computed_by_hand(
    genotype: Genotype, cell: Published, stride: int, halved: bool, side: int
) -> None:
    ours = Cell(Step(genotype, 8, stride), Shape(5, 0), Shape(6, int(halved)))
    randomise(ours)
    ours.double().eval()
    older_side = 2 * side - 1 if halved else side
    older = torch.randn(2, 5, older_side, older_side, dtype=torch.float64)
    newer = torch.randn(2, 6, side, side, dtype=torch.float64)
    with torch.no_grad():
        expected = Computed(ours.state_dict()).cell(cell, stride, older, newer)
        torch.testing.assert_close(ours(older, newer), expected)


@pytest.mark.parametrize(
    ("name", "size", "shapes"),
    [
        ("amoebanet_a_n6_f190", 331, ((760, 42), (1520, 21), (3040, 11))),
        ("amoebanet_a_mobile_n4_f50", 224, ((200, 28), (400, 14), (800, 7))),
        ("amoebanet_c_mobile_n4_f50", 224, ((250, 28), (500, 14), (1000, 7))),
        ("amoebanet_a_cifar_n6_f32", 32, ((128, 32), (256, 16), (512, 8))),
    ],
)
def test_stages_join_four_maps_in_a_and_five_in_c(
    name: str, size: int, shapes: tuple[tuple[int, int], ...]
) -> None:
    with torch.device("meta"):
        network = create_model(name)
        stages = [f"features.stage{stage}" for stage in (1, 2, 3)]
        maps = network.forward_intermediates(torch.empty(1, 3, size, size), stages)
    assert [tuple(maps[stage].shape[1:]) for stage in stages] == [
        (channels, side, side) for channels, side in shapes
    ]
