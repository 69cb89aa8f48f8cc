"""Pre-activation ResNet's tensors as timm names them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# fmt: off
RULES: tuple[Rule, ...] = (
    ("features.stem.conv", "stem.conv"),
    ("features.stage{s}.block{b}.preactivation.norm", "stages.{s-1}.blocks.{b-1}.norm1"),
    ("features.stage{s}.block{b}.branch.conv{c}.norm", "stages.{s-1}.blocks.{b-1}.norm{c}"),
    ("features.stage{s}.block{b}.branch.conv{c}.conv", "stages.{s-1}.blocks.{b-1}.conv{c}"),
    ("features.stage{s}.block{b}.branch.conv{c}", "stages.{s-1}.blocks.{b-1}.conv{c}"),
    ("features.stage{s}.block{b}.shortcut", "stages.{s-1}.blocks.{b-1}.downsample.conv"),
    ("features.final.norm", "norm"),
    ("head.fc", "head.fc"),
)
# fmt: on
TIMM = KeyMap(
    names={
        "preact_resnet50": "resnetv2_50",
        "preact_resnet101": "resnetv2_101",
        "preact_resnet152": "resnetv2_152",
        "preact_resnet200": "resnetv2_50(layers=[3, 24, 36, 3])",
    },
    rules=RULES,
)
