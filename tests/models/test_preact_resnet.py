"""What is true of pre-activation ResNet alone: the open path, shared activations, its counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pytorchcv.models.preresnet_cifar import get_preresnet_cifar
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.layers.preactivation import PreactivationUnit
from convnets.models import create_model
from convnets.models.preact_resnet import FAMILY, PreactResNet, Spec
from tests.models.peers import agree, carry

CIFAR_BOTTLENECKS = {"preact_resnet164_cifar": 18, "preact_resnet1001_cifar": 111}
IMAGENET = {
    "preact_resnet50": (3, 4, 6, 3),
    "preact_resnet101": (3, 4, 23, 3),
    "preact_resnet152": (3, 8, 36, 3),
    "preact_resnet200": (3, 24, 36, 3),
}


def bottlenecks(depths: tuple[int, ...], stem: int, width: int) -> int:
    """Weights and norms of stages of bottlenecks whose first one gives 4 ``width`` channels."""
    total, channels = 0, stem
    for stage, depth in enumerate(depths):
        thin = width * 2**stage
        wide = 4 * thin
        for block in range(depth):
            total += channels * thin + 9 * thin * thin + thin * wide
            total += 2 * (channels + thin + thin)
            if block == 0:
                total += channels * wide
            channels = wide
    return total + 2 * channels


def test_9n_plus_2_layers() -> None:
    with torch.device("meta"):
        network = create_model("preact_resnet164_cifar")
    layers = [
        layer
        for layer, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in layer
    ]
    assert len(layers) == 9 * 18 + 2


@pytest.mark.parametrize(("name", "n"), CIFAR_BOTTLENECKS.items())
def test_parameters_on_cifar(name: str, n: int) -> None:
    """The table in KaimingHe/resnet-1k-layers: 16, then 64, 128 and 256 channels."""
    assert f"preact_resnet{9 * n + 2}_cifar" == name
    assert FAMILY.variants[name].spec.depths == (n, n, n)
    expected = 9 * 3 * 16 + bottlenecks((n, n, n), 16, 16) + 256 * 10 + 10
    assert FAMILY.variants[name].params == expected


@pytest.mark.parametrize(("name", "depths"), IMAGENET.items())
def test_parameters_on_imagenet(name: str, depths: tuple[int, ...]) -> None:
    expected = 49 * 3 * 64 + bottlenecks(depths, 64, 64) + 2048 * 1000 + 1000
    assert FAMILY.variants[name].params == expected


def test_110_layers_have_the_parameters_of_the_plain_network() -> None:
    """Each norm moves from behind a convolution to before one: their widths only trade places."""
    row = FAMILY.variants["preact_resnet110_cifar"]
    assert row.params == 1_727_962  # ResNet-110, option A
    with torch.device("meta"):
        network = create_model("preact_resnet110_cifar")
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 110


def test_the_official_code_strides_the_first_1x1() -> None:
    with torch.device("meta"):
        network = create_model("preact_resnet164_cifar")
        first = "features.stage2.block1.branch.conv1"
        maps = network.forward_intermediates(torch.empty(1, 3, 32, 32), [first])
    assert maps[first].shape == (1, 32, 16, 16)


@pytest.mark.parametrize("layers", [20, 164])
def test_logits_equal_pytorchcv_where_the_3x3_strides(layers: int) -> None:
    """pytorchcv's networks are those of the paper but for the place of the stride."""
    peer = get_preresnet_cifar(num_classes=10, blocks=layers, bottleneck=True)
    official = FAMILY.variants["preact_resnet164_cifar"].spec
    n = (layers - 2) // 9
    network = PreactResNet(replace(official, depths=(n, n, n), strided="conv2"), num_classes=10)
    carry(peer, network)
    agree(peer, network, 32)


def units(network: nn.Module) -> list[PreactivationUnit]:
    return [module for module in network.modules() if isinstance(module, PreactivationUnit)]


def test_only_the_first_unit_of_a_stage_shares_its_activation() -> None:
    with torch.device("meta"):
        network = PreactResNet(Spec("basic", (3, 2), width=8, shortcut="A", cifar=True))
    assert [unit.shared for unit in units(network)] == [True, False, False, True, False]


def test_a_signal_passes_a_unit_unchanged() -> None:
    """Eq. 4: where the branches give nothing, the sum is the input, negative values and all."""
    network = PreactResNet(Spec("bottleneck", (3,), width=4)).eval()
    later = units(network)[1:]
    for unit in later:
        nn.init.zeros_(unit.branch.get_submodule("conv3.conv").weight)
    x = torch.randn(2, 16, 5, 5)
    assert torch.equal(nn.Sequential(*later)(x), x)


@pytest.mark.parametrize("shared", [True, False])
def test_unit_against_functions(shared: bool) -> None:
    """Fig. 4e, and its form at the start of a stage, in training mode."""
    network = PreactResNet(Spec("basic", (2,), width=6, cifar=True))
    unit = units(network)[0 if shared else 1]
    weights = dict(unit.named_parameters())
    for parameter in weights.values():
        nn.init.normal_(parameter)

    def activated(x: Tensor, name: str) -> Tensor:
        mean = x.mean((0, 2, 3), keepdim=True)
        var = x.var((0, 2, 3), keepdim=True, unbiased=False)
        scale = weights[f"{name}.norm.weight"][:, None, None]
        shift = weights[f"{name}.norm.bias"][:, None, None]
        return F.relu((x - mean) / (var + 1e-5).sqrt() * scale + shift)

    x = torch.randn(4, 6, 5, 5)
    before = activated(x, "preactivation")
    hidden = F.conv2d(before, weights["branch.conv1.weight"], padding=1)
    hidden = activated(hidden, "branch.conv2")
    branch = F.conv2d(hidden, weights["branch.conv2.conv.weight"], padding=1)
    torch.testing.assert_close(unit(x), branch + (before if shared else x))
