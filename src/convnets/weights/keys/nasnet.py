"""NASNet's tensors as timm names them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# fmt: off
CELL: tuple[Rule, ...] = (
    ("current.conv", "conv_1x1.conv"),
    ("current.norm", "conv_1x1.bn"),
    ("previous.conv", "conv_prev_1x1.conv"),
    ("previous.norm", "conv_prev_1x1.bn"),
    ("pairs.{i}.{side}.conv{c}.depthwise", "comb_iter_{i}_{side}.separable_{c}.depthwise_conv2d"),
    ("pairs.{i}.{side}.conv{c}.pointwise", "comb_iter_{i}_{side}.separable_{c}.pointwise_conv2d"),
    ("pairs.{i}.{side}.conv{c}.norm", "comb_iter_{i}_{side}.bn_sep_{c}"),
    ("pairs.{i}.{side}.conv", "comb_iter_{i}_{side}.conv"),
    ("pairs.{i}.{side}.norm", "comb_iter_{i}_{side}.bn"),
)
REDUCE: tuple[Rule, ...] = (
    ("previous.reduce.path{p}", "path_{p}.conv"),
    ("previous.reduce.norm", "final_path_bn"),
)
PLACES: tuple[Rule, ...] = (
    ("features.stem.cells.cell{k}", "cell_stem_{k-1}"),
    ("features.stage{s}.reduction", "reduction_cell_{s-2}"),
    ("features.stage{s}.block{b}", "cell_{n}"),
)
# fmt: on


def inside(places: tuple[Rule, ...], parts: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules for the same parts at several places."""
    return tuple(
        (f"{place[0]}.{part[0]}", f"{place[1]}.{part[1]}") for place in places for part in parts
    )


TIMM = KeyMap(
    names={"nasnet_a_large": "nasnetalarge"},
    rules=(
        ("features.stem.conv.conv", "conv0.conv"),
        ("features.stem.conv.norm", "conv0.bn"),
        *inside(PLACES, CELL + REDUCE),
        ("head.fc", "last_linear"),
    ),
)
