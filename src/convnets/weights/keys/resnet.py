"""ResNet's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# fmt: off
RULES: tuple[Rule, ...] = (
    ("features.stem.conv.conv", "conv1"),
    ("features.stem.conv.norm", "bn1"),
    ("features.stage{s}.block{b}.conv{c}.conv", "layer{s}.{b-1}.conv{c}"),
    ("features.stage{s}.block{b}.conv{c}.norm", "layer{s}.{b-1}.bn{c}"),
    ("features.stage{s}.block{b}.shortcut.conv", "layer{s}.{b-1}.downsample.0"),
    ("features.stage{s}.block{b}.shortcut.norm", "layer{s}.{b-1}.downsample.1"),
    ("head.fc", "fc"),
)
# fmt: on
NAMES = {name: name for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")}
TORCHVISION = KeyMap(names=NAMES, rules=RULES)
TIMM = KeyMap(names={**NAMES, "resnet200": "resnet200"}, rules=RULES)
