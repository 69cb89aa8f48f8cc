"""A convolution without its idle taps equals the whole one, forward and backward."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convnets.layers.conv import Convolution, conv_bn


@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), list(product((1, 3, 5, 7), (1, 2), (1, 4)))
)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (3, 2), (8, 8)])
def test_equals_the_whole_convolution(
    kernel: int, stride: int, groups: int, height: int, width: int
) -> None:
    ours = Convolution(4, 8, kernel, stride=stride, padding=kernel // 2, groups=groups)
    whole = nn.Conv2d(4, 8, kernel, stride=stride, padding=kernel // 2, groups=groups)
    whole.load_state_dict(ours.state_dict())
    images = torch.randn(2, 4, height, width, dtype=torch.float64)

    def outcome(module: nn.Module) -> list[Tensor]:
        leaf = images.clone().requires_grad_()
        out = module.double()(leaf)
        (out * torch.arange(out.numel()).view_as(out)).sum().backward()
        assert leaf.grad is not None
        return [out, leaf.grad, *(p.grad for p in module.parameters() if p.grad is not None)]

    torch.testing.assert_close(outcome(ours), outcome(whole))


@pytest.mark.parametrize(("side", "taps"), [(1, 1), (2, 9), (3, 25), (4, 49), (9, 49)])
def test_computes_the_taps_that_reach_the_map(side: int, taps: int) -> None:
    convolution = Convolution(8, 8, 7, padding=3, groups=8)

    def macs(images: Tensor, module: nn.Module) -> int:
        with FlopCounterMode(display=False) as counter:
            module(images)
        return counter.get_total_flops() // 2

    assert macs(torch.rand(1, 8, side, side), convolution) == 8 * side**2 * taps
    on_meta = convolution.to("meta")
    assert macs(torch.empty(1, 8, side, side, device="meta"), on_meta) == 8 * side**2 * 49


def test_other_paddings_are_left_alone() -> None:
    images = torch.rand(1, 2, 3, 3)
    for kernel, padding in ((3, 0), (2, 1), (5, 1), (3, 2)):
        ours = Convolution(2, 2, kernel, padding=padding)
        assert torch.equal(ours(images), nn.Conv2d.forward(ours, images))


def test_block_without_activation_ends_in_its_norm() -> None:
    names = [name for name, _ in conv_bn(3, 4, 3).named_children()]
    assert names == ["conv", "norm", "act"]
    assert [name for name, _ in conv_bn(3, 4, 3, act=None).named_children()] == names[:2]
