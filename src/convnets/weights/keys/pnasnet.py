"""PNASNet's tensors as timm names them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule
from convnets.weights.keys.nasnet import CELL, inside

# fmt: off
REDUCE: tuple[Rule, ...] = (
    ("previous.reduce.path{p}", "conv_prev_1x1.path_{p}.conv"),
    ("previous.reduce.norm", "conv_prev_1x1.final_path_bn"),
)
PLACES: tuple[Rule, ...] = (
    ("features.stem.cells.cell{k}", "cell_stem_{k-1}"),
    ("features.stage{s}.block{b}", "cell_{n}"),
)
# fmt: on
TIMM = KeyMap(
    names={"pnasnet5_large": "pnasnet5large"},
    rules=(
        ("features.stem.conv.conv", "conv_0.conv"),
        ("features.stem.conv.norm", "conv_0.bn"),
        *inside(PLACES, CELL + REDUCE),
        ("head.fc", "last_linear"),
    ),
)
