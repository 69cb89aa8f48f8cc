"""What is true of ResNet for CIFAR alone: 6n+2 layers, the three shortcuts, stochastic depth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import Tensor, nn

from convnets.layers.residual import PaddedIdentity
from convnets.models import create_model
from convnets.models.resnet_cifar import FAMILY, CifarResNet, Spec
from tests.models.peers import agree, carry

DEPTHS = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}


def trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def on_meta(spec: Spec) -> CifarResNet:
    with torch.device("meta"):
        return CifarResNet(spec)


def parameters(n: int) -> int:
    """Section 4.2: 3x3 convolutions without bias, each with a scale and a shift a channel."""
    stem = 9 * 3 * 16 + 2 * 16
    stage1 = 2 * n * (9 * 16 * 16 + 2 * 16)
    stage2 = 9 * 16 * 32 + (2 * n - 1) * 9 * 32 * 32 + 2 * n * 2 * 32
    stage3 = 9 * 32 * 64 + (2 * n - 1) * 9 * 64 * 64 + 2 * n * 2 * 64
    return stem + stage1 + stage2 + stage3 + 64 * 10 + 10


@pytest.mark.parametrize(("name", "n"), DEPTHS.items())
def test_6n_plus_2_layers_and_their_parameters(name: str, n: int) -> None:
    with torch.device("meta"):
        network = create_model(name)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 6 * n + 2 == int(name.removeprefix("resnet"))
    assert FAMILY.variants[name].params == parameters(n)


def test_1202_layers() -> None:
    row = FAMILY.variants["resnet1202"]
    assert 6 * row.spec.blocks + 2 == 1202
    assert row.params == parameters(row.spec.blocks)


def test_maps_of_32_16_and_8_pixels() -> None:
    with torch.device("meta"):
        network = create_model("resnet20")
        names = [f"features.{name}" for name in ("stem", "stage1", "stage2", "stage3")]
        maps = network.forward_intermediates(torch.empty(1, 3, 32, 32), names)
    assert [tuple(each.shape[1:]) for each in maps.values()] == [
        (16, 32, 32),
        (16, 32, 32),
        (32, 16, 16),
        (64, 8, 8),
    ]


def test_option_a_keeps_every_second_pixel_and_pads_with_zeros() -> None:
    x = torch.randn(2, 3, 5, 6)
    pooled = nn.functional.avg_pool2d(x, 1, 2)
    expected = torch.cat([pooled, 0 * pooled], 1)
    assert torch.equal(PaddedIdentity(3, 2)(x), expected)
    block = create_model("resnet20").features.stage2.block1.eval()
    nn.init.zeros_(block.conv2.norm.weight)
    x = torch.rand(1, 16, 4, 4)
    out: Tensor = block(x)
    assert torch.equal(out[:, :16], x[:, :, ::2, ::2])
    assert not out[:, 16:].any()


def test_options_b_and_c_add_projections() -> None:
    changes = [(16, 32), (32, 64)]
    projecting = sum(narrow * wide + 2 * wide for narrow, wide in changes)
    option_b = trainable(on_meta(Spec(3, shortcut="B")))
    assert option_b == parameters(3) + projecting == 272_474  # pytorchcv's resnet20_cifar10
    others = [16] * 3 + [32] * 2 + [64] * 2
    option_c = trainable(on_meta(Spec(3, shortcut="C")))
    assert option_c == option_b + sum(width * width + 2 * width for width in others)


@pytest.mark.parametrize(("peer_name", "n"), [("resnet20_cifar10", 3), ("resnet56_cifar10", 9)])
def test_logits_with_option_b_equal_pytorchcv(peer_name: str, n: int) -> None:
    peer = get_model(peer_name)
    network = CifarResNet(Spec(n, shortcut="B"))
    carry(peer, network)
    agree(peer, network, 32)


@pytest.mark.parametrize("name", ["resnet110", "resnet1202"])
def test_rows_with_stochastic_depth_differ_in_nothing_else(name: str) -> None:
    plain, dropping = FAMILY.variants[name], FAMILY.variants[f"{name}_stochastic_depth"]
    assert dropping.spec == replace(plain.spec, stochastic_depth=0.5)
    assert (dropping.params, dropping.macs) == (plain.params, plain.macs)


def test_stochastic_depth_is_the_plain_network_at_test() -> None:
    """Section 3 of Huang et al.: with p_L = 0.5, (3L - 1) / 4 blocks are awake on average."""
    network = on_meta(FAMILY.variants["resnet110_stochastic_depth"].spec)
    plain = on_meta(FAMILY.variants["resnet110"].spec)
    assert list(network.state_dict()) == list(plain.state_dict())
    stages = [network.get_submodule(f"features.stage{stage}") for stage in (1, 2, 3)]
    survivals = [block.drop.survival for stage in stages for block in stage.children()]
    assert len(survivals) == 54
    assert survivals[-1] == 0.5
    assert sum(survivals) == pytest.approx((3 * 54 - 1) / 4)


def test_a_sleeping_block_passes_its_input_on() -> None:
    network = CifarResNet(Spec(2, width=8, stochastic_depth=0.5)).train()
    block = network.get_submodule("features.stage3.block2")
    x = torch.rand(64, 32, 4, 4)
    asleep = [torch.equal(out, image) for out, image in zip(block(x), x, strict=True)]
    assert 16 <= sum(asleep) <= 48
