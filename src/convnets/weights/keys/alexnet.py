"""AlexNet's tensors as torchvision names them; it has the one-column network alone."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# fmt: off
RULES: tuple[Rule, ...] = (
    ("features.stem.conv1.conv", "features.0"),
    ("features.stage1.conv2.conv", "features.3"),
    ("features.stage2.conv3.conv", "features.6"),
    ("features.stage2.conv4.conv", "features.8"),
    ("features.stage2.conv5.conv", "features.10"),
    ("head.fc1", "classifier.1"),
    ("head.fc2", "classifier.4"),
    ("head.fc3", "classifier.6"),
)
# fmt: on
TORCHVISION = KeyMap(names={"alexnet_owt": "alexnet"}, rules=RULES)
