"""What is true of Xception alone: the 36 layers and 14 modules of Fig. 5, and its blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convnets.layers.separable import separable_conv
from convnets.models import create_model, find_variant
from convnets.models.xception import Block, Xception

POCKET = find_variant("xception")[0].pocket


def test_maps_of_figure_5() -> None:
    with torch.device("meta"):
        network = create_model("xception")
        names = ["features.stem.conv1", "features.stem.conv2"]
        names += [f"features.stage1.block{index}" for index in (1, 2, 3)]
        names += ["features.stage2", "features.stage3.block1", "features.stage3"]
        maps = network.forward_intermediates(torch.empty(1, 3, 299, 299), names)
    assert [tuple(maps[name].shape[1:]) for name in names] == [
        (32, 149, 149),
        (64, 147, 147),
        (128, 74, 74),
        (256, 37, 37),
        (728, 19, 19),
        (728, 19, 19),
        (1024, 10, 10),
        (2048, 10, 10),
    ]


def test_36_convolutions_in_14_modules() -> None:
    with torch.device("meta"):
        features = create_model("xception").features
    # A separable convolution is one layer; the shortcuts are not counted.
    layers = [
        name
        for name, module in features.named_modules()
        if isinstance(module, nn.Conv2d)
        and not name.endswith("pointwise")
        and "shortcut" not in name
    ]
    assert len(layers) == 36
    blocks = [m for m in features.modules() if isinstance(m, Block)]
    # All but the first and the last module have a residual connection (Section 3).
    assert len(blocks) == 14 - 2
    strided = [m for m in blocks if not isinstance(m.shortcut, nn.Identity)]
    assert len(strided) == 4


def test_nothing_lies_between_depthwise_and_pointwise() -> None:
    layer = separable_conv(6, 4, 3)
    x = torch.randn(2, 6, 7, 7)
    depthwise, pointwise = (part.weight for part in layer.children())
    assert [tuple(depthwise.shape), tuple(pointwise.shape)] == [(6, 1, 3, 3), (4, 6, 1, 1)]
    # The product of the two is one full convolution.
    kernel = pointwise * depthwise.transpose(0, 1)
    torch.testing.assert_close(layer(x), F.conv2d(x, kernel, padding=1))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_leaves_its_input_as_it_was(stride: int) -> None:
    block = Block(6, (6, 6), stride=stride, squeeze=0, survival=1.0)
    x = torch.randn(2, 6, 8, 8)
    before = x.clone()
    assert block(x).shape == (2, 6, 8 // stride, 8 // stride)
    assert torch.equal(x, before)


def test_nothing_follows_the_sum() -> None:
    block = Block(6, (6, 6, 6), squeeze=0, survival=1.0).eval()
    nn.init.zeros_(block.branch.unit3.norm.weight)
    x = torch.randn(2, 6, 8, 8)
    assert torch.equal(block(x), x)


def test_stochastic_depth_and_squeeze_join_every_block() -> None:
    plain = Xception(POCKET)
    dropped = Xception(replace(POCKET, stochastic_depth=0.4))
    assert dropped.state_dict().keys() == plain.state_dict().keys()
    survivals = [m.drop.survival for m in dropped.modules() if isinstance(m, Block)]
    assert survivals == pytest.approx([0.9, 0.8, 0.7, 0.6])
    squeezed = Xception(replace(POCKET, squeeze=4))
    added = sum(2 * width * (width // 4) + width // 4 + width for width in (16, 24, 24, 32))
    counts = [sum(p.numel() for p in network.parameters()) for network in (plain, squeezed)]
    assert counts[1] - counts[0] == added


def test_small_stem_keeps_the_size() -> None:
    with torch.device("meta"):
        network = create_model("xception", stem="small", num_classes=10)
        names = ["features.stem", *(f"features.stage{index}" for index in (1, 2, 3))]
        maps = network.forward_intermediates(torch.empty(1, 3, 32, 32), names)
    assert [maps[name].shape[-1] for name in names] == [32, 4, 4, 2]
