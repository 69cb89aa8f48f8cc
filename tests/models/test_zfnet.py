"""ZFNet's map sizes and normalisation, and parity with pytorchcv."""

from __future__ import annotations

import pytest
import torch
from pytorchcv.models.zfnet import zfnet as peer_zfnet
from torch import nn

from convnets.models import create_model, zfnet
from tests.models.peers import agree, carry
from tests.models.test_alexnet import narrow

LAYERS = ("stem.conv1", "stem.norm", "stage1.conv2", "stage1.norm", "stage2.conv5", "stage2")


def test_logits_equal_pytorchcv_without_normalisation() -> None:
    # The peer normalises before pooling, Fig. 3 after it: both are compared without.
    with torch.device("meta"):
        peer = peer_zfnet(num_classes=10)
    narrow(peer, 64)
    network = zfnet.ZFNet(zfnet.Spec(hidden=64), num_classes=10)
    for module in peer.modules():
        if hasattr(module, "use_lrn"):
            module.use_lrn = False
    for name in ("features.stem.norm", "features.stage1.norm"):
        network.set_submodule(name, nn.Identity())
    carry(peer, network)
    agree(peer, network, 224)


def test_normalisation_is_the_formula_of_alexnet() -> None:
    maps = 50 * torch.randn(1, 7, 2, 2)
    normal = zfnet.contrast_norm()(maps)
    for i in range(7):
        near = maps[0, max(0, i - 2) : i + 3].square().sum(0)
        expected = maps[0, i] / (2 + 1e-4 * near) ** 0.75
        torch.testing.assert_close(normal[0, i], expected)


@pytest.mark.parametrize(
    ("stem", "size", "expected"),
    [("paper", 224, [110, 55, 26, 13, 13, 6]), ("small", 32, [16, 8, 4, 2, 2, 2])],
)
def test_map_sizes_of_figure_3(stem: str, size: int, expected: list[int]) -> None:
    with torch.device("meta"):
        network = create_model("zfnet", stem=stem)
        maps = network.forward_intermediates(
            torch.empty(1, 3, size, size), [f"features.{layer}" for layer in LAYERS]
        )
    assert [maps[f"features.{layer}"].shape[-1] for layer in LAYERS] == expected


def test_eight_layers_with_weights_and_the_same_ones_small() -> None:
    with torch.device("meta"):
        paper = create_model("zfnet")
        small = create_model("zfnet", stem="auto", input_size=32)
    assert small.spec.stem == "small"
    weighted = [m for m in paper.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 8
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (paper, small)]
    assert shapes[0] == shapes[1]
