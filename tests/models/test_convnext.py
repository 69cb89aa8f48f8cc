"""What is true of ConvNeXt alone: Tables 2 and 9, LayerScale, stochastic depth, memory order."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import create_model
from convnets.models.convnext import FAMILY, Block, ConvNeXt, Spec


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


@pytest.mark.parametrize(
    ("name", "depth", "width"),
    [("iso_small", 18, 384), ("iso_base", 18, 768), ("iso_large", 36, 1024)],
)
def test_isotropic_keeps_the_map_of_a_vit(name: str, depth: int, width: int) -> None:
    with torch.device("meta"):
        network = create_model(f"convnext_{name}")
        blocks = [f"features.stage1.block{number}" for number in range(1, depth + 1)]
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), blocks)
    assert len(network.features) == 2
    assert {tuple(each.shape) for each in maps.values()} == {(1, width, 14, 14)}


@pytest.mark.parametrize(
    ("name", "depth", "width", "millions"),
    [
        ("iso_small", 18, 384, 22),
        ("iso_base", 18, 768, 87),
        ("iso_large", 36, 1024, 306),
    ],
)
def test_isotropic_parameters_by_hand(name: str, depth: int, width: int, millions: int) -> None:
    block = (49 + 1) * width + 2 * width + (width + 1) * 4 * width + (4 * width + 1) * width
    stem = (16 * 16 * 3 + 1) * width
    total = stem + depth * block + 2 * width + (width + 1) * 1000
    assert FAMILY.variants[f"convnext_{name}"].params == total
    assert total / 1e6 == pytest.approx(millions, abs=0.5)


def by_hand(block: Block, x: torch.Tensor) -> torch.Tensor:
    """Fig. 4, right, with convolutions of one pixel for the linear layers."""
    branch = F.conv2d(x, block.depthwise.weight, block.depthwise.bias, padding=3, groups=x.shape[1])
    mean = branch.mean(1, keepdim=True)
    variance = (branch - mean).square().mean(1, keepdim=True)
    branch = (branch - mean) / (variance + 1e-6).sqrt()
    branch = branch * block.norm.weight[:, None, None] + block.norm.bias[:, None, None]
    branch = F.conv2d(branch, block.expand.weight[..., None, None], block.expand.bias)
    branch = branch / 2 * (1 + torch.erf(branch / 2**0.5))
    branch = F.conv2d(branch, block.project.weight[..., None, None], block.project.bias)
    return branch


@pytest.mark.parametrize("scaled", [True, False])
def test_block_is_that_of_figure_4(scaled: bool) -> None:
    block = Block(8, survival=1.0, scaled=scaled).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 8, 9, 9, dtype=torch.float64)
    scale = block.layer_scale if scaled else torch.ones(())
    torch.testing.assert_close(block(x), x + scale * by_hand(block, x))


def test_small_stem_has_patches_of_2_pixels() -> None:
    for name, shape in (("convnext_tiny", (768, 2, 2)), ("convnext_iso_small", (384, 16, 16))):
        with torch.device("meta"):
            network = create_model(name, stem="small")
            assert network.forward_features(torch.empty(1, 3, 32, 32)).shape == (1, *shape)


def test_block_starts_as_the_identity_but_for_a_millionth() -> None:
    block = Block(8, survival=1.0)
    x = torch.randn(2, 8, 7, 7)
    moved = block(x) - x
    assert 0 < moved.abs().max() < 1e-4


# The official TRAINING.md, --drop_path; of XL that of its pre-training.
RATES = {"tiny": 0.1, "small": 0.4, "base": 0.5, "large": 0.5, "xlarge": 0.2}
RATES |= {"iso_small": 0.1, "iso_base": 0.2, "iso_large": 0.5}


def test_drop_rate_grows_with_depth_to_the_published_one() -> None:
    assert {f"convnext_{name}" for name in RATES} == set(FAMILY.variants)
    for name, rate in RATES.items():
        with torch.device("meta"):
            network = create_model(f"convnext_{name}")
        survivals = [m.survival for m in network.modules() if isinstance(m, StochasticDepth)]
        assert survivals == sorted(survivals, reverse=True)
        assert survivals[-1] == pytest.approx(1 - rate)


def test_an_isotropic_network_learns() -> None:
    network = ConvNeXt(Spec((2,), (8,), 0.1, isotropic=True, stem="small"), num_classes=3)
    F.cross_entropy(network(torch.randn(2, 3, 32, 32)), torch.tensor([0, 1])).backward()
    assert all(parameter.grad.any() for parameter in network.parameters())


def test_maps_lie_channels_last_whatever_the_image() -> None:
    network = ConvNeXt(FAMILY.pocket)
    images = torch.randn(2, 3, 32, 32)
    for order in (torch.contiguous_format, torch.channels_last):
        maps = network.forward_features(images.contiguous(memory_format=order))
        assert maps.is_contiguous(memory_format=torch.channels_last)
