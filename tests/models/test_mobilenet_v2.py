"""What is true of MobileNetV2 alone: Table 2, the rounding of widths, torchvision's logits."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models._utils import _make_divisible

from convnets.models import create_model
from convnets.models.mobilenet_v2 import InvertedResidual, multiple_of_8
from tests.models.peers import agree, carry


@pytest.mark.parametrize(
    ("name", "width"),
    [("mobilenet_v2", 1.0), ("mobilenet_v2_14", 1.4), ("mobilenet_v2_035", 0.35)],
)
def test_logits_equal_torchvision(name: str, width: float) -> None:
    peer = torchvision.models.mobilenet_v2(width_mult=width)
    network = create_model(name)
    carry(peer, network)
    agree(peer, network, 96)


def test_53_layers_and_the_maps_of_table_2() -> None:
    with torch.device("meta"):
        network = create_model("mobilenet_v2")
        maps = network.forward_intermediates(
            torch.empty(1, 3, 224, 224),
            [f"features.{name}" for name, _ in network.features.named_children()],
        )
    assert [tuple(each.shape[1:]) for each in maps.values()] == [
        (32, 112, 112),
        (16, 112, 112),
        (24, 56, 56),
        (32, 28, 28),
        (64, 14, 14),
        (96, 14, 14),
        (160, 7, 7),
        (320, 7, 7),
        (1280, 7, 7),
    ]
    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 53


def test_block_adds_its_input_where_the_shape_stays_and_projects_without_activation() -> None:
    kept = InvertedResidual(16, 16, 1, 6).eval()
    strided = InvertedResidual(16, 16, 2, 6).eval()
    nn.init.zeros_(kept.project.norm.weight)
    x = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(kept(x), x)
    out = strided(x)
    assert out.shape == (2, 16, 4, 4)
    assert out.min() < 0


def test_widths_round_as_in_the_authors_code() -> None:
    widths = [
        channels * width / 100 for channels in range(8, 1300, 8) for width in range(10, 210, 5)
    ]
    assert [multiple_of_8(width) for width in widths] == [_make_divisible(w, 8) for w in widths]
