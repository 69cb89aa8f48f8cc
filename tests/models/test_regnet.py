"""What is true of RegNet alone: the quantised line, the printed networks, the two blocks."""

from __future__ import annotations

import math

import pytest
import torch

from convnets.layers.network import ConvNet
from convnets.models import create_model
from convnets.models.regnet import FAMILY, Spec, quantised_width, whole_groups

# Depths, widths and group width as the paper prints them beside each network, and as Keras lists
# them in keras/applications/regnet.py, which knows nothing of the line.
# fmt: off
PRINTED = {
    "regnet_x_200mf": ((1, 1, 4, 7), (24, 56, 152, 368), 8),
    "regnet_x_400mf_paper": ((1, 2, 7, 12), (32, 64, 160, 384), 16),
    "regnet_x_600mf": ((1, 3, 5, 7), (48, 96, 240, 528), 24),
    "regnet_x_800mf": ((1, 3, 7, 5), (64, 128, 288, 672), 16),
    "regnet_x_1_6gf": ((2, 4, 10, 2), (72, 168, 408, 912), 24),
    "regnet_x_3_2gf": ((2, 6, 15, 2), (96, 192, 432, 1008), 48),
    "regnet_x_4_0gf": ((2, 5, 14, 2), (80, 240, 560, 1360), 40),
    "regnet_x_6_4gf": ((2, 4, 10, 1), (168, 392, 784, 1624), 56),
    "regnet_x_8gf": ((2, 5, 15, 1), (80, 240, 720, 1920), 120),
    "regnet_x_12gf": ((2, 5, 11, 1), (224, 448, 896, 2240), 112),
    "regnet_x_16gf": ((2, 6, 13, 1), (256, 512, 896, 2048), 128),
    "regnet_x_32gf": ((2, 7, 13, 1), (336, 672, 1344, 2520), 168),
    "regnet_y_200mf": ((1, 1, 4, 7), (24, 56, 152, 368), 8),
    "regnet_y_400mf": ((1, 3, 6, 6), (48, 104, 208, 440), 8),
    "regnet_y_600mf": ((1, 3, 7, 4), (48, 112, 256, 608), 16),
    "regnet_y_800mf_paper": ((1, 3, 8, 2), (64, 128, 320, 768), 16),
    "regnet_y_1_6gf": ((2, 6, 17, 2), (48, 120, 336, 888), 24),
    "regnet_y_3_2gf": ((2, 5, 13, 1), (72, 216, 576, 1512), 24),
    "regnet_y_4_0gf": ((2, 6, 12, 2), (128, 192, 512, 1088), 64),
    "regnet_y_6_4gf": ((2, 7, 14, 2), (144, 288, 576, 1296), 72),
    "regnet_y_8gf_paper": ((2, 4, 10, 1), (168, 448, 896, 2016), 56),
    "regnet_y_12gf": ((2, 5, 11, 1), (224, 448, 896, 2240), 112),
    "regnet_y_16gf": ((2, 4, 11, 1), (224, 448, 1232, 3024), 112),
    "regnet_y_32gf": ((2, 5, 12, 1), (232, 696, 1392, 3712), 232),
}
# fmt: on


def build(name: str) -> ConvNet:
    with torch.device("meta"):
        return create_model(name).eval()


@pytest.mark.parametrize("name", PRINTED)
def test_five_numbers_give_the_printed_network(name: str) -> None:
    depths, widths, group_width = PRINTED[name]
    network = build(name)
    stages = list(network.features.children())[1:]
    assert tuple(len(stage) for stage in stages) == depths
    for stage, width in zip(stages, widths, strict=True):
        for block in stage.children():
            convolution = block.conv2.conv
            assert block.conv1.conv.out_channels == convolution.out_channels == width
            assert convolution.in_channels // convolution.groups == min(group_width, width)


def test_each_block_takes_the_step_nearest_to_the_line() -> None:
    for variant in FAMILY.variants.values():
        spec: Spec = variant.spec
        ladder = [spec.initial_width * spec.multiplier**step for step in range(12)]
        for block in range(spec.depth):
            line = spec.initial_width + spec.slope * block
            nearest = min(ladder, key=lambda width: abs(math.log(width / line)))
            assert quantised_width(spec, block) % 8 == 0
            assert abs(quantised_width(spec, block) - nearest) <= 4


@pytest.mark.parametrize(
    ("width", "group_width", "paper", "torchvision"),
    [(392, 16, 384, 400), (136, 16, 128, 144), (192, 56, 168, 224), (456, 56, 448, 448)],
)
def test_torchvision_rounds_to_whole_groups_in_another_way(
    width: int, group_width: int, paper: int, torchvision: int
) -> None:
    assert whole_groups(width, group_width, 0.0) == paper
    assert whole_groups(width, group_width, 0.9) == torchvision


def test_y_blocks_squeeze_a_quarter_of_their_input() -> None:
    network = build("regnet_y_400mf")
    channels = 32
    for stage in list(network.features.children())[1:]:
        for block in stage.children():
            assert block.gate.reduce.out_channels == channels // 4
            channels = block.conv3.conv.out_channels


@pytest.mark.parametrize(("stem", "sides"), [("paper", (56, 28, 14, 7)), ("small", (16, 8, 4, 2))])
def test_every_stage_halves_the_map(stem: str, sides: tuple[int, ...]) -> None:
    size = 224 if stem == "paper" else 32
    with torch.device("meta"):
        network = create_model("regnet_x_200mf", stem=stem)  # type: ignore[arg-type]
        names = [f"features.stage{stage}" for stage in (1, 2, 3, 4)]
        maps = network.forward_intermediates(torch.empty(1, 3, size, size), names)
    assert tuple(maps[name].shape[-1] for name in names) == sides
