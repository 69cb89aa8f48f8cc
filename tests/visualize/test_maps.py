"""Feature maps against a hook written here, and a feature over checkpoints by hand."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.data.batches import Batch
from convnets.errors import UnknownName, UsageError
from convnets.models import FAMILIES, create_model
from convnets.visualize.maps import as_maps, evolution, feature_maps, images_of


class Restless(nn.Module):
    """Whatever makes a map hard to keep: functions in place, and a module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.again = nn.Conv2d(3, 3, 1)
        self.idle = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.conv(x))
        return F.relu_(self.again(self.again(x)).sub_(1))


def hooked(network: nn.Module, images: Tensor, layer: str) -> Tensor:
    kept = []
    module = network.get_submodule(layer)
    hook = module.register_forward_hook(lambda *call: kept.append(call[2].detach().clone()))
    network.eval()(images)
    hook.remove()
    return kept[-1]


@pytest.mark.parametrize("layer", ["conv", "again"])
def test_maps_are_what_a_hook_sees(layer: str) -> None:
    network, images = Restless(), torch.randn(2, 2, 6, 6)
    picture = feature_maps(network, images, layer)
    assert picture.axes == ("image", "channel", "height", "width")
    assert picture.values.dtype == np.float32
    np.testing.assert_array_equal(picture.values, hooked(network, images, layer))


@pytest.mark.parametrize("layer", ["features.stem", "features.stage2.block1", "head.fc"])
def test_units_choose_and_order(layer: str) -> None:
    network, images = create_model("resnet18", num_classes=5), torch.randn(2, 3, 64, 64)
    expected = hooked(network, images, layer)
    expected = expected if expected.ndim == 4 else expected[:, :, None, None]
    picture = feature_maps(network, images, layer, units=[3, 0])
    np.testing.assert_array_equal(picture.values, expected[:, [3, 0]])


def test_the_network_is_left_as_it_was() -> None:
    network = create_model("resnet18").train()
    network.head.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    feature_maps(network, torch.randn(2, 3, 64, 64), "features.stage1")
    assert network.training
    assert network.features.training
    assert not network.head.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_has_maps(family) -> None:  # type: ignore[no-untyped-def]
    network = family.network(family.pocket)
    images = torch.randn(1, network.in_chans, 32, 32)
    for name, _ in network.features.named_children():
        picture = feature_maps(network, images, f"features.{name}")
        assert picture.values.ndim == 4


def test_images_are_left_as_they_were() -> None:
    images = torch.randn(1, 1, 3, 3)
    before = images.clone()
    feature_maps(nn.Sequential(nn.ReLU(inplace=True)), images, "0")
    assert torch.equal(images, before)


def test_tokens_are_a_grid_without_the_class_token() -> None:
    grid = torch.randn(2, 4, 3, 3)
    tokens = torch.cat((torch.zeros(2, 1, 4), grid.flatten(2).transpose(1, 2)), dim=1)
    assert torch.equal(as_maps(tokens, nn.Identity(), "x"), grid)
    assert torch.equal(as_maps(tokens[:, 1:], nn.Identity(), "x"), grid)
    assert torch.equal(as_maps(grid.permute(0, 2, 3, 1), nn.Linear(1, 4), "x"), grid)
    with pytest.raises(UsageError, match="12 tokens"):
        as_maps(torch.zeros(1, 12, 4), nn.Identity(), "x")
    with pytest.raises(UsageError, match="no feature maps"):
        as_maps(torch.zeros(5), nn.Identity(), "x")


def test_names_and_units_that_do_not_exist() -> None:
    network, images = Restless(), torch.zeros(1, 2, 6, 6)
    with pytest.raises(UnknownName, match="did you mean conv"):
        feature_maps(network, images, "cnv")
    with pytest.raises(UsageError, match="units 0 to 2; there is no -1"):
        feature_maps(network, images, "conv", [-1])
    with pytest.raises(UsageError, match="does not run"):
        feature_maps(network, images, "idle")


def test_batches_of_all_kinds() -> None:
    images, labels = torch.zeros(2, 1, 4, 4), torch.zeros(2)
    network = nn.Conv2d(1, 1, 1)
    for batch in (images, (images, labels), [images, labels], Batch(images, labels, labels)):
        assert torch.equal(images_of(batch, network), images)
    with pytest.raises(UsageError, match="dict"):
        images_of({"images": images}, network)  # type: ignore[arg-type]


def test_evolution_takes_the_strongest_of_each_checkpoint() -> None:
    # The unit is one weight times the image, so its sign decides which image is strongest.
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    images = torch.zeros(70, 1, 2, 2)
    images[3, 0, 1, 0], images[69, 0, 0, 1] = 5, -6
    told = []

    def checkpoints() -> Iterator[tuple[int, dict[str, Tensor]]]:
        for step, weight in ((10, 1.0), (20, 2.0), (40, -1.0)):
            yield step, {"0.weight": torch.tensor([0.0, weight]).view(2, 1, 1, 1)}

    before = copy.deepcopy(network.state_dict())
    seen = evolution(network, checkpoints(), images, "0", 1, progress=lambda *n: told.append(n))
    assert seen.steps == (10, 20, 40)
    assert seen.images == (3, 3, 69)
    assert seen.responses == (5, 10, 6)
    assert seen.maps.axes == ("step", "height", "width")
    np.testing.assert_array_equal(seen.maps.values[:, 1, 0], [5, 10, 0])
    np.testing.assert_array_equal(seen.maps.values[:, 0, 1], [0, 0, 6])
    assert told == [(1, 0), (2, 0), (3, 0)]
    assert torch.equal(network[0].weight, before["0.weight"])


def test_evolution_equals_the_maps_of_each_network() -> None:
    networks = [Restless() for _ in range(3)]
    images = torch.randn(4, 2, 6, 6)
    states = [(step, network.state_dict()) for step, network in enumerate(networks)]
    seen = evolution(networks[0], states, images, "conv", 2)
    for index, network in enumerate(networks):
        maps = hooked(network, images, "conv")[:, 2]
        image = int(maps.flatten(1).amax(1).argmax())
        assert seen.images[index] == image
        np.testing.assert_array_equal(seen.maps.values[index], maps[image])


def test_checkpoints_that_do_not_serve() -> None:
    network, images = Restless(), torch.zeros(1, 2, 6, 6)
    with pytest.raises(UsageError, match=r"step 7 does not fit.*conv\.weight"):
        evolution(network, [(7, {})], images, "conv", 0)
    with pytest.raises(UsageError, match="no checkpoints"):
        evolution(network, [], images, "conv", 0)
    with pytest.raises(UsageError, match="no images"):
        evolution(network, [(7, network.state_dict())], images[:0], "conv", 0)
