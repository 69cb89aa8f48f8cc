"""GoogLeNet's Table 1, the naive module of Fig. 2a, and the auxiliary classifiers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.googlenet import GoogLeNet as Peer
from torchvision.models.googlenet import Inception as PeerInception
from torchvision.models.googlenet import InceptionAux as PeerAuxiliary

from convnets.layers.inception import Branches
from convnets.models import create_model
from convnets.models.googlenet import NAIVE, PAPER, TABLE_1, GoogLeNet, Module, Spec
from convnets.weights.keys.googlenet import TORCHVISION
from tests.models.peers import agree, randomise

# Output of each stage at 224 pixels (Table 1): the stem, and the last module before each pooling.
STAGES = {
    "features.stem": (192, 28, 28),
    "features.stage1.inception_a": (256, 28, 28),
    "features.stage1": (480, 28, 28),
    "features.stage2.inception_a": (512, 14, 14),
    "features.stage2.inception_d": (528, 14, 14),
    "features.stage2": (832, 14, 14),
    "features.stage3.inception_a": (832, 7, 7),
    "features.stage3": (1024, 7, 7),
}
# The column "ops" of Table 1 in millions, and the maps and side that a module sees. Inception 5a,
# where the paper prints 54, comes to 51.
OPS = {
    "features.stage1.inception_a": (192, 28, 128),
    "features.stage1.inception_b": (256, 28, 304),
    "features.stage2.inception_a": (480, 14, 73),
    "features.stage2.inception_b": (512, 14, 88),
    "features.stage2.inception_c": (512, 14, 100),
    "features.stage2.inception_d": (512, 14, 119),
    "features.stage2.inception_e": (528, 14, 170),
    "features.stage3.inception_b": (832, 7, 71),
}
FORMS = ("googlenet", "googlenet_bn")


def multiply_adds(module: nn.Module, channels: int, side: int) -> int:
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, channels, side, side, device="meta"))
    return counter.get_total_flops() // 2


def convolutions(module: nn.Module) -> int:
    return sum(isinstance(child, nn.Conv2d) for child in module.modules())


@pytest.mark.parametrize("name", FORMS)
def test_output_sizes_of_table_1(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), STAGES)
    assert {name: tuple(maps[name].shape[1:]) for name in STAGES} == STAGES


@pytest.mark.parametrize("module", OPS)
def test_multiply_adds_of_table_1(module: str) -> None:
    channels, side, millions = OPS[module]
    with torch.device("meta"):
        network = create_model("googlenet")
    assert abs(multiply_adds(network.get_submodule(module), channels, side) / 1e6 - millions) < 1


@pytest.mark.parametrize("name", FORMS)
def test_57_convolutions_22_layers_deep(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
    assert convolutions(network) == 57
    modules = [module for module in network.modules() if isinstance(module, Branches)]
    longest = sum(max(convolutions(branch) for branch in m.children()) for m in modules)
    assert (len(modules), convolutions(network.features.stem) + longest + 1) == (9, 22)


def test_5x5_in_1x1_reductions_costs_a_tenth() -> None:
    row = TABLE_1[0][0]
    with torch.device("meta"):
        reduced = Branches(192, row.fork(5))
        naive = Branches(192, NAIVE.stages[0][0].fork(5))
    # 28 * 28 * 5 * 5 * 192 * 32, and behind 16 maps of 1x1.
    assert multiply_adds(naive.branch3, 192, 28) == 120_422_400
    assert multiply_adds(reduced.branch3, 192, 28) == 28 * 28 * (192 * 16 + 5 * 5 * 16 * 32)


def test_naive_module_hands_its_input_on() -> None:
    """Fig. 2a by hand, for module 3a: 64 of 1x1, 128 of 3x3, 32 of 5x5, beside the 192 pooled."""
    module = Branches(192, NAIVE.stages[0][0].fork(5))
    images = torch.rand(1, 192, 28, 28)
    pooled = module.eval()(images)[:, 64 + 128 + 32 :]
    torch.testing.assert_close(pooled, F.max_pool2d(images, 3, stride=1, padding=1))
    weights = 64 * 192 + 128 * 192 * 9 + 32 * 192 * 25
    assert multiply_adds(module.to("meta"), 192, 28) == 28 * 28 * weights == 303_464_448


def test_naive_network_by_hand() -> None:
    # Weights and biases of the stem, and of nine modules that each see all maps before them.
    count = (7 * 7 * 3 + 1) * 64 + (64 + 1) * 64 + (9 * 64 + 1) * 192
    channels = 192
    for row in (row for rows in TABLE_1 for row in rows):
        count += (channels + 1) * row.one + (9 * channels + 1) * row.three
        count += (25 * channels + 1) * row.five
        channels += row.one + row.three + row.five
    count += (channels + 1) * 1000
    with torch.device("meta"):
        network = GoogLeNet(NAIVE)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    # Fourteen times the weights of the network with reductions, in which no 5x5 sees all maps.
    assert 13 < count / 6_998_552 < 14


class Biased(nn.Module):
    """Torchvision's convolution as the paper has it: a bias, no batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int, **arguments: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, **arguments)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


