"""The operations of a searched cell against plain arithmetic."""

from __future__ import annotations

import pytest
import torch

from convnets.layers.cell import Cell, Genotype, Shape, Step
from convnets.layers.cell_operations import FactorizedReduction, Pool, identity, row_and_column


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_pooling_sees_the_windows_of_same_padding(side: int, stride: int) -> None:
    x = torch.randn(1, 1, side, side)
    out = -(-side // stride)
    before = max((out - 1) * stride + 3 - side, 0) // 2
    highest, average = Pool("max", stride)(x), Pool("average", stride)(x)
    assert highest.shape == average.shape == (1, 1, out, out)
    for row in range(out):
        for column in range(out):
            top, left = row * stride - before, column * stride - before
            window = x[0, 0, max(top, 0) : top + 3, max(left, 0) : left + 3]
            torch.testing.assert_close(highest[0, 0, row, column], window.max())
            torch.testing.assert_close(average[0, 0, row, column], window.mean())


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_factorized_reduction_looks_at_even_and_odd_places(side: int) -> None:
    reduction = FactorizedReduction(3, 5).eval()
    x = torch.randn(1, 3, side, side)
    further = torch.zeros(1, 3, side + 1, side + 1)
    further[:, :, :side, :side] = x
    first = torch.einsum("oi,bihw->bohw", reduction.path1.weight[:, :, 0, 0], x[:, :, ::2, ::2])
    second = torch.einsum(
        "oi,bihw->bohw", reduction.path2.weight[:, :, 0, 0], further[:, :, 1::2, 1::2]
    )
    assert (first.shape[1], second.shape[1]) == (2, 3)
    expected = torch.cat([first, second], 1) / (1 + 1e-3) ** 0.5
    torch.testing.assert_close(reduction(x), expected)


def test_identity_changes_only_a_shape_that_has_to_change() -> None:
    x = torch.randn(1, 8, 6, 6)
    assert identity(8, 8, 1)(x) is x
    assert identity(8, 8, 2)(x).shape == (1, 8, 3, 3)
    assert identity(8, 4, 1)(x).shape == (1, 4, 6, 6)


def test_row_and_column_strides_each_axis_once() -> None:
    assert row_and_column(8, 12, 2)(torch.randn(1, 8, 7, 6)).shape == (1, 12, 4, 3)


def test_a_map_of_the_input_is_joined_in_the_shape_of_the_sums() -> None:
    genotype = Genotype((("max 3x3", 0, "max 3x3", 1),), joined=(0, 1, 2))
    kept = Cell(Step(genotype, 4), Shape(6, 0), Shape(5, 0))
    halved = Cell(Step(genotype, 4, stride=2), Shape(6, 0), Shape(5, 1))
    older, newer = torch.randn(2, 6, 9, 9), torch.randn(2, 5, 9, 9)
    assert kept(older, newer).shape == (2, 12, 9, 9)
    assert halved(older, newer[..., ::2, ::2]).shape == (2, 12, 3, 3)


def test_the_first_cell_has_its_only_input_as_map_1_as_it_is() -> None:
    genotype = Genotype((("identity", 1, "identity", 1),), joined=(2,))
    cell = Cell(Step(genotype, 5), None, Shape(5, 0))
    x = torch.randn(2, 5, 4, 4)
    assert torch.equal(cell(x, x), 2 * x)
