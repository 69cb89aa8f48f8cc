"""EfficientNet's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.layers.network import ConvNet
from convnets.weights.keymap import KeyMap, Rule
from convnets.weights.keys.inverted_residual import TIMM as TIMM_RULES
from convnets.weights.keys.inverted_residual import numbered, torchvision_blocks


def torchvision_rules(network: ConvNet) -> tuple[Rule, ...]:
    """``final`` comes after the stages."""
    return (
        *numbered("features.stem", "features.0"),
        *torchvision_blocks(network, "features.{s}.{b}"),
        *numbered("features.final", f"features.{len(network.spec.stages) + 1}"),
        ("head.fc", "classifier.1"),
    )


TORCHVISION = KeyMap(
    names={f"efficientnet_b{size}": f"efficientnet_b{size}" for size in range(8)},
    rules=torchvision_rules,
)
# From B5 on timm has another eps; its tf_ networks have TensorFlow's padding.
TIMM = KeyMap(
    names={f"efficientnet_b{size}": f"efficientnet_b{size}" for size in range(5)},
    rules=TIMM_RULES,
)
