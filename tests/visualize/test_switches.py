"""Max pooling with switches, and unpooling, for any size, stride and overlap: against torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from convnets.errors import UsageError
from convnets.visualize.deconvnet import max_pool_with_switches, unpool


@st.composite
def pooling(draw: st.DrawFn, *, apart: bool) -> tuple[Tensor, int, int]:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    kernel = draw(st.integers(1, min(height, width, 4)))
    stride = draw(st.integers(kernel if apart else 1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    if draw(st.booleans()):  # equal values in a window
        maps = torch.randint(-2, 3, (2, 3, height, width), generator=generator).float()
    else:
        maps = torch.randn(2, 3, height, width, generator=generator)
    return maps, kernel, stride


@settings(max_examples=60, deadline=None)
@given(pooling(apart=False))
def test_switches_are_those_of_max_pooling(case: tuple[Tensor, int, int]) -> None:
    maps, kernel, stride = case
    values, switches = max_pool_with_switches(maps, kernel, stride)
    expected, indices = F.max_pool2d(maps, kernel, stride, return_indices=True)
    assert torch.equal(values, expected)
    assert torch.equal(switches, indices)
    assert torch.equal(maps.flatten(2).gather(2, switches.flatten(2)), values.flatten(2))


@settings(max_examples=60, deadline=None)
@given(pooling(apart=True))
def test_unpooling_is_max_unpool2d_where_windows_lie_apart(case: tuple[Tensor, int, int]) -> None:
    maps, kernel, stride = case
    values, switches = max_pool_with_switches(maps, kernel, stride)
    size = (maps.shape[2], maps.shape[3])
    expected = F.max_unpool2d(values, switches, kernel, stride, output_size=size)
    assert torch.equal(unpool(values, switches, size), expected)


@settings(max_examples=60, deadline=None)
@given(pooling(apart=False))
def test_unpooling_is_the_transpose_of_pooling(case: tuple[Tensor, int, int]) -> None:
    maps, kernel, stride = case
    leaf = maps.clone().requires_grad_()
    pooled = F.max_pool2d(leaf, kernel, stride)
    values, switches = max_pool_with_switches(maps, kernel, stride)
    back = torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(pooled, leaf, back)
    unpooled = unpool(back, switches, (maps.shape[2], maps.shape[3]))
    torch.testing.assert_close(unpooled, gradient)


def test_windows_that_share_a_maximum_add_up() -> None:
    row = torch.tensor([[1.0, 2, 9, 3, 4]])
    maps = torch.cat((row, torch.zeros(2, 5)))
    values, switches = max_pool_with_switches(maps, 3, 1)
    assert switches.tolist() == [[2, 2, 2]]
    assert unpool(values, switches, (3, 5)).tolist() == [[0, 0, 27, 0, 0], [0] * 5, [0] * 5]


def test_pooling_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="no window of 4 with stride 2 in a 3x5 map"):
        max_pool_with_switches(torch.zeros(3, 5), 4, 2)
    with pytest.raises(UsageError, match="stride 0"):
        max_pool_with_switches(torch.zeros(3, 5), 2, 0)
    with pytest.raises(UsageError, match="outside a 2x2 map"):
        unpool(torch.ones(1, 1), torch.tensor([[4]]), (2, 2))
    with pytest.raises(UsageError, match="have switches of"):
        unpool(torch.ones(1, 2), torch.tensor([[1]]), (2, 2))
