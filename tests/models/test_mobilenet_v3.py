"""What is true of MobileNetV3 alone: Tables 1 and 2, its gate, and the thinner networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnets.layers.inverted_residual import InvertedResidual
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.models import create_model
from convnets.models.mobilenet_v3 import squeeze_excite

# Of each table: the numbers of the rows with squeeze-and-excitation and with hard swish, from 1.
COLUMNS = {
    "mobilenet_v3_large": ({4, 5, 6, 11, 12, 13, 14, 15}, {7, 8, 9, 10, 11, 12, 13, 14, 15}),
    "mobilenet_v3_small": ({1, 4, 5, 6, 7, 8, 9, 10, 11}, {4, 5, 6, 7, 8, 9, 10, 11}),
}


def blocks(name: str) -> list[InvertedResidual]:
    with torch.device("meta"):
        network = create_model(name)
    return [module for module in network.modules() if isinstance(module, InvertedResidual)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "mobilenet_v3_large",
            [
                (16, 112, 112),
                (16, 112, 112),
                (24, 56, 56),
                (40, 28, 28),
                (80, 14, 14),
                (112, 14, 14),
                (160, 7, 7),
                (960, 7, 7),
            ],
        ),
        (
            "mobilenet_v3_small",
            [
                (16, 112, 112),
                (16, 56, 56),
                (24, 28, 28),
                (40, 14, 14),
                (48, 14, 14),
                (96, 7, 7),
                (576, 7, 7),
            ],
        ),
    ],
)
def test_maps_of_the_tables(name: str, expected: list[tuple[int, ...]]) -> None:
    with torch.device("meta"):
        network = create_model(name)
        maps = network.forward_intermediates(
            torch.empty(1, 3, 224, 224),
            [f"features.{name}" for name, _ in network.features.named_children()],
        )
    assert [tuple(each.shape[1:]) for each in maps.values()] == expected


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        (
            "mobilenet_v3_large",
            [16, 64, 72, 72, 120, 120, 240, 200, 184, 184, 480, 672, 672, 960, 960],
        ),
        ("mobilenet_v3_small", [16, 72, 88, 96, 240, 240, 120, 144, 288, 576, 576]),
    ],
)
def test_exp_size_se_and_nl_of_the_tables(name: str, widths: list[int]) -> None:
    found = blocks(name)
    squeezed, hard = COLUMNS[name]
    assert [block.depthwise.conv.in_channels for block in found] == widths
    for number, block in enumerate(found, start=1):
        assert isinstance(block.squeeze, SqueezeExcite) == (number in squeezed)
        assert isinstance(block.depthwise.act, nn.Hardswish) == (number in hard)


def test_gate_is_relu6_of_x_plus_3_over_6() -> None:
    gate = squeeze_excite(72)
    assert gate.reduce.out_channels == 24
    nn.init.normal_(gate.expand.bias, std=4)
    x = torch.randn(2, 72, 5, 5)
    mean = x.mean((2, 3))
    hidden = (mean @ gate.reduce.weight[:, :, 0, 0].T + gate.reduce.bias).clamp(min=0)
    scale = hidden @ gate.expand.weight[:, :, 0, 0].T + gate.expand.bias
    expected = x * ((scale + 3).clamp(0, 6) / 6)[:, :, None, None]
    torch.testing.assert_close(gate(x), expected)


@pytest.mark.parametrize(
    ("name", "final", "hidden"),
    [
        ("mobilenet_v3_large", 960, 1280),
        ("mobilenet_v3_large_075", 720, 1280),
        ("mobilenet_v3_small", 576, 1024),
        ("mobilenet_v3_small_075", 432, 1024),
    ],
)
def test_multiplier_thins_all_but_the_last_hidden_layer(name: str, final: int, hidden: int) -> None:
    with torch.device("meta"):
        head = create_model(name).head
    assert head.fc1.weight.shape == (hidden, final)
    assert head.fc2.in_features == hidden


@pytest.mark.parametrize(
    ("name", "statistics"),
    [
        ("mobilenet_v3_large", (1e-3, 0.01)),
        ("mobilenet_v3_small", (1e-3, 0.01)),
        ("mobilenet_v3_large_075", (1e-5, 0.1)),
        ("mobilenet_v3_small_075", (1e-5, 0.1)),
    ],
)
def test_batch_statistics_are_the_peers(name: str, statistics: tuple[float, float]) -> None:
    with torch.device("meta"):
        network = create_model(name)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {statistics}
