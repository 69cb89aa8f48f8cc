"""MobileNetV3's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.layers.network import ConvNet
from convnets.weights.keymap import KeyMap, Rule
from convnets.weights.keys.inverted_residual import (
    TIMM_BLOCKS,
    TIMM_FIRST_STAGE,
    TIMM_STEM,
    numbered,
    torchvision_blocks,
)


def torchvision_rules(network: ConvNet) -> tuple[Rule, ...]:
    """Blocks are counted through all stages, and ``final`` comes after them."""
    blocks = sum(len(rows) for rows in network.spec.stages)
    return (
        *numbered("features.stem", "features.0"),
        *torchvision_blocks(network, "features.{n+1}"),
        *numbered("features.final", f"features.{blocks + 1}"),
        ("head.fc1", "classifier.0"),
        ("head.fc2", "classifier.3"),
    )


def timm_rules(network: ConvNet) -> tuple[Rule, ...]:
    """``final`` is one more stage."""
    final = f"blocks.{len(network.spec.stages)}.0"
    return (
        *TIMM_STEM,
        *TIMM_FIRST_STAGE,
        *TIMM_BLOCKS,
        ("features.final.conv", f"{final}.conv"),
        ("features.final.norm", f"{final}.bn1"),
        ("head.fc1", "conv_head"),
        ("head.fc2", "classifier"),
    )


TORCHVISION = KeyMap(
    names={name: name for name in ("mobilenet_v3_large", "mobilenet_v3_small")},
    rules=torchvision_rules,
)
# timm's networks of full width have another eps, or TensorFlow's padding.
TIMM = KeyMap(
    names={
        "mobilenet_v3_large_075": "mobilenetv3_large_075",
        "mobilenet_v3_small_075": "mobilenetv3_small_075",
    },
    rules=timm_rules,
)
