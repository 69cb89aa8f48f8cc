"""The lecture's grids, and torch's convolution, transpose, pooling and unpooling."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from convnets.analysis.scenes import Demonstration, Grid
from convnets.analysis.sliding import INPUT, KERNEL, convolve, transposed, unpool
from convnets.errors import UsageError

numbers = st.integers(-9, 9)


@st.composite
def grids(draw: st.DrawFn, least: int = 1, most: int = 7) -> list[list[int]]:
    width = draw(st.integers(least, most))
    row = st.lists(numbers, min_size=width, max_size=width)
    return draw(st.lists(row, min_size=least, max_size=most))


def tensor(rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def numbers_of(text: str) -> list[list[float]]:
    return [[float(cell) for cell in row.split()] for row in text.split("/")]


def grid(found: Demonstration, title: str) -> Grid:
    """The first grid whose title begins so."""
    grids = (part for scene in found.scenes for part in scene if isinstance(part, Grid))
    return next(each for each in grids if each.title.startswith(title))


def test_the_lectures_convolution() -> None:
    found = convolve()
    assert found.results["output"] == numbers_of("12 12 17 / 10 17 19 / 9 6 14")
    assert "(0, 0): 0·3 + 1·3 + 2·2 + 2·0 + 2·0 + 0·1 + 0·3 + 1·1 + 2·2 = 12" in found.lines
    assert "(5 - 3 + 2·0) / 1 + 1 = 3" in found.lines[0]
    text = str(found).splitlines()
    (first,) = (line for line in text if line.startswith("[3][3][2]"))
    assert first.split() == ["[3][3][2]", "1", "0", "0", "1", "2", "[12]", "12", "17"]
    assert len(found.steps) == 9


@settings(deadline=None)
@given(grids(least=3), grids(most=3), st.integers(1, 3), st.integers(0, 2))
def test_convolution_is_torchs(
    values: list[list[int]], kernel: list[list[int]], stride: int, padding: int
) -> None:
    found = convolve(values, kernel, stride=stride, padding=padding)
    expected = F.conv2d(tensor(values), tensor(kernel), stride=stride, padding=padding)
    assert found.results["output"] == expected[0, 0].tolist()
    for line in found.lines[2:]:
        sum_, _, value = line.partition(": ")[2].partition(" = ")
        pairs = [term.split("·") for term in sum_.split(" + ")]
        assert sum(float(weight) * float(cell) for weight, cell in pairs) == float(value)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_the_lectures_transposed_convolutions(stride: int, padding: int) -> None:
    found = transposed(INPUT, KERNEL, stride=stride, padding=padding)
    expected = F.conv_transpose2d(tensor(INPUT), tensor(KERNEL), stride=stride, padding=padding)
    assert found.results["output"] == expected[0, 0].tolist()
    assert len(expected[0, 0]) == (5 - 1) * stride - 2 * padding + 3
    assert found.lines[0].endswith(f"= {len(expected[0, 0])}")


@settings(deadline=None)
@given(grids(), grids(least=2, most=4), st.integers(1, 3), st.integers(0, 1))
def test_a_transposed_convolution_is_torchs_in_both_readings(
    values: list[list[int]], kernel: list[list[int]], stride: int, padding: int
) -> None:
    left = [(len(n) - 1) * stride + len(f) for n, f in ((values, kernel), (values[0], kernel[0]))]
    assume(min(left) > 2 * padding)
    found = transposed(values, kernel, stride=stride, padding=padding)
    arguments = {"stride": stride, "padding": padding}
    expected = F.conv_transpose2d(tensor(values), tensor(kernel), **arguments)[0, 0]
    assert found.results["output"] == expected.tolist()
    spread = tensor([[float(cell) for cell in row] for row in grid(found, "input, spread").cells])
    assert F.conv2d(spread, tensor(kernel).flip(2, 3))[0, 0].tolist() == expected.tolist()
    zeros = grid(found, "input, spread").added
    assert spread.numel() - len(zeros) == len(values) * len(values[0])


def test_the_steps_of_a_transposed_convolution_add_up() -> None:
    found = transposed(stride=2)
    last = found.steps[-1][-1]
    assert isinstance(last, Grid)
    assert [[float(cell) for cell in row] for row in last.cells] == found.results["output"]
    assert not last.added
    cut = transposed(stride=2, padding=1).steps[-1][-1]
    assert isinstance(cut, Grid)
    kept = [
        float(cell)
        for i, row in enumerate(cut.cells)
        for j, cell in enumerate(row)
        if (i, j) not in cut.added
    ]
    assert kept == [
        cell for row in transposed(stride=2, padding=1).results["output"] for cell in row
    ]


def test_unpooling_puts_values_at_their_switches() -> None:
    found = unpool(above=((1, 2), (3, 4)))
    assert found.results["pooled"] == [[5, 6], [7, 8]]
    assert found.results["unpooled"] == numbers_of("0 0 2 0 / 0 1 0 0 / 0 0 0 0 / 3 0 0 4")
    assert found.results["switches"] == [[1, 1], [0, 2], [3, 0], [3, 3]]
    assert grid(found, "input").marked == {(1, 1), (0, 2), (3, 0), (3, 3)}


@settings(deadline=None)
@given(grids(least=3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 1))
def test_pooling_and_unpooling_are_torchs(
    values: list[list[int]], kernel: int, stride: int, padding: int
) -> None:
    assume(padding <= kernel // 2)
    found = unpool(values, kernel=kernel, stride=stride, padding=padding)
    source = tensor(values).requires_grad_()
    pooled, indices = F.max_pool2d(source, kernel, stride, padding, return_indices=True)
    assert found.results["pooled"] == pooled[0, 0].tolist()
    places = [row * len(values[0]) + column for row, column in found.results["switches"]]
    assert places == indices.flatten().tolist()
    # The backward pass is unpooling, sums where switches meet included.
    pooled.backward(pooled.detach())
    assert source.grad is not None
    assert found.results["unpooled"] == source.grad[0, 0].tolist()
    if kernel == stride and not padding:
        size = (len(values), len(values[0]))
        placed = F.max_unpool2d(pooled.detach(), indices, kernel, stride, output_size=size)
        assert found.results["unpooled"] == placed[0, 0].tolist()


def test_values_that_share_a_switch_are_added_and_said_to_be() -> None:
    found = unpool([[0, 9, 0], [0, 0, 0]], kernel=2, stride=1)
    assert found.results["unpooled"] == [[0, 18, 0], [0, 0, 0]]
    assert found.lines[-1].endswith("values that share a switch are added")


def test_large_grids_have_no_steps() -> None:
    assert len(convolve([[1] * 9] * 9, [[1]]).steps) == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: convolve([[1, 2], [3]]), "no grid"),
        (lambda: convolve([]), "no grid"),
        (lambda: convolve([[1, 2]], [[1], [1]]), "does not fit"),
        (lambda: convolve([[float("nan")]], [[1]]), "finite"),
        (lambda: convolve([[1] * 17]), "16"),
        (lambda: transposed(padding=3), "padding"),
        (lambda: transposed([[1]], padding=2), "leaves nothing"),
        (lambda: transposed(stride=0), "stride"),
        (lambda: unpool(above=[[1]]), "1x1"),
        (lambda: unpool(padding=2), "half"),
    ],
)
def test_errors(wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wrong()
