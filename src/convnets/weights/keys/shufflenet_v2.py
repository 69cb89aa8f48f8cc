"""ShuffleNet V2's tensors as torchvision names them; timm has no such network."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap

# fmt: off
TORCHVISION = KeyMap(
    names={f"shufflenet_v2_{size}": f"shufflenet_v2_{size}"
           for size in ("x0_5", "x1_0", "x1_5", "x2_0")},
    rules=(
        ("features.stem.conv.conv", "conv1.0"),
        ("features.stem.conv.norm", "conv1.1"),
        ("features.stage{s}.block{b}.left.depthwise.conv", "stage{s+1}.{b-1}.branch1.0"),
        ("features.stage{s}.block{b}.left.depthwise.norm", "stage{s+1}.{b-1}.branch1.1"),
        ("features.stage{s}.block{b}.left.pointwise.conv", "stage{s+1}.{b-1}.branch1.2"),
        ("features.stage{s}.block{b}.left.pointwise.norm", "stage{s+1}.{b-1}.branch1.3"),
        ("features.stage{s}.block{b}.right.pointwise1.conv", "stage{s+1}.{b-1}.branch2.0"),
        ("features.stage{s}.block{b}.right.pointwise1.norm", "stage{s+1}.{b-1}.branch2.1"),
        ("features.stage{s}.block{b}.right.depthwise.conv", "stage{s+1}.{b-1}.branch2.3"),
        ("features.stage{s}.block{b}.right.depthwise.norm", "stage{s+1}.{b-1}.branch2.4"),
        ("features.stage{s}.block{b}.right.pointwise2.conv", "stage{s+1}.{b-1}.branch2.5"),
        ("features.stage{s}.block{b}.right.pointwise2.norm", "stage{s+1}.{b-1}.branch2.6"),
        ("features.final.conv", "conv5.0"),
        ("features.final.norm", "conv5.1"),
        ("head.fc", "fc"),
    ),
)
# fmt: on
