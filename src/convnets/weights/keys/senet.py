"""SENet's tensors as timm names them, in its ``legacy`` networks, which stride as the authors'."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# fmt: off
RULES: tuple[Rule, ...] = (
    ("features.stem.conv.conv", "layer0.conv1"),
    ("features.stem.conv.norm", "layer0.bn1"),
    ("features.stem.conv{c}.conv", "layer0.conv{c}"),
    ("features.stem.conv{c}.norm", "layer0.bn{c}"),
    ("features.stage{s}.block{b}.conv{c}.conv", "layer{s}.{b-1}.conv{c}"),
    ("features.stage{s}.block{b}.conv{c}.norm", "layer{s}.{b-1}.bn{c}"),
    ("features.stage{s}.block{b}.squeeze.reduce", "layer{s}.{b-1}.se_module.fc1"),
    ("features.stage{s}.block{b}.squeeze.expand", "layer{s}.{b-1}.se_module.fc2"),
    ("features.stage{s}.block{b}.shortcut.conv", "layer{s}.{b-1}.downsample.0"),
    ("features.stage{s}.block{b}.shortcut.norm", "layer{s}.{b-1}.downsample.1"),
    ("head.fc", "last_linear"),
)
# fmt: on
TIMM = KeyMap(
    names={
        "se_resnet50": "legacy_seresnet50",
        "se_resnet101": "legacy_seresnet101",
        "se_resnet152": "legacy_seresnet152",
        "se_resnext50_32x4d": "legacy_seresnext50_32x4d",
        "se_resnext101_32x4d": "legacy_seresnext101_32x4d",
        "senet154": "legacy_senet154",
    },
    rules=RULES,
)