class Wide(PeerInception):
    """Torchvision's module with the paper's 5x5."""

    def __init__(self, *widths: int) -> None:
        super().__init__(*widths, conv_block=Biased)
        self.branch3[1] = Biased(widths[4], widths[5], kernel_size=5, padding=2)


class Auxiliary(PeerAuxiliary):
    """Torchvision's auxiliary classifier behind the paper's pooling."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float) -> None:
        super().__init__(in_channels, num_classes, Biased, dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc1(self.conv(F.avg_pool2d(x, 5, stride=3)).flatten(1)).relu()
        return self.fc2(self.dropout(hidden))


class LocalNorm(nn.Module):
    """Caffe's: each square and those of two maps to each side, alpha / 5 of their sum."""

    def forward(self, x: Tensor) -> Tensor:
        maps = x.shape[1]
        squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
        sums = sum(squares[:, shift : shift + maps] for shift in range(5))
        return x / (1 + 1e-4 / 5 * sums) ** 0.75


def peer_of_2014() -> nn.Module:
    peer = Peer(10, aux_logits=True, init_weights=False, blocks=[Biased, Wide, Auxiliary])
    peer.maxpool1 = nn.Sequential(peer.maxpool1, LocalNorm())
    peer.maxpool2 = nn.Sequential(LocalNorm(), peer.maxpool2)
    peer.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return peer


def peer_of_today() -> nn.Module:
    return Peer(10, aux_logits=True, init_weights=False)


def carried(peer: nn.Module, name: str) -> GoogLeNet:
    randomise(peer)
    network = create_model(name, num_classes=10)
    network.load_state_dict(TORCHVISION.convert(network, peer.state_dict()))
    assert isinstance(network, GoogLeNet)
    return network


def test_network_of_2014_equals_torchvision_with_the_papers_parts() -> None:
    peer = peer_of_2014()
    agree(peer, carried(peer, "googlenet"), 64)


@pytest.mark.parametrize(
    ("name", "build", "size"),
    [("googlenet_aux", peer_of_2014, 224), ("googlenet_bn_aux", peer_of_today, 95)],
)
def test_auxiliary_classifiers_equal_torchvision(name: str, build: Any, size: int) -> None:
    peer = build().double().eval()
    network = carried(peer, name).double().eval()
    taken: list[Tensor] = []
    for module in (peer.inception4a, peer.inception4d):
        module.register_forward_hook(lambda _module, _inputs, output: taken.append(output))
    images = torch.randn(1, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        expected = peer(images), peer.aux1(taken[0]), peer.aux2(taken[1])
        logits, auxiliary = network.forward_auxiliary(images)
    assert list(auxiliary) == ["inception_4a", "inception_4d"]
    for ours, theirs in zip((logits, *auxiliary.values()), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_auxiliary_classifiers_of_section_5() -> None:
    with torch.device("meta"):
        network = create_model("googlenet_aux")
    for (name, head), width in zip(network.auxiliary.items(), (512, 528), strict=True):
        maps = head.pool(torch.empty(2, width, 14, 14, device="meta"))
        assert maps.shape == (2, width, 4, 4), name
        assert head(torch.empty(2, width, 14, 14, device="meta")).shape == (2, 1000)
    logits, auxiliary = network.forward_auxiliary(torch.empty(2, 3, 64, 64, device="meta"))
    assert {each.shape for each in (logits, *auxiliary.values())} == {(2, 1000)}


def test_a_prediction_leaves_the_auxiliary_classifiers_alone() -> None:
    network = create_model("googlenet_bn_aux", num_classes=10).eval()
    images = torch.rand(1, 3, 64, 64)
    logits, auxiliary = network.forward_auxiliary(images)
    torch.testing.assert_close(network(images), logits)
    ran: list[nn.Module] = []
    for head in network.auxiliary.values():
        head.register_forward_hook(lambda module, *_: ran.append(module))
    network(images)
    assert not ran
    auxiliary["inception_4a"].sum().backward()
    # The gradient of the early head passes no later module.
    assert network.features.stem.conv1.conv.weight.grad.any()
    assert network.features.stage2.inception_b.branch1.conv1.conv.weight.grad is None


def test_network_of_2014_learns() -> None:
    row = Module(16, 8, 16, 8, 16, 16)
    network = GoogLeNet(Spec(((row,), (row,) * 4), PAPER, (8, 16), auxiliary=16), num_classes=10)
    logits, auxiliary = network.forward_auxiliary(torch.randn(4, 3, 64, 64))
    sum(each.square().mean() for each in (logits, *auxiliary.values())).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), f"{name} has no influence"


@pytest.mark.parametrize("name", FORMS)
def test_small_stem_keeps_all_pixels_for_the_first_module(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name, stem="small")
        maps = network.forward_intermediates(
            torch.empty(1, 3, 32, 32), ["features.stem", "features"]
        )
    assert maps["features.stem"].shape == (1, 192, 32, 32)
    assert maps["features"].shape == (1, 1024, 8, 8)
