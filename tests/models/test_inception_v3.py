"""Inception v3's Table 1, its factorised kernels, and the auxiliary classifier."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from convnets.layers.inception import Branches
from convnets.models import create_model
from convnets.models.inception_v3 import FIGURE_7, REDUCTION_35, figure_6
from convnets.weights.keys.inception_v3 import TORCHVISION
from tests.models.peers import randomise

# Maps and side at 299 pixels: Table 1, and of the 35x35 maps what Fig. 5 adds up to.
STAGES = {
    "features.stem": (192, 35),
    "features.stage1.block1": (256, 35),
    "features.stage1": (288, 35),
    "features.stage2.block1": (768, 17),
    "features.stage2": (768, 17),
    "features.stage3.block1": (1280, 8),
    "features.stage3": (2048, 8),
}


def convolutions(module: nn.Module) -> int:
    return sum(isinstance(child, nn.Conv2d) for child in module.modules())


def weights(module: nn.Module) -> int:
    return sum(c.weight.numel() for c in module.modules() if isinstance(c, nn.Conv2d))


def test_output_sizes_of_table_1() -> None:
    with torch.device("meta"):
        network = create_model("inception_v3")
        maps = network.forward_intermediates(torch.empty(1, 3, 299, 299), STAGES)
    assert {name: (maps[name].shape[1], maps[name].shape[2]) for name in STAGES} == STAGES


def test_94_convolutions_in_11_modules() -> None:
    with torch.device("meta"):
        network = create_model("inception_v3")
    assert convolutions(network) == 94
    modules = [convolutions(m) for stage in network.features[1:] for m in stage]
    assert modules == [7] * 3 + [4] + [10] * 4 + [6] + [9] * 2


def test_7x7_costs_two_sevenths() -> None:
    """Section 3.2: n + n taps in place of n * n."""
    module = Branches(768, figure_6(160))
    row, column = module.branch2.conv2.conv, module.branch2.conv3.conv
    assert (row.kernel_size, column.kernel_size) == ((1, 7), (7, 1))
    assert row.weight.numel() * 7 == 160 * 160 * 49
    by_hand = 768 * 192 + (768 * 160 + 160 * 160 * 7 + 160 * 192 * 7)
    by_hand += (768 * 160 + 3 * 160 * 160 * 7 + 160 * 192 * 7) + 768 * 192
    assert weights(module) == by_hand
    x = torch.rand(1, 768, 9, 8)
    assert module.eval()(x).shape == (1, 768, 9, 8)


def test_expanded_outputs_stand_side_by_side() -> None:
    """Fig. 7: a 1x3 and a 3x1 see the same map, and both are in the output."""
    module = Branches(1280, FIGURE_7).eval()
    x = torch.rand(1, 1280, 4, 4)
    narrow = module.branch2.conv1(x)
    fork = module.branch2.fork1
    expected = torch.cat((fork.branch1(narrow), fork.branch2(narrow)), 1)
    torch.testing.assert_close(module(x)[:, 320 : 320 + 768], expected)
    assert fork.branch1.conv1.conv.kernel_size == (1, 3)
    assert fork.branch2.conv1.conv.kernel_size == (3, 1)


def test_reduction_halves_by_stride_and_pooling_side_by_side() -> None:
    """Fig. 10: the input's own maps come last, pooled."""
    module = Branches(288, REDUCTION_35).eval()
    x = torch.rand(1, 288, 35, 35)
    pooled = nn.functional.max_pool2d(x, 3, stride=2)
    torch.testing.assert_close(module(x)[:, 384 + 96 :], pooled)


def test_auxiliary_classifier_equals_torchvision() -> None:
    peer = torchvision.models.inception_v3(num_classes=10, init_weights=False)
    randomise(peer)
    network = create_model("inception_v3_aux", num_classes=10)
    network.load_state_dict(TORCHVISION.convert(network, peer.state_dict()))
    maps = torch.rand(2, 768, 17, 17)
    with torch.no_grad():
        ours = network.auxiliary.stage2.double().eval()(maps.double())
        theirs = peer.AuxLogits.double().eval()(maps.double())
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [75, 224, 299, 320])
def test_auxiliary_classifier_takes_what_the_network_takes(size: int) -> None:
    with torch.device("meta"):
        network = create_model("inception_v3_aux", num_classes=10)
        logits, auxiliary = network.forward_auxiliary(torch.empty(2, 3, size, size))
    assert list(auxiliary) == ["stage2"]
    assert logits.shape == auxiliary["stage2"].shape == (2, 10)


def test_auxiliary_classifier_sees_the_last_17x17_map() -> None:
    network = create_model("inception_v3_aux", num_classes=10, stem="small").eval()
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        logits, auxiliary = network.forward_auxiliary(images)
        maps = network.forward_intermediates(images, ["features.stage2"])["features.stage2"]
        torch.testing.assert_close(auxiliary["stage2"], network.auxiliary.stage2(maps))
        torch.testing.assert_close(logits, network(images))


def test_the_released_weights_fit_with_and_without_the_auxiliary_classifier() -> None:
    peer = torchvision.models.inception_v3(num_classes=10, init_weights=False)
    for name in ("inception_v3", "inception_v3_aux"):
        with torch.device("meta"):
            network = create_model(name, num_classes=10)
        state = TORCHVISION.convert(network, peer.state_dict())
        network.load_state_dict(state, assign=True)
        assert torch.equal(network.head.fc.weight, peer.fc.weight)
    assert torch.equal(network.auxiliary.stage2.fc.weight, peer.AuxLogits.fc.weight)


def test_small_stem_halves_once() -> None:
    with torch.device("meta"):
        network = create_model("inception_v3", stem="small")
        maps = network.forward_intermediates(
            torch.empty(1, 3, 32, 32), [f"features.stage{stage}" for stage in (1, 2, 3)]
        )
    assert [each.shape[-1] for each in maps.values()] == [15, 7, 3]
