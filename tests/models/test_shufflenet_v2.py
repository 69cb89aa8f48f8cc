"""What is true of ShuffleNet V2 alone: Table 5 and its two units."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnets.models import create_model
from convnets.models.shufflenet_v2 import BasicUnit, DownsamplingUnit


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("shufflenet_v2_x0_5", (24, 48, 96, 192, 1024)),
        ("shufflenet_v2_x1_0", (24, 116, 232, 464, 1024)),
        ("shufflenet_v2_x1_5", (24, 176, 352, 704, 1024)),
        ("shufflenet_v2_x2_0", (24, 244, 488, 976, 2048)),
    ],
)
def test_stages_of_table_5(name: str, channels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = create_model(name)
        names = [f"features.{child}" for child, _ in network.features.named_children()]
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), names)
    assert [tuple(maps[name].shape[1:]) for name in names] == [
        (width, side, side) for width, side in zip(channels, (56, 28, 14, 7, 7), strict=True)
    ]
    assert [len(stage) for stage in list(network.features.children())[1:4]] == [4, 8, 4]


def test_half_of_the_channels_pass_untouched_and_are_dealt_out() -> None:
    x = torch.rand(1, 8, 5, 5)
    block = BasicUnit(8).eval()
    out = block(x)
    assert torch.equal(out[:, 0::2], x[:, :4])
    assert torch.equal(out[:, 1::2], block.right(x[:, 4:]))


def test_downsampling_sees_all_channels_on_both_sides() -> None:
    x = torch.rand(1, 6, 8, 8)
    block = DownsamplingUnit(6, 16).eval()
    out = block(x)
    assert out.shape == (1, 16, 4, 4)
    assert torch.equal(out[:, 0::2], block.left(x))
    assert torch.equal(out[:, 1::2], block.right(x))


def test_plain_convolutions_keep_the_width() -> None:
    """Guidelines G1 and G2: equal widths cost least memory access, groups cost more."""
    network = create_model("shufflenet_v2_x0_5")
    for block in network.features.modules():
        if isinstance(block, BasicUnit):
            pointwise = [m for m in block.modules() if isinstance(m, nn.Conv2d)][::2]
            assert all(conv.in_channels == conv.out_channels for conv in pointwise)
            assert all(conv.groups == 1 for conv in pointwise)
