"""Inception v2's Fig. 5, its ports, and squeeze-and-excitation in its modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.models import VARIANTS, create_model
from convnets.models.inception_v2 import Halve
from tests.models.peers import agree, carry, randomise

PYTORCHCV = {"bn_inception": "bninception"}
# Maps and side after each module at 224 pixels, Fig. 5. Of 4c, 4d and 4e it prints what 96 maps
# behind the pooling would give; the other number is for the 128 that it prints beside them.
MODULES = {
    "stage1.inception_3a": (256, 28),
    "stage1.inception_3b": (320, 28),
    "stage2.inception_3c": (576, 14),
    "stage2.inception_4a": (576, 14),
    "stage2.inception_4b": (576, 14),
    "stage2.inception_4c": ({576, 608}, 14),
    "stage2.inception_4d": ({576, 608}, 14),
    "stage3.inception_4e": ({1024, 1056}, 7),
    "stage3.inception_5a": (1024, 7),
    "stage3.inception_5b": (1024, 7),
}
ROWS = ("bn_inception", "inception_v2_slim", "inception_v2_plain_bn", "se_bn_inception")


@pytest.mark.parametrize(("name", "peer_name"), PYTORCHCV.items())
def test_logits_equal_pytorchcv(name: str, peer_name: str) -> None:
    peer = get_model(peer_name, num_classes=10)
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)  # takes images below 224, too
    network = create_model(name, num_classes=10)
    carry(peer, network)
    agree(peer, network, 64)


@pytest.mark.parametrize("name", ROWS)
def test_output_sizes_of_figure_5(name: str) -> None:
    late = name in ("bn_inception", "se_bn_inception")
    with torch.device("meta"):
        network = create_model(name)
        maps = network.forward_intermediates(
            torch.empty(1, 3, 224, 224), ["features.stem", *(f"features.{m}" for m in MODULES)]
        )
    assert maps.pop("features.stem").shape == (1, 192, 28, 28)
    for module, (channels, side) in MODULES.items():
        wanted = channels
        if isinstance(channels, set):
            wanted = max(channels) if late else min(channels)
        assert maps[f"features.{module}"].shape == (1, wanted, side, side), module


@pytest.mark.parametrize("name", ROWS)
def test_69_convolutions(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    convolutions = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    # Besides: slim splits the first one, and squeeze-and-excitation has two in ten modules.
    besides = {"inception_v2_slim": 1, "se_bn_inception": 20}.get(name, 0)
    assert (norms, convolutions - besides) == (69, 69)


class Slim:
    """TensorFlow's arithmetic on a network's weights, taken in their order (slim, inception_v2)."""

    def __init__(self, network: nn.Module) -> None:
        self.weights: Iterator[Tensor] = iter(
            [m.weight for m in network.features.modules() if isinstance(m, nn.Conv2d)]
        )
        self.norms = iter([m for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
        self.fc = network.head.fc

    @staticmethod
    def same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
        sides = []
        for length in (x.shape[3], x.shape[2]):
            missing = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            sides += [missing // 2, missing - missing // 2]
        return F.pad(x, sides, value=value)

    def conv(self, x: Tensor, stride: int = 1) -> Tensor:
        weight, norm = next(self.weights), next(self.norms)
        x = F.conv2d(self.same(x, weight.shape[-1], stride), weight, stride=stride)
        mean, variance, beta = (
            each[:, None, None] for each in (norm.running_mean, norm.running_var, norm.bias)
        )
        return ((x - mean) / (variance + 0.001).sqrt() + beta).relu()

    def max_pool(self, x: Tensor, stride: int) -> Tensor:
        return F.max_pool2d(self.same(x, 3, stride, -torch.inf), 3, stride)

    def average(self, x: Tensor) -> Tensor:
        inside = F.avg_pool2d(self.same(torch.ones_like(x), 3, 1), 3, 1)
        return F.avg_pool2d(self.same(x, 3, 1), 3, 1) / inside

    def module(self, x: Tensor, pool: str) -> Tensor:
        one = [self.conv(x)] if pool != "reduce" else []
        stride = 1 if one else 2
        three = self.conv(self.conv(x), stride)
        double = self.conv(self.conv(self.conv(x)), stride)
        if pool == "reduce":
            return torch.cat([three, double, self.max_pool(x, 2)], 1)
        pooled = self.average(x) if pool == "avg" else self.max_pool(x, 1)
        return torch.cat([*one, three, double, self.conv(pooled)], 1)

    def logits(self, images: Tensor) -> Tensor:
        depthwise = next(self.weights)
        x = F.conv2d(self.same(images, 7, 2), depthwise, stride=2, groups=images.shape[1])
        x = self.max_pool(self.conv(x), 2)
        x = self.max_pool(self.conv(self.conv(x)), 2)
        for pool in ("avg", "avg", "reduce", *["avg"] * 4, "reduce", "avg", "max"):
            x = self.module(x, pool)
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("size", [64, 77])
def test_slim_equals_tensorflows_arithmetic(size: int) -> None:
    network = create_model("inception_v2_slim", num_classes=10).double().eval()
    randomise(network)
    images = torch.randn(2, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        logits = network(images)
        expected = Slim(network).logits(images)
    scale = expected.abs().max()
    torch.testing.assert_close(logits / scale, expected / scale, rtol=0, atol=1e-9)


def test_counts_of_the_ports_by_hand() -> None:
    counts = {name: VARIANTS[name][1].params for name in ROWS}
    plain, separable = 7 * 7 * 3 * 64, 7 * 7 * 3 * 8 + 3 * 8 * 64
    # One gamma for each normalised map: the stem, then the modules of Fig. 5 by branch.
    norms = 64 + 64 + 192
    norms += 64 + 64 + 64 + 64 + 96 + 96 + 32
    norms += 64 + 64 + 96 + 64 + 96 + 96 + 64
    norms += 128 + 160 + 64 + 96 + 96
    norms += 224 + 64 + 96 + 96 + 128 + 128 + 128
    norms += 192 + 96 + 128 + 96 + 128 + 128 + 128
    norms += 160 + 128 + 160 + 128 + 160 + 160 + 96
    norms += 96 + 128 + 192 + 160 + 192 + 192 + 96
    norms += 128 + 192 + 192 + 256 + 256
    norms += 352 + 192 + 320 + 160 + 224 + 224 + 128
    norms += 352 + 192 + 320 + 192 + 224 + 224 + 128
    difference = counts["inception_v2_plain_bn"] - counts["inception_v2_slim"]
    assert difference == plain - separable + norms


def test_squeeze_and_excitation_by_hand() -> None:
    """2 C^2 / r weights a module (Eq. 5 of the paper), and the biases of the authors' network."""
    maps = (256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024)
    weights = sum(2 * channels**2 // 16 for channels in maps)
    biases = sum(channels + channels // 16 for channels in maps)
    before_norm = 10_016  # one bias for each normalised map, which the authors' network lacks
    base, squeezed = (VARIANTS[name][1] for name in ("bn_inception", "se_bn_inception"))
    assert squeezed.params == base.params - before_norm + weights + biases
    assert squeezed.macs == base.macs + weights
    # Open Model Zoo counts 11.922 M in the authors' network, normalisation folded into a bias.
    assert round((squeezed.params - before_norm) / 1e6, 3) == 11.922


def test_squeeze_and_excitation_scales_the_whole_module() -> None:
    module = create_model("se_bn_inception").features.stage1.inception_3a.eval()
    nn.init.zeros_(module.squeeze.expand.weight)
    nn.init.zeros_(module.squeeze.expand.bias)
    x = torch.rand(1, 192, 8, 8)
    torch.testing.assert_close(module(x), module.branches(x) / 2)
    assert module.squeeze.reduce.out_channels == 256 // 16


@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_halving_fits_a_padded_convolution(side: int) -> None:
    x = torch.rand(1, 2, side, side + 1)
    beside = F.conv2d(x, torch.rand(2, 2, 3, 3), stride=2, padding=1)
    pooled = Halve()(x)
    assert pooled.shape == beside.shape
    padded = Slim.same(x, 3, 2, -torch.inf)
    torch.testing.assert_close(pooled, F.max_pool2d(padded, 3, 2))


def test_any_size_fits() -> None:
    with torch.device("meta"):
        network = create_model("bn_inception")
        for side in (1, 97):
            assert network(torch.empty(2, 3, side, side)).shape == (2, 1000)
