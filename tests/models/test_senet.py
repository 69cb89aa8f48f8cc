"""What is true of SENet alone: the gate, what it adds, SENet-154, and that it joins any family."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from convnets.catalog import Family
from convnets.errors import UsageError
from convnets.layers.squeeze_excite import SqueezeExcite, squeeze_by
from convnets.models import create_model, preact_resnet, resnet, resnet_cifar, resnext, wide_resnet
from convnets.models.senet import FAMILY

RESIDUAL = [resnet.FAMILY, resnet_cifar.FAMILY, preact_resnet.FAMILY]
RESIDUAL += [wide_resnet.FAMILY, resnext.FAMILY]
WIDTHS = (256, 512, 1024, 2048)


def test_gate_by_hand() -> None:
    """Eq. 2 to 4 on numbers: means 1 and 3, one hidden unit, gates sigmoid(1) and sigmoid(-2)."""
    gate = SqueezeExcite(2, 1)
    with torch.no_grad():
        gate.reduce.weight.copy_(torch.tensor([[-1.0, 1.0]])[:, :, None, None])
        gate.reduce.bias.fill_(-1.0)
        gate.expand.weight.copy_(torch.tensor([[2.0], [-1.0]])[:, :, None, None])
        gate.expand.bias.copy_(torch.tensor([-1.0, -1.0]))
    x = torch.tensor([[[0.0, 2.0]], [[2.0, 4.0]]])[None]
    expected = x * torch.tensor([0.7310586, 0.1192029])[:, None, None]
    torch.testing.assert_close(gate(x), expected)


@pytest.mark.parametrize(
    ("name", "plain", "depths"),
    [
        ("se_resnet50", 25_557_032, (3, 4, 6, 3)),
        ("se_resnet101", 44_549_160, (3, 4, 23, 3)),
        ("se_resnet152", 60_192_808, (3, 8, 36, 3)),
        ("se_resnext50_32x4d", 25_028_904, (3, 4, 6, 3)),
        ("se_resnext101_32x4d", 44_177_704, (3, 4, 23, 3)),
    ],
)
def test_what_the_gates_add(name: str, plain: int, depths: tuple[int, ...]) -> None:
    """Eq. 5: 2 / r * sum of N * C ** 2 weights, and biases; ``plain`` is a peer's count."""
    pairs = list(zip(depths, WIDTHS, strict=True))
    weights = sum(depth * 2 * width * width // 16 for depth, width in pairs)
    biases = sum(depth * (width + width // 16) for depth, width in pairs)
    assert FAMILY.variants[name].params == plain + weights + biases


@pytest.mark.parametrize(
    ("name", "side"), [("se_resnet50", 28), ("se_resnext50_32x4d", 56), ("senet154", 56)]
)
def test_where_the_stride_is(name: str, side: int) -> None:
    with torch.device("meta"):
        network = create_model(name)
        first = "features.stage2.block1.conv1"
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), [first])
    assert maps[first].shape[-2:] == (side, side)


def test_senet154() -> None:
    """154 layers; a thinner first 1x1; 3x3 shortcuts but in the first stage; dropout."""
    with torch.device("meta"):
        network = create_model("senet154")
    layers = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        and "shortcut" not in name
        and "squeeze" not in name
    ]
    assert len(layers) == 154
    block = network.get_submodule("features.stage2.block1")
    shapes = [tuple(m.weight.shape) for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert shapes == [
        (256, 256, 1, 1),
        (512, 4, 3, 3),
        (512, 512, 1, 1),
        (32, 512, 1, 1),
        (512, 32, 1, 1),
        (512, 256, 3, 3),
    ]
    first = network.get_submodule("features.stage1.block1.shortcut.conv")
    assert isinstance(first, nn.Conv2d)
    assert first.kernel_size == (1, 1)
    assert any(isinstance(module, nn.Dropout) for module in network.head.modules())


@pytest.mark.parametrize("family", RESIDUAL, ids=lambda family: family.name)
def test_gate_joins_any_residual_family(family: Family) -> None:
    spec = replace(family.pocket, squeeze=2)
    network = family.network(spec, num_classes=10)
    gates = [name for name, m in network.named_modules() if isinstance(m, SqueezeExcite)]
    blocks = [
        f"features.{stage}.{block}.squeeze"
        for stage, children in network.features.named_children()
        for block, _ in children.named_children()
        if block.startswith("block")
    ]
    assert gates == blocks
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("reduction", [-1, 9])
def test_refuses_a_reduction_without_hidden_units(reduction: int) -> None:
    assert isinstance(squeeze_by(0, 8), nn.Identity)
    with pytest.raises(UsageError, match="squeeze"):
        squeeze_by(reduction, 8)
