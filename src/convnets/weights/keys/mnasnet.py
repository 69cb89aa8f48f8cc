"""MnasNet's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap
from convnets.weights.keys.inverted_residual import TIMM as TIMM_RULES

# fmt: off
TORCHVISION = KeyMap(
    names={name: name for name in ("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3")},
    rules=(
        ("features.stem.conv", "layers.0"),
        ("features.stem.norm", "layers.1"),
        ("features.stage1.block1.depthwise.conv", "layers.3"),
        ("features.stage1.block1.depthwise.norm", "layers.4"),
        ("features.stage1.block1.project.conv", "layers.6"),
        ("features.stage1.block1.project.norm", "layers.7"),
        ("features.stage{s}.block{b}.expand.conv", "layers.{s+6}.{b-1}.layers.0"),
        ("features.stage{s}.block{b}.expand.norm", "layers.{s+6}.{b-1}.layers.1"),
        ("features.stage{s}.block{b}.depthwise.conv", "layers.{s+6}.{b-1}.layers.3"),
        ("features.stage{s}.block{b}.depthwise.norm", "layers.{s+6}.{b-1}.layers.4"),
        ("features.stage{s}.block{b}.project.conv", "layers.{s+6}.{b-1}.layers.6"),
        ("features.stage{s}.block{b}.project.norm", "layers.{s+6}.{b-1}.layers.7"),
        ("features.final.conv", "layers.14"),
        ("features.final.norm", "layers.15"),
        ("head.fc", "classifier.1"),
    ),
)
# fmt: on
TIMM = KeyMap(
    names={
        "mnasnet0_5": "mnasnet_050",
        "mnasnet0_75": "mnasnet_075",
        "mnasnet1_0": "mnasnet_100",
        "mnasnet_a1_050": "semnasnet_050",
        "mnasnet_a1_075": "semnasnet_075",
        "mnasnet_a1": "semnasnet_100",
        "mnasnet_a1_140": "semnasnet_140",
        "mnasnet_small": "mnasnet_small",
    },
    rules=TIMM_RULES,
)
