"""Layers' outputs as maps: which of several, how laid out, and how much of a network runs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.ops import Permute

from convnets.data.batches import Batch
from convnets.errors import UnknownName, UsageError
from convnets.models import FAMILIES, convnext, pnasnet, resnet, senet, swin
from convnets.visualize.layers import as_maps, channels_last, images_of, layer_maps, layer_output


def test_tokens_are_a_grid_without_the_class_token() -> None:
    grid = torch.randn(2, 4, 3, 3)
    tokens = torch.cat((torch.zeros(2, 1, 4), grid.flatten(2).transpose(1, 2)), dim=1)
    assert torch.equal(as_maps(tokens, "x"), grid)
    assert torch.equal(as_maps(tokens[:, 1:], "x"), grid)
    assert torch.equal(as_maps(grid.permute(0, 2, 3, 1), "x", channels_last=True), grid)
    with pytest.raises(UsageError, match="12 tokens"):
        as_maps(torch.zeros(1, 12, 4), "x")
    with pytest.raises(UsageError, match="no feature maps"):
        as_maps(torch.zeros(5), "x")


def outputs(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What each module gave last, of several tensors the first."""
    found: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor | tuple[Tensor, ...]) -> None:
        found[name] = (output if isinstance(output, Tensor) else output[0]).detach().clone()

    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: keep(name, output))
        for name, module in network.named_modules()
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return found


ANY_SIZE = [family for family in FAMILIES if family.name != "lenet"]


@pytest.mark.parametrize("family", ANY_SIZE, ids=lambda family: family.name)
def test_channels_are_the_axis_that_does_not_grow_with_the_image(family) -> None:  # type: ignore[no-untyped-def]
    network = family.network(family.pocket).eval()
    small, large = (outputs(network, torch.zeros(1, network.in_chans, s, s)) for s in (32, 64))
    for layer, output in small.items():
        grown = [a != b for a, b in zip(output.shape, large[layer].shape, strict=True)]
        if grown in ([False, True, True, False], [False, False, True, True]):
            assert channels_last(network, layer, output) == grown[1], layer


@pytest.mark.parametrize(
    ("network", "side"),
    [
        (swin.SwinTransformer(swin.Spec((2, 1), 32, 0.0, stem="small")), 64),
        (convnext.ConvNeXt(convnext.Spec((2, 1), (32, 64), 0.0, stem="small")), 64),
        (senet.FAMILY.network(senet.FAMILY.pocket), 32),
        (SwinTransformer([2, 2], 32, [2, 2], [1, 2], [4, 4]), 64),
        (ConvNeXt([CNBlockConfig(32, None, 2)]), 128),
    ],
)
def test_maps_as_wide_as_they_are_deep(network: nn.Module, side: int) -> None:
    # Which axis the channels are in shows in an image of another size.
    alike, wide = (outputs(network.eval(), torch.zeros(1, 3, s, s)) for s in (side, 2 * side))
    met = 0
    for layer, output in alike.items():
        moved = isinstance(network.get_submodule(layer), Permute)  # which says nothing of its input
        if output.ndim == 4 and len(set(output.shape[1:])) == 1 and not moved:
            met += 1
            last = wide[layer].shape[1] != output.shape[1]
            assert channels_last(network, layer, output) == last, layer
    assert met >= 3


def test_windows_are_no_maps_of_the_image() -> None:
    network = swin.FAMILY.network(swin.FAMILY.pocket).eval()
    layer = "features.stage1.block1.attention.attention.qkv"
    with pytest.raises(UsageError, match=r"qkv splits 1 images into 16 parts"):
        layer_maps(network, torch.zeros(1, 3, 32, 32), layer)


def test_batches_of_all_kinds() -> None:
    images, labels = torch.zeros(2, 1, 4, 4), torch.zeros(2)
    network = nn.Conv2d(1, 1, 1)
    for batch in (images, (images, labels), [images, labels], Batch(images, labels, labels)):
        assert torch.equal(images_of(batch, network), images)
    with pytest.raises(UsageError, match="dict"):
        images_of({"images": images}, network)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_it_is_what_forward_intermediates_returns(family) -> None:  # type: ignore[no-untyped-def]
    network = family.network(family.pocket).eval()
    images = torch.randn(1, network.in_chans, 32, 32)
    stages = [f"features.{name}" for name, _ in network.features.named_children()]
    with torch.no_grad():
        expected = network.forward_intermediates(images, stages)
        for stage in stages:
            assert torch.equal(layer_output(network, images, stage), expected[stage])


def test_of_several_outputs_it_is_the_first() -> None:
    network = pnasnet.FAMILY.network(pnasnet.FAMILY.pocket).eval()
    images = torch.randn(1, 3, 32, 32)
    cell = network.features.stage1
    seen: list[tuple[Tensor, Tensor]] = []
    hook = cell.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        network(images)
        hook.remove()
        newer, older = seen[0]
        assert newer.shape != older.shape or not torch.equal(newer, older)
        assert torch.equal(layer_output(network, images, "features.stage1"), newer)


def test_later_stages_do_not_run() -> None:
    network = resnet.FAMILY.network(resnet.FAMILY.pocket).eval()
    ran: list[str] = []
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    layer_output(network, torch.zeros(1, 3, 32, 32), "features.stage1.block1.conv1")
    assert "features.stage1" in ran
    assert not {"features.stage2", "features", "head", ""} & set(ran)
    ran.clear()
    layer_output(network, torch.zeros(1, 3, 32, 32), "head.pool")
    assert "head.fc" in ran


def test_what_is_no_layer_is_named() -> None:
    network = resnet.FAMILY.network(resnet.FAMILY.pocket).eval()
    with pytest.raises(UnknownName, match=r"features\.stage1"):
        layer_output(network, torch.zeros(1, 3, 32, 32), "features.stage9")
    with pytest.raises(UsageError, match="this network takes"):
        layer_output(network, torch.zeros(1, 2, 32, 32), "features.stem")
