"""What is true of ResNeXt alone: paths, the templates of Table 1, and the CIFAR networks."""

from __future__ import annotations

import pytest
import torch
from pytorchcv.models.resnext_cifar import get_resnext_cifar
from torch import nn
from torch.nn import functional as F

from convnets.models import create_model
from convnets.models.resnext import ResNeXt, Spec
from tests.models.peers import NoInitialisation, agree, carry


@pytest.mark.parametrize(
    ("name", "cardinality"),
    [
        ("resnext29_8x64d_cifar", 8),
        pytest.param("resnext29_16x64d_cifar", 16, marks=pytest.mark.slow),
    ],
)
def test_logits_equal_pytorchcv(name: str, cardinality: int) -> None:
    with NoInitialisation():
        peer = get_resnext_cifar(
            num_classes=10, blocks=29, cardinality=cardinality, bottleneck_width=64
        )
        network = create_model(name)
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)  # its own takes 32 pixels alone
    carry(peer, network)
    agree(peer, network, 16)


@pytest.mark.parametrize(
    ("name", "layers", "widths"),
    [
        ("resnext50_32x4d", 50, (128, 256, 512, 1024)),
        ("resnext101_32x4d", 101, (128, 256, 512, 1024)),
        ("resnext101_32x8d", 101, (256, 512, 1024, 2048)),
        ("resnext101_64x4d", 101, (256, 512, 1024, 2048)),
        ("resnext29_8x64d_cifar", 29, (512, 1024, 2048)),
        ("resnext29_16x64d_cifar", 29, (1024, 2048, 4096)),
    ],
)
def test_layers_and_inner_widths_of_table_1(
    name: str, layers: int, widths: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        network = create_model(name)
    stages = [network.get_submodule(f"features.stage{i + 1}") for i in range(len(widths))]
    inner = [stage.get_submodule("block1.conv2.conv").out_channels for stage in stages]
    outer = [stage.get_submodule("block1.conv3.conv").out_channels for stage in stages]
    assert tuple(inner) == widths
    assert tuple(outer) == (256, 512, 1024, 2048)[: len(widths)]
    weighted = [
        layer
        for layer, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in layer
    ]
    assert len(weighted) == layers


def test_weights_of_a_template_are_those_of_equation_4() -> None:
    """C * (256 * d + 3 * 3 * d * d + d * 256): 70,144 for 32x4d, about that of ResNet-50."""
    with torch.device("meta"):
        block = create_model("resnext50_32x4d").get_submodule("features.stage1.block2")
    weights = sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d))
    assert weights == 32 * (256 * 4 + 3 * 3 * 4 * 4 + 4 * 256)


def test_a_grouped_block_is_the_sum_of_its_paths() -> None:
    """Fig. 3: form (c), which is built, against form (a), path by path."""
    spec = Spec((2,), cardinality=4, path_width=3, width=5)
    block = ResNeXt(spec).get_submodule("features.stage1.block2").eval()
    first, grouped, last = (
        block.get_submodule(f"conv{i}.conv").weight.split(3, dim=1 if i == 3 else 0)
        for i in (1, 2, 3)
    )
    x = torch.randn(2, 20, 6, 6)
    norm = (1 + 1e-5) ** -0.5  # of statistics at their start
    paths = torch.zeros_like(x)
    for reduce, transform, widen in zip(first, grouped, last, strict=True):
        path = F.relu(norm * F.conv2d(x, reduce))
        path = F.relu(norm * F.conv2d(path, transform, padding=1))
        paths += norm * F.conv2d(path, widen)
    torch.testing.assert_close(block(x), F.relu(paths + x))
