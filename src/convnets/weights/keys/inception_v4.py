"""Inception v4's tensors as timm names them: one list of layers, stem and all."""

from __future__ import annotations

from collections.abc import Iterator

from convnets.weights.keymap import KeyMap, Rule


def layer(ours: str, theirs: str) -> Iterator[Rule]:
    """A convolution with its normalisation."""
    yield f"{ours}.conv", f"{theirs}.conv"
    yield f"{ours}.norm", f"{theirs}.bn"


# Layer by layer, most particular first: where a branch is one convolution, timm does not number it.
LAYERS = (
    ("features.stem.conv{c}", "features.{c-1}"),
    ("features.stem.fork1.branch2.conv1", "features.3.conv"),
    ("features.stem.fork2.branch{i}.conv{c}", "features.4.branch{i-1}.{c-1}"),
    ("features.stem.fork3.branch1.conv1", "features.5.conv"),
    ("features.stage1.block{b}.branch1.conv1", "features.{b+5}.branch0"),
    ("features.stage1.block{b}.branch4.conv1", "features.{b+5}.branch3.1"),
    ("features.stage1.block{b}.branch{i}.conv{c}", "features.{b+5}.branch{i-1}.{c-1}"),
    ("features.stage2.reduction.branch1.conv1", "features.10.branch0"),
    ("features.stage2.reduction.branch2.conv{c}", "features.10.branch1.{c-1}"),
    ("features.stage2.block{b}.branch1.conv1", "features.{b+10}.branch0"),
    ("features.stage2.block{b}.branch4.conv1", "features.{b+10}.branch3.1"),
    ("features.stage2.block{b}.branch{i}.conv{c}", "features.{b+10}.branch{i-1}.{c-1}"),
    ("features.stage3.reduction.branch{i}.conv{c}", "features.18.branch{i-1}.{c-1}"),
    ("features.stage3.block{b}.branch1.conv1", "features.{b+18}.branch0"),
    ("features.stage3.block{b}.branch2.fork1.branch1.conv1", "features.{b+18}.branch1_1a"),
    ("features.stage3.block{b}.branch2.fork1.branch2.conv1", "features.{b+18}.branch1_1b"),
    ("features.stage3.block{b}.branch3.fork1.branch1.conv1", "features.{b+18}.branch2_3a"),
    ("features.stage3.block{b}.branch3.fork1.branch2.conv1", "features.{b+18}.branch2_3b"),
    ("features.stage3.block{b}.branch4.conv1", "features.{b+18}.branch3.1"),
    ("features.stage3.block{b}.branch{i}.conv{c}", "features.{b+18}.branch{i-1}_{c-1}"),
)
TIMM = KeyMap(
    names={"inception_v4": "inception_v4"},
    rules=(
        *(rule for ours, theirs in LAYERS for rule in layer(ours, theirs)),
        ("head.fc", "last_linear"),
    ),
)
