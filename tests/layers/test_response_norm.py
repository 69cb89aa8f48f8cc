"""Local response normalisation against its formula, written out in loops."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from convnets.layers.response_norm import ResponseNorm


def near(index: int, size: int, end: int) -> range:
    """The indices max(0, i - n/2) to min(N - 1, i + n/2) of Section 3.3."""
    return range(max(0, index - size // 2), min(end - 1, index + size // 2) + 1)


def formula(maps: Tensor, size: int, across: str) -> Tensor:
    channels, height, width = maps.shape
    expected = torch.empty_like(maps)
    for channel, row, column in product(range(channels), range(height), range(width)):
        if across == "maps":
            around = [maps[c, row, column] for c in near(channel, size, channels)]
        else:
            rows, columns = near(row, size, height), near(column, size, width)
            around = [maps[channel, r, c] for r, c in product(rows, columns)]
        total = sum(float(value) ** 2 for value in around)
        expected[channel, row, column] = maps[channel, row, column] / (2 + 1e-4 * total) ** 0.75
    return expected


@pytest.mark.parametrize("across", ["maps", "pixels"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_is_the_formula_with_alexnets_constants(across: str, size: int) -> None:
    maps = 50 * torch.randn(2, 7, 4, 3, dtype=torch.float64)
    normal = ResponseNorm(size, across=across)(maps)
    for image, values in zip(normal, maps, strict=True):
        torch.testing.assert_close(image, formula(values, size, across))


def test_worked_example_of_two_neighbours() -> None:
    # (k, alpha, beta, n) = (0, 1, 1, 2): two active maps share one unit's response.
    maps = torch.tensor([1.0, 1.0, 0.0, 1.0]).view(1, 4, 1, 1)
    normal = ResponseNorm(2, alpha=1, beta=1, k=0)(maps)
    assert normal[0, 0].item() == 0.5
    within = ResponseNorm(2, alpha=1, beta=1, k=0, across="pixels")(maps.view(1, 1, 2, 2))
    torch.testing.assert_close(within, maps.view(1, 1, 2, 2) / 3)
