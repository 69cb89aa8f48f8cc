"""NASNet-A against pytorchcv's, and against a count by hand from the authors' lists."""

from __future__ import annotations

import pytest
import torch
from pytorchcv.models import nasnet as peers
from torch import nn

from convnets.models import create_model, find_variant
from convnets.weights.keymap import KeyMap, Rule
from convnets.weights.keys.nasnet import inside
from tests.models.cells import NASNET_A_NORMAL, NASNET_A_REDUCTION, count
from tests.models.peers import NoInitialisation, agree, randomise

PYTORCHCV = {"nasnet_a_mobile": "nasnet_4a1056", "nasnet_a_large": "nasnet_6a4032"}
# pytorchcv pads as TensorFlow does for these sizes alone: even sides before the reductions that
# have its "extra padding", odd ones before the others.
SIZES = {"nasnet_a_mobile": 64, "nasnet_a_large": 43}
CELL: tuple[Rule, ...] = (
    ("current.conv", "conv1x1.conv"),
    ("current.norm", "conv1x1.bn"),
    ("previous.conv", "conv1x1_prev.conv"),
    ("previous.norm", "conv1x1_prev.bn"),
    ("previous.reduce.path{p}", "path.path{p}.conv"),
    ("previous.reduce.norm", "path.bn"),
    ("pairs.{i}.{side}.conv{c}.depthwise", "comb{i}_{side}.conv{c}.conv.dw_conv"),
    ("pairs.{i}.{side}.conv{c}.pointwise", "comb{i}_{side}.conv{c}.conv.pw_conv"),
    ("pairs.{i}.{side}.conv{c}.norm", "comb{i}_{side}.conv{c}.bn"),
)
PLACES: tuple[Rule, ...] = (
    ("features.stem.cells.cell{k}", "features.stem{k}_unit"),
    ("features.stage1.block{b}", "features.stage1.unit{b}"),
    ("features.stage{s}.reduction", "features.stage{s}.unit1"),
    ("features.stage{s}.block{b}", "features.stage{s}.unit{b+1}"),
)
KEYS = KeyMap(
    names=PYTORCHCV,
    rules=(
        ("features.stem.conv.conv", "features.init_block.conv"),
        ("features.stem.conv.norm", "features.init_block.bn"),
        *inside(PLACES, CELL),
        ("head.fc", "output.fc"),
    ),
)


@pytest.mark.parametrize(
    "name", ["nasnet_a_mobile", pytest.param("nasnet_a_large", marks=pytest.mark.slow)]
)
def test_logits_equal_pytorchcv(name: str) -> None:
    with NoInitialisation():
        peer = getattr(peers, PYTORCHCV[name])(num_classes=10)
    # Its last pooling is for one size of image.
    peer.features.final_pool = nn.AdaptiveAvgPool2d(1)
    randomise(peer)
    with torch.device("meta"):
        network = create_model(name, num_classes=10)
    network.load_state_dict(KEYS.convert(network, peer.state_dict()), assign=True)
    agree(peer, network, SIZES[name])


@pytest.mark.parametrize(
    ("name", "depth", "width", "stem_width", "skip"),
    [
        ("nasnet_a_mobile", 4, 44, 32, False),
        ("nasnet_a_large", 6, 168, 96, True),
        ("nasnet_a_cifar", 6, 32, None, False),
    ],
)
def test_count_by_hand(
    name: str, depth: int, width: int, stem_width: int | None, skip: bool
) -> None:
    variant = find_variant(name)[1]
    assert count(
        NASNET_A_NORMAL,
        NASNET_A_REDUCTION,
        depth=depth,
        width=width,
        size=variant.input_size,
        classes=variant.num_classes,
        stem_width=stem_width,
        skip=skip,
    ) == (variant.params, variant.macs)


def test_pytorchcv_counts_a_row_and_a_column_that_it_cuts_off() -> None:
    """In reduction cells it pads even sides, so that the first halves of the separable layers have
    one more place each way: 5x5 and 7x7 twice, 3x3 once."""
    variant = find_variant("nasnet_a_mobile")[1]
    taps = 2 * 25 + 2 * 49 + 9
    cut = sum(
        ((side + 1) ** 2 - side**2) * (taps * width + 5 * width**2)
        for width, side in ((22, 28), (88, 14), (176, 7))
    )
    assert f"{variant.macs + cut:,}" in variant.note


@pytest.mark.parametrize(
    ("name", "size", "sides", "penultimate", "cells"),
    [
        ("nasnet_a_mobile", 224, (28, 14, 7), 1056, 4),
        ("nasnet_a_large", 331, (42, 21, 11), 4032, 6),
        ("nasnet_a_cifar", 32, (32, 16, 8), 768, 6),
    ],
)
def test_names_give_the_last_width_and_the_cells_of_a_stage(
    name: str, size: int, sides: tuple[int, ...], penultimate: int, cells: int
) -> None:
    with torch.device("meta"):
        network = create_model(name)
        stages = [f"features.stage{stage}" for stage in (1, 2, 3)]
        maps = network.forward_intermediates(torch.empty(1, 3, size, size), stages)
    assert [tuple(maps[stage].shape[1:]) for stage in stages] == [
        (penultimate // share, side, side) for share, side in zip((4, 2, 1), sides, strict=True)
    ]
    blocks = [f"block{number}" for number in range(1, cells + 1)]
    assert [list(dict(network.get_submodule(stage).named_children())) for stage in stages] == [
        blocks,
        ["reduction", *blocks],
        ["reduction", *blocks],
    ]


def test_large_looks_past_a_reduction_and_mobile_does_not() -> None:
    for name, source in (("nasnet_a_mobile", -1), ("nasnet_a_large", -2)):
        with torch.device("meta"):
            network = create_model(name)
        features = network.features
        outputs: list[torch.Tensor] = []
        older: list[torch.Tensor] = []
        features.stage1[source].register_forward_hook(
            lambda _cell, _maps, output, to=outputs: to.append(output)
        )
        features.stage2.block1.register_forward_pre_hook(
            lambda _cell, maps, to=older: to.append(maps[0])
        )
        network(torch.empty(1, 3, 64, 64, device="meta"))
        assert older[0] is outputs[0]
