"""MobileNetV2's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap
from convnets.weights.keys.inverted_residual import TIMM as TIMM_RULES
from convnets.weights.keys.inverted_residual import numbered

TORCHVISION = KeyMap(
    names={
        "mobilenet_v2": "mobilenet_v2",
        "mobilenet_v2_14": "mobilenet_v2(width_mult=1.4)",
        "mobilenet_v2_13": "mobilenet_v2(width_mult=1.3)",
        "mobilenet_v2_075": "mobilenet_v2(width_mult=0.75)",
        "mobilenet_v2_05": "mobilenet_v2(width_mult=0.5)",
        "mobilenet_v2_035": "mobilenet_v2(width_mult=0.35)",
    },
    rules=(
        *numbered("features.stem", "features.0"),
        *numbered("features.stage1.block1.depthwise", "features.1.conv.0"),
        ("features.stage1.block1.project.conv", "features.1.conv.1"),
        ("features.stage1.block1.project.norm", "features.1.conv.2"),
        *numbered("features.stage{s}.block{b}.expand", "features.{n+1}.conv.0"),
        *numbered("features.stage{s}.block{b}.depthwise", "features.{n+1}.conv.1"),
        ("features.stage{s}.block{b}.project.conv", "features.{n+1}.conv.2"),
        ("features.stage{s}.block{b}.project.norm", "features.{n+1}.conv.3"),
        *numbered("features.final", "features.18"),
        ("head.fc", "classifier.1"),
    ),
)
TIMM = KeyMap(
    names={
        "mobilenet_v2": "mobilenetv2_100",
        "mobilenet_v2_14": "mobilenetv2_140",
        "mobilenet_v2_075": "mobilenetv2_075",
        "mobilenet_v2_05": "mobilenetv2_050",
        "mobilenet_v2_035": "mobilenetv2_035",
    },
    rules=TIMM_RULES,
)
