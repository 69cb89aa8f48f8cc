"""DenseNet's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# fmt: off
RULES: tuple[Rule, ...] = (
    ("features.stem.conv.conv", "features.conv0"),
    ("features.stem.conv.norm", "features.norm0"),
    ("features.stage{s}.transition.conv", "features.transition{s-1}"),
    ("features.stage{s}.layer{x}.bottleneck.norm", "features.denseblock{s}.denselayer{x}.norm1"),
    ("features.stage{s}.layer{x}.bottleneck.conv", "features.denseblock{s}.denselayer{x}.conv1"),
    ("features.stage{s}.layer{x}.conv.norm", "features.denseblock{s}.denselayer{x}.norm2"),
    ("features.stage{s}.layer{x}.conv.conv", "features.denseblock{s}.denselayer{x}.conv2"),
    ("features.final.norm", "features.norm5"),
    ("head.fc", "classifier"),
)
# fmt: on
NAMES = {name: name for name in ("densenet121", "densenet161", "densenet169", "densenet201")}
TORCHVISION = KeyMap(names=NAMES, rules=RULES)
TIMM = KeyMap(
    names={**NAMES, "densenet264": "densenet121(block_config=(6, 12, 64, 48))"}, rules=RULES
)
