"""Network in Network: layer tables by hand, and parity with pytorchcv."""

from __future__ import annotations

import pytest
import torch
from pytorchcv.models import nin_cifar as peers
from torch import nn

from convnets.models import VARIANTS, create_model
from tests.models.peers import agree, carry

PYTORCHCV = {"nin_cifar10": "nin_cifar10"}


@pytest.mark.parametrize("name", PYTORCHCV)
def test_logits_equal_pytorchcv(name: str) -> None:
    peer = getattr(peers, PYTORCHCV[name])()
    # The peer's pooling windows begin a pixel before the image; the authors' end behind it.
    for module in peer.features.modules():
        if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
            module.padding, module.ceil_mode = 0, True
    network = create_model(name)
    carry(peer, network)
    agree(peer, network, 32)


@pytest.mark.parametrize(
    ("name", "size", "stages"),
    [
        ("nin_cifar10", 32, [(96, 32), (192, 16), (192, 8)]),
        ("nin_imagenet", 224, [(96, 54), (256, 27), (384, 13), (1024, 6)]),
    ],
)
def test_maps_and_sides(name: str, size: int, stages: list[tuple[int, int]]) -> None:
    with torch.device("meta"):
        network = create_model(name)
        names = [f"features.{stage}" for stage, _ in network.features.named_children()]
        maps = network.forward_intermediates(torch.empty(1, 3, size, size), names)
    assert [(maps[name].shape[1], maps[name].shape[2]) for name in names] == stages


def test_imagenet_by_hand() -> None:
    # Kernel, and the maps of a convolution and of the 1x1 layers behind it; sides of the maps.
    table = (
        (11, (96, 96, 96), 54),
        (5, (256, 256, 256), 27),
        (3, (384, 384, 384), 13),
        (3, (1024, 1024, 1000), 6),
    )
    params, macs, channels = 0, 0, 3
    for kernel, widths, side in table:
        for index, width in enumerate(widths):
            weights = channels * width * (1 if index else kernel**2)
            params += weights + width
            macs += weights * side**2
            channels = width
    _, row = VARIANTS["nin_imagenet"]
    assert (params, macs) == (7_595_176, 1_100_188_800) == (row.params, row.macs)


def test_a_logit_is_the_mean_of_its_classs_map() -> None:
    network = create_model("nin_cifar10").eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps = network.forward_intermediates(images, ["head.act"])["head.act"]
        torch.testing.assert_close(network(images), maps.flatten(2).mean(-1))
    assert maps.shape == (2, 10, 8, 8)
    assert maps.min() >= 0


def test_every_class_can_learn_from_the_start() -> None:
    network = create_model("nin_cifar10").train()
    network(torch.randn(8, 3, 32, 32)).square().sum().backward()
    gradient = network.get_parameter("head.conv.weight").grad
    assert gradient is not None
    assert gradient.flatten(1).any(1).all()
