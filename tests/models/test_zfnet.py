"""ZFNet's map sizes and normalisation, and parity with pytorchcv."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pytorchcv.models import zfnet as peers
from torch import nn

from convnets.layers.response_norm import ResponseNorm
from convnets.models import VARIANTS, create_model, zfnet
from tests.models.peers import agree, carry

PYTORCHCV = {"zfnet": "zfnet", "zfnet_wide": "zfnetb"}
LAYERS = ("stem.conv1", "stem.norm", "stage1.conv2", "stage1.norm", "stage2.conv5", "stage2")


def narrow(peer: nn.Module, hidden: int) -> nn.Module:
    """Give memory to a peer built on the meta device, with ``hidden`` units in its hidden layers.

    The 4096 they have hold nine in ten of the weights and no structure.
    """
    layers = [(name, m) for name, m in peer.named_modules() if isinstance(m, nn.Linear)]
    (fc1, first), (fc2, _), (fc3, last) = layers
    peer.set_submodule(fc1, nn.Linear(first.in_features, hidden))
    peer.set_submodule(fc2, nn.Linear(hidden, hidden))
    peer.set_submodule(fc3, nn.Linear(hidden, last.out_features))
    return peer.to_empty(device="cpu")


@pytest.mark.parametrize("name", PYTORCHCV)
def test_logits_equal_pytorchcv_without_normalisation(name: str) -> None:
    # The peer normalises before pooling, Fig. 3 after it: both are compared without.
    with torch.device("meta"):
        peer = getattr(peers, PYTORCHCV[name])(num_classes=10)
    narrow(peer, 64)
    _, row = VARIANTS[name]
    network = zfnet.ZFNet(replace(row.spec, hidden=64), num_classes=10)
    for module in peer.modules():
        if hasattr(module, "use_lrn"):
            module.use_lrn = False
    for norm in ("features.stem.norm", "features.stage1.norm"):
        network.set_submodule(norm, nn.Identity())
    carry(peer, network)
    agree(peer, network, 224)


def test_normalisation_follows_pooling_in_the_first_two_stages() -> None:
    with torch.device("meta"):
        network = create_model("zfnet")
    norms = [name for name, m in network.named_modules() if isinstance(m, ResponseNorm)]
    assert norms == ["features.stem.norm", "features.stage1.norm"]
    for stage in ("stem", "stage1"):
        assert [name for name, _ in network.features.get_submodule(stage).named_children()][1:] == [
            "pool",
            "norm",
        ]


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


def test_the_wide_form_has_other_maps_in_the_last_three_convolutions_alone() -> None:
    with torch.device("meta"):
        wide, plain = create_model("zfnet_wide"), create_model("zfnet")
    convolutions = [
        [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
        for network in (wide, plain)
    ]
    assert convolutions == [[96, 256, 512, 1024, 512], [96, 256, 384, 384, 256]]
