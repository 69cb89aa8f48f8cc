"""Xception's tensors as timm names them."""

from __future__ import annotations

from collections.abc import Iterator

from convnets.weights.keymap import KeyMap, Rule

ENTRY = "features.stage1.block1"


def branch(ours: str, theirs: str, first: int) -> Iterator[Rule]:
    """Rules of one block: timm numbers its layers, and a ReLU lies between two units.

    ``first`` is the number of the first convolution.
    """
    for unit in (1, 2, 3):
        conv = first + 3 * (unit - 1)
        yield f"{ours}.branch.unit{unit}.conv.depthwise", f"{theirs}.rep.{conv}.conv1"
        yield f"{ours}.branch.unit{unit}.conv.pointwise", f"{theirs}.rep.{conv}.pointwise"
        yield f"{ours}.branch.unit{unit}.norm", f"{theirs}.rep.{conv + 1}"


# fmt: off
TIMM = KeyMap(
    names={"xception": "legacy_xception"},
    rules=(
        ("features.stem.conv{c}.conv", "conv{c}"),
        ("features.stem.conv{c}.norm", "bn{c}"),
        *branch(ENTRY, "block1", 0),  # the only one that does not begin with a ReLU
        *branch("features.stage{s}.block{b}", "block{n+1}", 1),
        ("features.stage{s}.block{b}.shortcut.conv", "block{n+1}.skip"),
        ("features.stage{s}.block{b}.shortcut.norm", "block{n+1}.skipbn"),
        ("features.stage3.separable{c}.conv.depthwise", "conv{c+2}.conv1"),
        ("features.stage3.separable{c}.conv.pointwise", "conv{c+2}.pointwise"),
        ("features.stage3.separable{c}.norm", "bn{c+2}"),
        ("head.fc", "fc"),
    ),
)
# fmt: on
