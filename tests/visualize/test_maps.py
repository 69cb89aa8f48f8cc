"""Feature maps against a hook written here, and a feature over checkpoints by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.errors import UnknownName, UsageError
from convnets.models import FAMILIES, create_model
from convnets.visualize.maps import feature_maps


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


def test_names_and_units_that_do_not_exist() -> None:
    network, images = Restless(), torch.zeros(1, 2, 6, 6)
    with pytest.raises(UnknownName, match="did you mean conv"):
        feature_maps(network, images, "cnv")
    with pytest.raises(UsageError, match="units 0 to 2; there is no -1"):
        feature_maps(network, images, "conv", [-1])
    with pytest.raises(UsageError, match="does not run"):
        feature_maps(network, images, "idle")
