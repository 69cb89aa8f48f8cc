"""Wide ResNet's tensors as torchvision and timm name them: the ImageNet networks, as ResNet's."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap
from convnets.weights.keys.resnet import RULES

NAMES = {name: name for name in ("wide_resnet50_2", "wide_resnet101_2")}
TORCHVISION = KeyMap(names=NAMES, rules=RULES)
TIMM = KeyMap(names=NAMES, rules=RULES)
