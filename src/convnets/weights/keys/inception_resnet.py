"""Inception-ResNet v2's tensors as timm names them."""

from __future__ import annotations

from collections.abc import Iterator

from convnets.weights.keymap import KeyMap, Rule
from convnets.weights.keys.inception_v4 import layer


def stage(number: int, theirs: str) -> Iterator[Rule]:
    """The residual blocks of a stage."""
    ours = f"features.stage{number}.block{{b}}"
    yield from layer(f"{ours}.branches.branch1.conv1", f"{theirs}.branch0")
    yield from layer(f"{ours}.branches.branch{{i}}.conv{{c}}", f"{theirs}.branch{{i-1}}.{{c-1}}")
    yield f"{ours}.expand", f"{theirs}.conv2d"


CONVOLUTIONS = (
    ("features.stem.conv1", "conv2d_1a"),
    ("features.stem.conv2", "conv2d_2a"),
    ("features.stem.conv3", "conv2d_2b"),
    ("features.stem.conv4", "conv2d_3b"),
    ("features.stem.conv5", "conv2d_4a"),
    ("features.stem.fork1.branch1.conv1", "mixed_5b.branch0"),
    ("features.stem.fork1.branch4.conv1", "mixed_5b.branch3.1"),
    ("features.stem.fork1.branch{i}.conv{c}", "mixed_5b.branch{i-1}.{c-1}"),
    ("features.stage2.reduction.branch1.conv1", "mixed_6a.branch0"),
    ("features.stage2.reduction.branch2.conv{c}", "mixed_6a.branch1.{c-1}"),
    ("features.stage3.reduction.branch{i}.conv{c}", "mixed_7a.branch{i-1}.{c-1}"),
    ("features.final", "conv2d_7b"),
)
LAST = "features.stage3.block10"
TIMM = KeyMap(
    names={"inception_resnet_v2": "inception_resnet_v2"},
    rules=(
        *(rule for ours, theirs in CONVOLUTIONS for rule in layer(ours, theirs)),
        *stage(1, "repeat.{b-1}"),
        *stage(2, "repeat_1.{b-1}"),
        # The last block, which has no ReLU, stands apart.
        *(
            (ours.replace("features.stage3.block{b}", LAST), theirs)
            for ours, theirs in stage(3, "block8")
        ),
        *stage(3, "repeat_2.{b-1}"),
        ("head.fc", "classif"),
    ),
)
