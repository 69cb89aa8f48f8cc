"""What is true of the CIFAR DenseNets alone: their counts, and pytorchcv's logits where it agrees.

pytorchcv halves the maps between blocks in the plain networks too, where the paper keeps all: its
plain DenseNets are not these, and their counts are worked out here.
"""

from __future__ import annotations

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import nn

from convnets.errors import UsageError
from convnets.layers.dense_block import DenseLayer
from convnets.models import create_model, find_variant
from convnets.models.densenet_cifar import DenseNetCifar, Spec, bc
from tests.models.peers import NoInitialisation, agree, carry

PYTORCHCV = {
    "densenet_bc_100_k12": "densenet100_k12_bc_cifar10",
    "densenet_bc_250_k24": "densenet250_k24_bc_cifar10",
    "densenet_bc_190_k40": "densenet190_k40_bc_cifar10",
}
# Depth and growth rate of the networks without bottleneck and compression.
PLAIN = {
    "densenet_40_k12": (40, 12),
    "densenet_100_k12": (100, 12),
    "densenet_100_k24": (100, 24),
}


@pytest.mark.parametrize("name", PYTORCHCV)
def test_logits_equal_pytorchcv(name: str) -> None:
    with NoInitialisation():
        peer = get_model(PYTORCHCV[name])
        network = create_model(name)
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)  # it takes 32x32 images alone
    carry(peer, network)
    agree(peer, network, 8)


def counted_by_hand(depth: int, growth_rate: int) -> tuple[int, int]:
    """Parameters and multiply-adds of a plain DenseNet, layer by layer (Section 3)."""
    layers = (depth - 4) // 3
    maps = 16
    params, macs = 9 * 3 * maps, 9 * 3 * maps * 32**2
    for block, side in enumerate((32, 16, 8)):
        if block:
            # BN and 1x1 at the size before the pooling.
            params += 2 * maps + maps * maps
            macs += maps * maps * (2 * side) ** 2
        for _ in range(layers):
            params += 2 * maps + 9 * maps * growth_rate
            macs += 9 * maps * growth_rate * side**2
            maps += growth_rate
    return params + 2 * maps + 10 * maps + 10, macs + 10 * maps


@pytest.mark.parametrize("name", PLAIN)
def test_counts_of_the_plain_networks(name: str) -> None:
    _, variant = find_variant(name)
    assert (variant.params, variant.macs) == counted_by_hand(*PLAIN[name])


@pytest.mark.parametrize("name", [*PLAIN, *PYTORCHCV])
def test_three_blocks_and_the_depth_in_the_name(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
        stages = [f"features.stage{stage}" for stage in (1, 2, 3)]
        maps = network.forward_intermediates(torch.empty(1, 3, 32, 32), stages)
    assert [each.shape[-1] for each in maps.values()] == [32, 16, 8]
    depth = int(name.removeprefix("densenet_").removeprefix("bc_").partition("_")[0])
    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth


def test_a_block_of_n_layers_has_triangular_many_connections() -> None:
    with torch.device("meta"):
        network = create_model("densenet_40_k12")
    layers = [m for m in network.features.stage1.modules() if isinstance(m, DenseLayer)]
    sources = [1 + (layer.conv.conv.in_channels - 16) // 12 for layer in layers]
    assert sum(sources) == 12 * 13 // 2  # L(L+1)/2 (Section 1)


@pytest.mark.parametrize("spec", [Spec(41, 12), Spec(4, 12), bc(102, 12)])
def test_a_depth_that_three_equal_blocks_cannot_have(spec: Spec) -> None:
    with pytest.raises(UsageError, match=f"depth is {spec.depth}"):
        DenseNetCifar(spec)
