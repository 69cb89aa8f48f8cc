"""ResNeXt's tensors as torchvision and timm name them: the ImageNet networks, as ResNet's."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap
from convnets.weights.keys.resnet import RULES

NAMES = {name: name for name in ("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d")}
TORCHVISION = KeyMap(names=NAMES, rules=RULES)
TIMM = KeyMap(names={**NAMES, "resnext101_32x4d": "resnext101_32x4d"}, rules=RULES)
