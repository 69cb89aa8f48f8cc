"""Channels taken out: what is zero leaves the outputs as they were, and costs fall as by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from convnets import profile
from convnets.catalog import Family
from convnets.compress import load_compressed, save_compressed
from convnets.compress.channels import (
    filter_norms,
    kept_channels,
    kept_scales,
    norm_scales,
    prune_channels,
)
from convnets.compress.shrink import Shrinking, smaller
from convnets.compress.spaces import Space, free_spaces
from convnets.errors import UnknownName, UsageError
from convnets.layers.network import ConvNet
from convnets.models import FAMILIES, create_model
from convnets.weights import LoadedModel, load_model, save_model
from convnets.weights.changes import Changes, Width, change
from tests.compress.networks import described

MIXED = {"lenet", "convnext_v2"}
"""Networks whose every map is read by something that mixes channels in a way of its own."""
GREY = {"lenet", "capsnet"}


def lively(network: ConvNet) -> ConvNet:
    """Statistics, scales and shifts that are not those of a fresh network."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            if module.weight is not None:
                nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


@torch.no_grad()
def silence(network: ConvNet, space: Space, channels: torch.Tensor) -> None:
    """Set all that makes these channels to zero."""
    for name in (*space.makers, *space.norms, *space.depthwise):
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d)
        if layer.weight is not None:
            layer.weight[channels] = 0
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            layer.running_mean[channels] = 0
        if layer.bias is not None:
            layer.bias[channels] = 0


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_channels_of_zeros_leave_the_outputs_as_they_were(family: Family) -> None:
    torch.manual_seed(0)
    in_chans = 1 if family.name in GREY else 3
    network = lively(family.network(family.pocket, in_chans=in_chans, num_classes=10))
    spaces = free_spaces(network)
    assert bool(spaces) != (family.name in MIXED)
    shares, expected = {}, {}
    for name, space in spaces.items():
        order = torch.randperm(space.channels)
        silence(network, space, order[: space.channels // 2])
        shares[name] = 1 - (space.channels // 2) / space.channels
        expected[name] = order[space.channels // 2 :].sort().values
    kept = kept_channels(network, shares, spaces)
    for name, channels in kept.items():
        assert torch.equal(channels, expected[name])
    pruned, widths = prune_channels(network, kept, spaces)
    images = torch.randn(2, in_chans, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(pruned(images), network(images), rtol=1e-5, atol=1e-5)
    rebuilt = family.network(family.pocket, in_chans=in_chans, num_classes=10)
    change(rebuilt, Changes(channels=widths), 32)
    rebuilt.load_state_dict(pruned.state_dict())
    if widths:
        before, after = (sum(p.numel() for p in each.parameters()) for each in (network, pruned))
        assert after < before


def test_costs_of_a_residual_network_are_those_worked_out_by_hand() -> None:
    network = create_model("resnet20").eval()
    spaces = free_spaces(network)
    assert list(spaces) == [
        f"features.stage{stage}.block{block}.conv1.conv"
        for stage in (1, 2, 3)
        for block in (1, 2, 3)
    ]
    pruned, widths = prune_channels(network, kept_channels(network, dict.fromkeys(spaces, 0.5)))
    assert widths["features.stage1.block1.conv1.conv"] == Width(inputs=16, outputs=8)
    assert widths["features.stage1.block1.conv2.conv"] == Width(inputs=8, outputs=16)
    stem, head = 27 * 16 * 32 * 32, 64 * 10
    cost = profile(pruned, 32)
    # Either convolution of a block has half of its weights; option A has none.
    assert cost.macs == stem + (40_551_040 - stem - head) // 2 + head
    inner_norms = 2 * 3 * (16 + 32 + 64)
    convolutions = 9 * (5 * 16 * 16 + 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    assert cost.params == 269_722 - convolutions // 2 - inner_norms // 2


def test_costs_of_a_plain_network_are_those_worked_out_by_hand() -> None:
    with torch.device("meta"):
        network = create_model("vgg11")
    spaces = free_spaces(network)
    assert len(spaces) == 10
    kept = {name: torch.arange(space.channels // 2) for name, space in spaces.items()}
    pruned, _ = prune_channels(network, kept, spaces)
    # Half of the inputs and of the outputs, but all images' colours and all classes.
    first, last = 27 * 64 * 224 * 224, 4096 * 1000
    assert profile(pruned, 224).macs == (7_609_090_048 - first - last) // 4 + (first + last) // 2


def test_one_threshold_on_scales_cuts_all_layers() -> None:
    network = lively(create_model("resnet20"))
    spaces = free_spaces(network)
    scales = {name: network.get_parameter(f"{name[:-5]}.norm.weight") for name in spaces}
    faint = next(iter(scales))
    with torch.no_grad():
        scales[faint].copy_(torch.linspace(1e-3, 1e-2, 16))
        scales[faint][3] = -0.02
    kept = kept_scales(network, 0.75)
    every = torch.cat(list(scales.values())).detach().abs()
    threshold = torch.quantile(every, 0.25)  # Liu et al. 2017, Section 3
    for name, own in scales.items():
        above = (own.detach().abs() > threshold).nonzero().squeeze(1)
        assert torch.equal(kept[name], torch.tensor([3]) if name == faint else above)
    found = norm_scales(network, spaces[faint])
    assert found is not None
    assert torch.equal(found, scales[faint].detach().abs())
    pruned, _ = prune_channels(network, kept)
    assert pruned(torch.randn(1, 3, 32, 32)).shape == (1, 10)
    with pytest.raises(UsageError, match="rank by filters"):
        kept_scales(create_model("alexnet_owt", num_classes=10, stem="small"), 0.5)


def test_filters_are_ranked_by_their_l1_norm() -> None:
    network = create_model("resnet20")
    name = "features.stage1.block1.conv1.conv"
    space = free_spaces(network)[name]
    with torch.no_grad():
        weight = network.get_parameter(f"{name}.weight")
        weight.copy_(torch.where(weight < 0, -1.0, 1.0) * torch.arange(16.0).view(-1, 1, 1, 1))
    assert filter_norms(network, space).tolist() == [9.0 * 16 * number for number in range(16)]
    assert kept_channels(network, {name: 0.25})[name].tolist() == [12, 13, 14, 15]
    assert kept_channels(network, {name: 0.01})[name].tolist() == [15]


def test_a_pruned_network_is_read_back_and_pruned_again(tmp_path: Path) -> None:
    network = lively(create_model("resnet20"))
    loaded = LoadedModel(network, described("resnet20"), tmp_path)
    path = tmp_path / "small.safetensors"
    images = torch.randn(2, 3, 32, 32)
    for keep, left in ((0.5, 8), (0.25, 2)):
        loaded, _ = smaller(loaded, Shrinking(how="channels", keep=keep))
        save_model(loaded, path)
        again = load_model(path)
        assert torch.equal(again.network(images), loaded.network(images))
        assert again.network.get_parameter("features.stage1.block1.conv1.norm.weight").shape == (
            left,
        )
    loaded, _ = smaller(loaded, Shrinking(how="svd", keep=0.5))
    save_model(loaded, path)
    assert torch.equal(load_model(path).network(images), loaded.network(images))
    packed = tmp_path / "small.cnz"
    save_compressed(packed, loaded.network, loaded.description)
    assert torch.equal(load_compressed(packed).network(images), loaded.network(images))


def test_what_cannot_be_taken_out_is_refused(tmp_path: Path) -> None:
    network = create_model("resnet20")
    with pytest.raises(UnknownName, match=r"features\.stem\.conv\.conv"):
        kept_channels(network, {"features.stem.conv.conv": 0.5})
    with pytest.raises(UsageError, match="above 0"):
        kept_channels(network, dict.fromkeys(free_spaces(network), 0.0))
    lenet = LoadedModel(create_model("lenet5"), described("lenet5"), tmp_path)
    with pytest.raises(UsageError, match="no channels that can be taken out"):
        smaller(lenet, Shrinking(how="channels"))
    resnet = LoadedModel(network, described("resnet20"), tmp_path)
    with pytest.raises(UnknownName, match="unknown layer 'head"):
        smaller(resnet, Shrinking(how="channels", layers=("head.*",)))
    with pytest.raises(UsageError, match="takes out no channel"):
        smaller(resnet, Shrinking(how="channels", keep=1))


@pytest.mark.parametrize(
    ("widths", "says"),
    [
        ({"features.stage1.block1.conv1.conv": (16, 8)}, "do not fit each other"),
        ({"features.stage1.block1.conv1.norm": (8, 8)}, "do not fit each other"),
        ({"head.fc": (64, 9)}, "not 10 logits"),
        ({"features.stem.conv.conv": (3, 17)}, "cannot be of 3 inputs, 17 outputs"),
        ({"features.stem.conv.act": (16, 16)}, "cannot be"),
        ({"features.stem.none": (1, 1)}, "unknown layer"),
    ],
)
def test_widths_that_do_not_fit_are_refused(widths: dict[str, tuple[int, int]], says: str) -> None:
    changes = Changes(channels={n: Width(inputs=i, outputs=o) for n, (i, o) in widths.items()})
    with pytest.raises(UsageError, match=says):
        change(create_model("resnet20"), changes, 32)
