"""What is true of MobileNet alone: Table 1, the cost of a separable convolution, its peer."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convnets.models import create_model
from convnets.models.mobilenet_v1 import separable
from tests.models.peers import agree, carry

PYTORCHCV = {
    "mobilenet_v1": "mobilenet_w1",
    "mobilenet_v1_075": "mobilenet_w3d4",
    "mobilenet_v1_05": "mobilenet_wd2",
    "mobilenet_v1_025": "mobilenet_wd4",
}


@pytest.mark.parametrize(("name", "peer_name"), PYTORCHCV.items())
def test_logits_equal_pytorchcv(name: str, peer_name: str) -> None:
    peer = get_model(peer_name)
    # Its 7x7 pooling fits 224 pixels alone; over the whole map it is the same there.
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)
    network = create_model(name)
    carry(peer, network)
    agree(peer, network, 96)


def test_28_layers_and_the_maps_of_table_1() -> None:
    with torch.device("meta"):
        network = create_model("mobilenet_v1")
        maps = network.forward_intermediates(
            torch.empty(1, 3, 224, 224),
            [f"features.{name}" for name, _ in network.features.named_children()],
        )
    assert [tuple(each.shape[1:]) for each in maps.values()] == [
        (32, 112, 112),
        (64, 112, 112),
        (128, 56, 56),
        (256, 28, 28),
        (512, 14, 14),
        (1024, 7, 7),
    ]
    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 28


def test_separable_costs_one_over_n_plus_one_ninth() -> None:
    """Section 3.1: the ratio to a standard 3x3 convolution is 1/N + 1/D_K^2."""
    maps = torch.rand(1, 16, 8, 8)

    def cost(module: nn.Module) -> int:
        with FlopCounterMode(display=False) as counter:
            module(maps)
        return counter.get_total_flops()

    ratio = Fraction(cost(separable(16, 24, stride=1)), cost(nn.Conv2d(16, 24, 3, padding=1)))
    assert ratio == Fraction(1, 24) + Fraction(1, 9)


@pytest.mark.parametrize(("side", "millions"), [(224, 569), (192, 418), (160, 290), (128, 186)])
def test_cost_at_the_resolutions_of_table_7(side: int, millions: int) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        create_model("mobilenet_v1")(torch.empty(1, 3, side, side))
    assert abs(counter.get_total_flops() / 2e6 - millions) <= 1
