"""What is true of ConvNeXt V2 alone: GRN, its place and shapes, and what it adds to ConvNeXt."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from convnets.layers.stochastic_depth import StochasticDepth
from convnets.models import create_model
from convnets.models.convnext_v2 import FAMILY, Block, GlobalResponseNorm
from convnets.weights.keys.convnext_v2 import TIMM


def test_response_is_a_channels_norm_over_the_mean_of_all() -> None:
    """Two channels over a map of two pixels: norms 5 and 15, their mean 10."""
    grn = GlobalResponseNorm(2)
    with torch.no_grad():
        grn.gamma.copy_(torch.tensor([1.0, 2.0]).view(1, 1, 1, 2))
        grn.beta.copy_(torch.tensor([0.5, 0.0]).view(1, 1, 1, 2))
    x = torch.tensor([[3.0, 9.0], [4.0, 12.0]]).view(1, 1, 2, 2)
    first = [1 * 3 * 0.5 + 0.5 + 3, 2 * 9 * 1.5 + 9]
    second = [1 * 4 * 0.5 + 0.5 + 4, 2 * 12 * 1.5 + 12]
    torch.testing.assert_close(grn(x), torch.tensor([first, second]).view(1, 1, 2, 2))


def test_response_starts_as_the_identity_and_has_the_official_shape() -> None:
    grn = GlobalResponseNorm(12)
    x = torch.randn(2, 5, 5, 12)
    assert torch.equal(grn(x), x)
    assert {tuple(parameter.shape) for parameter in grn.parameters()} == {(1, 1, 1, 12)}


def test_each_image_responds_by_itself() -> None:
    grn = GlobalResponseNorm(4)
    torch.nn.init.ones_(grn.gamma)
    x = torch.randn(3, 5, 5, 4)
    torch.testing.assert_close(grn(x)[1:2], grn(x[1:2]))


def test_block_has_grn_behind_the_activation_and_no_layer_scale() -> None:
    block = Block(4, survival=1.0).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    branch = F.conv2d(x, block.depthwise.weight, block.depthwise.bias, padding=3, groups=4)
    norm = (block.norm.weight, block.norm.bias)
    branch = F.layer_norm(branch.permute(0, 2, 3, 1), (4,), *norm, 1e-6)
    branch = F.gelu(F.linear(branch, block.expand.weight, block.expand.bias))
    norms = branch.square().sum((1, 2), keepdim=True).sqrt()
    share = norms / (norms.mean(-1, keepdim=True) + 1e-6)
    branch = block.response.gamma * branch * share + block.response.beta + branch
    branch = F.linear(branch, block.project.weight, block.project.bias)
    torch.testing.assert_close(block(x), x + branch.permute(0, 3, 1, 2))


@pytest.mark.parametrize("size", ["tiny", "base", "large"])
def test_counts_are_convnexts_with_grn_for_layer_scale(size: str) -> None:
    """GRN adds two values for each of 4d channels where LayerScale had one for each of d."""
    first, second = create_meta(f"convnext_{size}"), create_meta(f"convnextv2_{size}")
    spec = FAMILY.variants[f"convnextv2_{size}"].spec
    channels = sum(depth * width for depth, width in zip(spec.depths, spec.widths, strict=True))
    assert parameters(second) - parameters(first) == (8 - 1) * channels


def create_meta(name: str) -> torch.nn.Module:
    with torch.device("meta"):
        return create_model(name)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("size", "rate"), [("atto", 0.1), ("tiny", 0.2), ("base", 0.1)])
def test_drop_rate_grows_with_depth_to_the_published_one(size: str, rate: float) -> None:
    network = create_meta(f"convnextv2_{size}")
    survivals = [m.survival for m in network.modules() if isinstance(m, StochasticDepth)]
    assert survivals == sorted(survivals, reverse=True)
    assert survivals[-1] == pytest.approx(1 - rate)


def test_timm_has_every_row() -> None:
    assert TIMM.names.keys() == FAMILY.variants.keys()
