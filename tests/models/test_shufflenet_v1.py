"""What is true of ShuffleNet alone: Table 1, its two units, and pytorchcv's logits."""

from __future__ import annotations

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import nn
from torch.nn import functional as F

from convnets.models import create_model, find_variant
from convnets.models.shufflenet_v1 import FAMILY, Spec, Unit
from tests.models.peers import NoInitialisation, agree, carry

PYTORCHCV = {f"shufflenet_v1_g{groups}": f"shufflenet_g{groups}_w1" for groups in (1, 2, 3, 4, 8)}


@pytest.mark.parametrize("name", PYTORCHCV)
def test_logits_equal_pytorchcv(name: str) -> None:
    with NoInitialisation():
        peer = get_model(PYTORCHCV[name])
        network = create_model(name)
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)  # its own takes 224 pixels alone
    carry(peer, network)
    agree(peer, network, 64)


def count_by_table_1(spec: Spec, num_classes: int) -> tuple[int, int]:
    """Parameters and multiply-adds at 224 pixels, convolution by convolution."""
    params = spec.stem_width * (3 * 9 + 2)
    macs = spec.stem_width * 3 * 9 * 112**2
    channels, side = spec.stem_width, 56
    for stage, repeat in ((2, 4), (3, 8), (4, 4)):
        out = spec.width * 2 ** (stage - 2)
        hidden = out // 4
        for unit in range(repeat):
            first = unit == 0
            groups = 1 if first and stage == 2 else spec.groups
            branch = out - channels if first else out
            reduce, expand = channels * hidden // groups, hidden * branch // spec.groups
            params += reduce + 2 * hidden + 9 * hidden + 2 * hidden + expand + 2 * branch
            macs += reduce * side**2
            side = side // 2 if first else side
            macs += (9 * hidden + expand) * side**2
            channels = out
    classifier = channels * num_classes
    return params + classifier + num_classes * spec.bias, macs + classifier


@pytest.mark.parametrize("name", FAMILY.variants)
def test_figures_follow_from_table_1(name: str) -> None:
    row = find_variant(name)[1]
    assert count_by_table_1(row.spec, 1000) == (row.params, row.macs)
    assert count_by_table_1(row.spec, 10)[0] == row.params_10


@pytest.mark.parametrize(
    ("name", "width"),
    [("g1", 144), ("g2", 200), ("g3", 240), ("g4", 272), ("g8", 384), ("g3_x0_5", 120)],
)
def test_stages_of_table_1(name: str, width: int) -> None:
    with torch.device("meta"):
        network = create_model(f"shufflenet_v1_{name}")
        names = [f"features.{child}" for child, _ in network.features.named_children()]
        maps = network.forward_intermediates(torch.empty(1, 3, 224, 224), names)
    shapes = [tuple(maps[name].shape[1:]) for name in names]
    assert shapes[0][1:] == (56, 56)
    assert shapes[1:] == [(width * 2**stage, 28 >> stage, 28 >> stage) for stage in range(3)]
    assert [len(stage) for stage in list(network.features.children())[1:]] == [4, 8, 4]


def unit(in_channels: int, out_channels: int, stride: int) -> Unit:
    spec = Spec(groups=2, width=16)
    return Unit(in_channels, out_channels, spec, stride=stride, survival=1.0).eval()


def test_stride_1_adds_the_input() -> None:
    block = unit(16, 16, stride=1)
    nn.init.zeros_(block.expand.norm.weight)
    x = torch.rand(1, 16, 6, 6)
    torch.testing.assert_close(block(x), x)


def test_stride_2_joins_the_pooled_input() -> None:
    x = torch.rand(1, 16, 6, 6)
    out = unit(16, 40, stride=2)(x)
    assert out.shape == (1, 40, 3, 3)
    torch.testing.assert_close(out[:, 24:], F.avg_pool2d(x, 3, stride=2, padding=1))


@pytest.mark.parametrize(("shuffled", "seen"), [(True, 16), (False, 8)])
def test_only_the_shuffle_lets_groups_hear_of_each_other(shuffled: bool, seen: int) -> None:
    block = unit(16, 16, stride=1)
    if not shuffled:
        block.shuffle = nn.Identity()
    nn.init.constant_(block.reduce.conv.weight, 1.0)
    x = torch.ones(1, 16, 1, 1, requires_grad=True)
    block.expand(block.depthwise(block.shuffle(block.reduce(x))))[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert int(x.grad.ne(0).sum()) == seen
