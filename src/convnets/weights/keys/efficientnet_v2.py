"""EfficientNetV2's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap
from convnets.weights.keys.efficientnet import torchvision_rules
from convnets.weights.keys.inverted_residual import TIMM_BLOCKS, TIMM_HEAD, TIMM_STEM

TORCHVISION = KeyMap(
    names={f"efficientnet_v2_{size}": f"efficientnet_v2_{size}" for size in ("s", "m", "l")},
    rules=torchvision_rules,
)
# timm's S, M and L have another eps, or TensorFlow's padding.
# fmt: off
TIMM = KeyMap(
    names={
        f"efficientnet_v2_{size}": f"tf_efficientnetv2_{size}"
        for size in ("xl", "b0", "b1", "b2", "b3")
    },
    rules=(
        *TIMM_STEM,
        ("features.stage1.block{b}.expand.conv", "blocks.0.{b-1}.conv"),
        ("features.stage1.block{b}.expand.norm", "blocks.0.{b-1}.bn1"),
        ("features.stage2.block{b}.expand.conv", "blocks.1.{b-1}.conv_exp"),
        ("features.stage2.block{b}.project.conv", "blocks.1.{b-1}.conv_pwl"),
        ("features.stage2.block{b}.project.norm", "blocks.1.{b-1}.bn2"),
        ("features.stage3.block{b}.expand.conv", "blocks.2.{b-1}.conv_exp"),
        ("features.stage3.block{b}.project.conv", "blocks.2.{b-1}.conv_pwl"),
        ("features.stage3.block{b}.project.norm", "blocks.2.{b-1}.bn2"),
        *TIMM_BLOCKS,
        *TIMM_HEAD,
    ),
)
# fmt: on
