"""What is true of Wide ResNet alone: Table 1's formula, what k widens, dropout inside a block."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from pytorchcv.models.wrn_cifar import get_wrn_cifar
from torch import nn

from convnets.models import create_model
from convnets.models.wide_resnet import FAMILY, ImageNetSpec, Spec, WideResNet, wide_resnet
from tests.models.peers import NoInitialisation, agree, carry

PYTORCHCV = {
    "wrn_16_8_cifar": (16, 8),
    "wrn_16_10_cifar": (16, 10),
    "wrn_28_10_cifar": (28, 10),
    "wrn_40_4_cifar": (40, 4),
    "wrn_40_8_cifar": (40, 8),
}
LARGE = ("wrn_28_10_cifar", "wrn_40_8_cifar")
ROWS = [(name, *pair) for name, pair in PYTORCHCV.items()]


@pytest.mark.parametrize(
    ("name", "layers", "factor"),
    [pytest.param(*row, marks=[pytest.mark.slow] if row[0] in LARGE else []) for row in ROWS],
)
def test_logits_equal_pytorchcv(name: str, layers: int, factor: int) -> None:
    with NoInitialisation():
        peer = get_wrn_cifar(num_classes=10, blocks=layers, width_factor=factor)
        network = create_model(name)
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)  # its own takes 32 pixels alone
    carry(peer, network)
    agree(peer, network, 16)


@pytest.mark.parametrize(("name", "layers", "factor"), ROWS)
def test_6n_plus_4_convolutions_and_their_parameters(name: str, layers: int, factor: int) -> None:
    """Table 1; the three projections count as layers, and each norm precedes a convolution."""
    with torch.device("meta"):
        network = create_model(name)
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == layers
    blocks = (layers - 4) // 6
    widths = [16, 16 * factor, 32 * factor, 64 * factor]
    expected = 9 * 3 * 16 + 2 * widths[-1] + widths[-1] * 10 + 10
    for narrow, wide in pairwise(widths):
        convolutions = 9 * narrow * wide + (2 * blocks - 1) * 9 * wide * wide
        norms = 2 * narrow + (2 * blocks - 1) * 2 * wide
        expected += convolutions + norms + narrow * wide
    assert FAMILY.variants[name].params == expected


def test_68_3_by_hand() -> None:
    """Stem, blocks of two 3x3 convolutions three times as wide as ResNet's, classifier."""
    params = 49 * 3 * 64 + 2 * 64 + 1536 * 1000 + 1000
    macs = 49 * 3 * 64 * 112**2 + 1536 * 1000
    channels = 64
    for depth, wide, side in ((3, 192, 56), (4, 384, 28), (23, 768, 14), (3, 1536, 7)):
        convolutions = 9 * channels * wide + (2 * depth - 1) * 9 * wide * wide + channels * wide
        params += convolutions + 2 * wide * (2 * depth + 1)
        macs += convolutions * side**2
        channels = wide
    row = FAMILY.variants["wide_resnet68_3"]
    assert (row.params, row.macs) == (params, macs)
    assert row.params_10 == params - 1537 * 990
    with torch.device("meta"):
        network = create_model("wide_resnet68_3")
    layers = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(layers) == 68


@pytest.mark.parametrize(
    ("depths", "factor", "millions"),
    [
        ((2, 2, 2, 2), 1, 11.7),
        ((2, 2, 2, 2), 2, 45.6),
        ((2, 2, 2, 2), 3, 101.8),
        ((3, 4, 6, 3), 1, 21.8),
        ((3, 4, 6, 3), 2, 86.0),
    ],
)
def test_basic_blocks_of_table_7(depths: tuple[int, ...], factor: int, millions: float) -> None:
    with torch.device("meta"):
        network = wide_resnet(ImageNetSpec("basic", depths, factor))
    params = sum(parameter.numel() for parameter in network.parameters())
    assert params / 1e6 == pytest.approx(millions, abs=0.1)


def test_a_wide_bottleneck_is_wider_in_its_3x3_alone() -> None:
    with torch.device("meta"):
        network = create_model("wide_resnet50_2")
    block = network.get_submodule("features.stage4.block3")
    shapes = [tuple(m.weight.shape) for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert shapes == [(1024, 2048, 1, 1), (1024, 1024, 3, 3), (2048, 1024, 1, 1)]


def test_dropout_is_between_the_two_convolutions() -> None:
    network = WideResNet(Spec(1, 2, dropout=0.3))
    block = network.get_submodule("features.stage1.block1")
    kinds = [type(m).__name__ for m in block.branch.modules() if not list(m.children())]
    assert kinds == ["Convolution", "BatchNorm2d", "ReLU", "Dropout", "Convolution"]
    plain = WideResNet(Spec(1, 2))
    assert list(plain.state_dict()) == list(network.state_dict())
