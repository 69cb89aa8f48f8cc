"""VGG's table, its memory for activations, and parity with torchvision."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from convnets.models import VARIANTS, create_model, vgg
from tests.models.peers import agree, carry
from tests.models.test_alexnet import narrow


@pytest.mark.parametrize("name", ["vgg11", "vgg16", "vgg19"])
def test_logits_equal_torchvision(name: str) -> None:
    with torch.device("meta"):
        peer = torchvision.models.get_model(name, num_classes=10, init_weights=False)
    narrow(peer, 64)
    _, row = VARIANTS[name]
    network = vgg.VGG(vgg.Spec(row.spec.depths, hidden=64), num_classes=10)
    carry(peer, network)
    agree(peer, network, 32)


@pytest.mark.parametrize(("name", "layers"), [("vgg11", 11), ("vgg16", 16), ("vgg19", 19)])
def test_layers_of_table_1(name: str, layers: int) -> None:
    with torch.device("meta"):
        network = create_model(name)
    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers
    assert {m.kernel_size for m in weighted if isinstance(m, nn.Conv2d)} == {(3, 3)}


def test_vgg16_maps_by_hand() -> None:
    # Two, two, three, three and three convolutions a stage, then a pooling that halves the side.
    # Their maps make 13.5 million values and the poolings' 1.5, so 15 million in all: the 24
    # million often printed beside the table of these very layers is not their sum.
    expected = []
    table = ((224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3))
    for side, width, depth in table:
        expected += [side**2 * width] * depth + [(side // 2) ** 2 * width]
    with torch.device("meta"):
        network = create_model("vgg16")
        names = [
            name
            for name, module in network.features.named_modules(prefix="features")
            if isinstance(module, nn.Conv2d | nn.MaxPool2d)
        ]
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), names)
    assert [maps[name].numel() for name in names] == expected
    assert round(sum(expected) / 1e6, 1) == 15.1


def test_first_linear_layer_holds_most_weights_of_vgg16() -> None:
    with torch.device("meta"):
        fc1 = create_model("vgg16").get_submodule("head.fc1")
    assert sum(p.numel() for p in fc1.parameters()) == (7 * 7 * 512 + 1) * 4096
    assert (7 * 7 * 512 + 1) * 4096 > 0.7 * 138e6


def test_small_form_keeps_every_weight_and_twice_the_side() -> None:
    with torch.device("meta"):
        paper, small = (create_model("vgg11", stem=stem) for stem in ("paper", "small"))
        images = torch.empty(1, 3, 32, 32)
        assert paper.forward_features(images).shape[-2:] == (1, 1)
        assert small.forward_features(images).shape[-2:] == (2, 2)
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (paper, small)]
    assert shapes[0] == shapes[1]
