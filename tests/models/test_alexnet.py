"""AlexNet's map sizes and layers, and parity with torchvision."""

from __future__ import annotations

import torch
import torchvision
from torch import nn

from convnets.models import alexnet, create_model
from tests.models.peers import agree, carry

LAYERS = ("stem.conv1", "stem", "stage1.conv2", "stage1", "stage2.conv3", "stage2.conv5", "stage2")


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


def test_logits_equal_torchvision() -> None:
    with torch.device("meta"):
        peer = torchvision.models.alexnet(num_classes=10)
    narrow(peer, 64)
    network = alexnet.AlexNet(alexnet.Spec(hidden=64), num_classes=10)
    carry(peer, network)
    agree(peer, network, 64)


def test_map_sizes() -> None:
    for stem, size, expected in (
        ("paper", 224, [55, 27, 27, 13, 13, 13, 6]),
        ("small", 32, [16, 7, 7, 3, 3, 3, 3]),
    ):
        with torch.device("meta"):
            network = create_model("alexnet_owt", stem=stem)
            maps = network.forward_intermediates(
                torch.empty(1, 3, size, size), [f"features.{layer}" for layer in LAYERS]
            )
        assert [maps[f"features.{layer}"].shape[-1] for layer in LAYERS] == expected


def test_eight_layers_with_weights() -> None:
    with torch.device("meta"):
        network = create_model("alexnet_owt")
    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 8


def test_only_the_first_kernel_of_the_small_form_differs() -> None:
    with torch.device("meta"):
        paper = create_model("alexnet_owt").state_dict()
        small = create_model("alexnet_owt", stem="auto", input_size=32).state_dict()
    assert paper.keys() == small.keys()
    differing = {name for name in paper if paper[name].shape != small[name].shape}
    assert differing == {"features.stem.conv1.conv.weight"}
    assert small[differing.pop()].shape == (64, 3, 5, 5)
