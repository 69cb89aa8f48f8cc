"""What is true of ConvNeXt alone: Table 9, LayerScale, memory order, torchvision's logits."""

from __future__ import annotations

import pytest
import torch
import torchvision

from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import create_model
from convnets.models.convnext import FAMILY, Block, ConvNeXt
from tests.models.peers import agree, carry


@pytest.mark.parametrize("name", ["convnext_tiny", "convnext_small", "convnext_base"])
def test_logits_equal_torchvision(name: str) -> None:
    with torch.device("meta"):
        peer, network = torchvision.models.get_model(name), create_model(name)
    carry(peer.to_empty(device="cpu"), network.to_empty(device="cpu"))
    agree(peer, network, 64)


@pytest.mark.parametrize(("size", "sides"), [(224, (56, 28, 14, 7)), (288, (72, 36, 18, 9))])
def test_maps_of_table_9(size: int, sides: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = create_model("convnext_tiny")
        stages = [f"features.stage{stage}" for stage in (1, 2, 3, 4)]
        maps = network.forward_intermediates(torch.empty(1, 3, size, size), stages)
    assert [len(network.get_submodule(stage)) for stage in stages] == [3, 1 + 3, 1 + 9, 1 + 3]
    assert [tuple(each.shape) for each in maps.values()] == [
        (1, width, side, side) for width, side in zip((96, 192, 384, 768), sides, strict=True)
    ]


def test_small_stem_halves_the_image_twice_less() -> None:
    with torch.device("meta"):
        network = create_model("convnext_tiny", stem="small")
        assert network.forward_features(torch.empty(1, 3, 32, 32)).shape == (1, 768, 2, 2)


def test_block_starts_as_the_identity_but_for_a_millionth() -> None:
    block = Block(8, survival=1.0)
    x = torch.randn(2, 8, 7, 7)
    moved = block(x) - x
    assert 0 < moved.abs().max() < 1e-4


def test_drop_rate_grows_with_depth_to_the_published_one() -> None:
    for name, rate in (("convnext_tiny", 0.1), ("convnext_small", 0.4), ("convnext_base", 0.5)):
        with torch.device("meta"):
            network = create_model(name)
        survivals = [m.survival for m in network.modules() if isinstance(m, StochasticDepth)]
        assert survivals == sorted(survivals, reverse=True)
        assert survivals[-1] == pytest.approx(1 - rate)


def test_maps_lie_channels_last_whatever_the_image() -> None:
    network = ConvNeXt(FAMILY.pocket)
    images = torch.randn(2, 3, 32, 32)
    for order in (torch.contiguous_format, torch.channels_last):
        maps = network.forward_features(images.contiguous(memory_format=order))
        assert maps.is_contiguous(memory_format=torch.channels_last)
