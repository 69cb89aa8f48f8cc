"""What every network answers: its maps, and an image that it cannot take."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnets.errors import InputTooSmall, UnknownName, UsageError
from convnets.layers.network import ConvNet, failing_layer, smallest_input, stack


class Small(ConvNet):
    """16 pixels (16 -> 14 -> 7 -> 3 -> 1) are the least that pass."""

    def __init__(self, spec: object = None, *, in_chans: int = 3, num_classes: int = 5) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        self.features = stack(
            ("stem", stack(("conv", nn.Conv2d(in_chans, 4, 3)), ("pool", nn.MaxPool2d(2)))),
            ("stage1", nn.Conv2d(4, 8, 3, stride=2)),
            ("stage2", stack(("drop", nn.Dropout(0.5)), ("conv", nn.Conv2d(8, 8, 3)))),
        )
        self.head = stack(
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten(1)),
            ("fc", nn.Linear(8, num_classes)),
        )


def test_head_of_the_last_map_is_the_logits() -> None:
    network = Small().eval()
    images = torch.rand(2, 3, 24, 32)
    maps = network.forward_features(images)
    assert maps.shape == (2, 8, 3, 5)
    assert torch.equal(network.head(maps), network(images))


def test_intermediates_are_the_named_maps_in_order_of_execution() -> None:
    network = Small().eval()
    images = torch.rand(2, 3, 32, 32)
    maps = network.forward_intermediates(images, ["head", "features.stage1", "features.stem.conv"])
    assert list(maps) == ["features.stem.conv", "features.stage1", "head"]
    assert torch.equal(maps["head"], network(images))
    assert torch.equal(maps["features.stem.conv"], network.features.stem.conv(images))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_map_is_not_written_over_by_the_activation_after_it() -> None:
    network = Small().eval()
    network.features.stem.add_module("act", nn.ReLU(inplace=True))
    images = torch.rand(2, 3, 32, 32)
    maps = network.forward_intermediates(images, ["features.stem.pool", "features.stem.act"])
    torch.testing.assert_close(maps["features.stem.pool"], network.features.stem[:2](images))
    assert maps["features.stem.pool"].min() < 0 <= maps["features.stem.act"].min()
    assert network.features.stem.act.inplace


def test_unknown_map_leaves_no_hook_behind() -> None:
    network = Small()
    with pytest.raises(UnknownName, match=r"features\.stage1"):
        network.forward_intermediates(torch.rand(1, 3, 32, 32), ["features.stem", "stage1"])
    assert not any(module._forward_hooks for module in network.modules())


def test_too_small_image_names_the_layer_and_the_smallest_input() -> None:
    network = Small()
    with pytest.raises(InputTooSmall, match=r"features\.stage2\.conv.* 15x40 .* 16x16"):
        network(torch.rand(2, 3, 15, 40))
    assert network(torch.rand(2, 3, 16, 16)).shape == (2, 5)
    assert smallest_input(network) == 16
    assert failing_layer(network, 16, 16) is None
    assert failing_layer(network, 2, 40) == "features.stem.conv"
    assert failing_layer(network, 40, 6) == "features.stage1"


def test_the_question_leaves_the_network_as_it_was() -> None:
    network = Small().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert smallest_input(network) == 16
    assert network.training
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())


def test_the_answer_is_of_the_network_as_it_is_not_as_it_was_built() -> None:
    network = Small()
    network.features.stage2.conv = nn.Conv2d(8, 6, 1)
    network.head.fc = nn.Linear(6, 5)
    assert smallest_input(network) == 8


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (3, 32, 32), (2, 3, 4, 32, 32)])
def test_images_of_another_shape_are_refused_with_the_right_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"\(batch, 3, height, width\)"):
        Small()(torch.rand(shape))


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(RuntimeError, match=r"dtype|type"):
        Small()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
