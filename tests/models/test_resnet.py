"""What is true of ResNet alone: Table 1, where the stride is, the shortcuts, and its options."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import nn
from torch.nn import functional as F

from convnets.layers.residual import Bottleneck
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.models import create_model
from convnets.models.resnet import FAMILY, ResNet
from tests.models.peers import NoInitialisation, agree, carry

BASIC = (64, 128, 256, 512)
BOTTLENECK = (256, 512, 1024, 2048)


def on_meta(name: str, **changes: Any) -> ResNet:
    with torch.device("meta"):
        return ResNet(replace(FAMILY.variants[name].spec, **changes))


def trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "peer_name"),
    [
        ("resnet50_v1", "resnet50"),
        pytest.param("resnet101_v1", "resnet101", marks=pytest.mark.slow),
        pytest.param("resnet152_v1", "resnet152", marks=pytest.mark.slow),
    ],
)
def test_logits_equal_pytorchcv(name: str, peer_name: str) -> None:
    with NoInitialisation():
        peer = get_model(peer_name)
        network = create_model(name)
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)  # its own takes 224 pixels alone
    carry(peer, network)
    agree(peer, network, 64)


@pytest.mark.parametrize(
    ("name", "layers", "channels"),
    [
        ("resnet18", 18, BASIC),
        ("resnet34", 34, BASIC),
        ("resnet50", 50, BOTTLENECK),
        ("resnet50_v1", 50, BOTTLENECK),
        ("resnet101", 101, BOTTLENECK),
        ("resnet101_v1", 101, BOTTLENECK),
        ("resnet152", 152, BOTTLENECK),
        ("resnet152_v1", 152, BOTTLENECK),
        ("resnet200", 200, BOTTLENECK),
    ],
)
def test_layers_and_stages_of_table_1(name: str, layers: int, channels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = create_model(name)
        stages = [f"features.stage{stage}" for stage in (1, 2, 3, 4)]
        maps = network.forward_intermediates(
            torch.empty(1, 3, 224, 224), ["features.stem", *stages]
        )
    assert maps.pop("features.stem").shape == (1, 64, 56, 56)
    sides = (56, 28, 14, 7)
    assert [tuple(maps[stage].shape) for stage in stages] == [
        (1, width, side, side) for width, side in zip(channels, sides, strict=True)
    ]
    weighted = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(weighted) == layers


@pytest.mark.parametrize(("name", "side"), [("resnet50", 56), ("resnet50_v1", 28)])
def test_the_first_1x1_has_the_stride_in_the_paper_alone(name: str, side: int) -> None:
    with torch.device("meta"):
        network = create_model(name)
        first = "features.stage2.block1.conv1"
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), [first])
    assert maps[first].shape == (1, 128, side, side)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet18", 11.174),
        ("resnet34", 21.282),
        ("resnet50", 23.521),
        ("resnet101", 42.513),
        ("resnet152", 58.157),
    ],
)
def test_small_stem_trades_49_taps_for_9(name: str, millions: float) -> None:
    with torch.device("meta"):
        network = create_model(name, stem="small", num_classes=10)
        maps = network.forward_features(torch.empty(1, 3, 32, 32))
    assert round(trainable(network) / 1e6, 3) == millions
    assert maps.shape[-2:] == (4, 4)


def test_residual_branch_is_added_to_the_input() -> None:
    block = create_model("resnet18").features.stage1.block1.eval()
    nn.init.zeros_(block.conv2.norm.weight)
    x = torch.rand(1, 64, 8, 8)
    torch.testing.assert_close(block(x), x)


def test_shortcut_options_of_section_3_3() -> None:
    """A has no parameters; B projects at three changes of shape, C in the 13 other blocks too."""
    changes = [(64, 128), (128, 256), (256, 512)]
    others = [64] * 3 + [128] * 3 + [256] * 5 + [512] * 2
    projecting = sum(narrow * wide + 2 * wide for narrow, wide in changes)
    option_b = trainable(on_meta("resnet34"))
    assert trainable(on_meta("resnet34", shortcut="A")) == option_b - projecting
    assert trainable(on_meta("resnet34", shortcut="C")) == option_b + sum(
        width * width + 2 * width for width in others
    )


def test_squeeze_and_excitation_makes_se_resnet50() -> None:
    """The count is timm's for ``legacy_seresnet50``."""
    assert trainable(on_meta("resnet50_v1", squeeze=16)) == 28_088_024


def test_stochastic_depth_has_no_state() -> None:
    plain, dropping = on_meta("resnet50"), on_meta("resnet50", stochastic_depth=0.2)
    assert list(plain.state_dict()) == list(dropping.state_dict())
    survivals = [block.drop.survival for _, block in blocks(dropping)]
    assert survivals[0] == pytest.approx(1 - 0.2 / 16)
    assert survivals[-1] == pytest.approx(0.8)


def blocks(network: ResNet) -> list[tuple[str, Any]]:
    return [(name, m) for name, m in network.named_modules() if isinstance(m, Bottleneck)]


def test_bottleneck_against_functions() -> None:
    """A block of every part: groups, a thinner first 1x1, a gate, squeeze, stride in conv1."""
    block = Bottleneck(
        6,
        8,
        10,
        stride=2,
        groups=4,
        first_width=4,
        strided="conv1",
        gate=SqueezeExcite(8, 3),
        squeeze=SqueezeExcite(10, 5),
    ).eval()
    weights = block.state_dict()
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + (0.5 if "var" in name else -0.5))

    def conv_bn(x: torch.Tensor, name: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        kernel = weights[f"{name}.conv.weight"]
        x = F.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, 1, groups)
        mean, var, scale, shift = (
            weights[f"{name}.norm.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def gated(x: torch.Tensor, name: str) -> torch.Tensor:
        scale = x.mean((2, 3))
        for part, act in (("reduce", F.relu), ("expand", torch.sigmoid)):
            weight = weights[f"{name}.{part}.weight"][:, :, 0, 0]
            scale = act(F.linear(scale, weight, weights[f"{name}.{part}.bias"]))
        return x * scale[:, :, None, None]

    x = torch.randn(2, 6, 7, 7)
    branch = F.relu(conv_bn(x, "conv1", stride=2))
    branch = gated(F.relu(conv_bn(branch, "conv2", groups=4)), "gate")
    branch = gated(conv_bn(branch, "conv3"), "squeeze")
    expected = F.relu(branch + conv_bn(x, "shortcut", stride=2))
    torch.testing.assert_close(block(x), expected)
