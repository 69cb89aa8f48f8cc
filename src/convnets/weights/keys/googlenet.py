"""GoogLeNet's tensors as torchvision names them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# fmt: off
LAYERS = (
    ("features.stem.conv1", "conv1"),
    ("features.stem.reduce", "conv2"),
    ("features.stem.conv2", "conv3"),
    ("features.stage{s}.inception_{m}.branch1.conv1", "inception{s+2}{m}.branch1"),
    ("features.stage{s}.inception_{m}.branch4.conv1", "inception{s+2}{m}.branch4.1"),
    ("features.stage{s}.inception_{m}.branch{i}.conv{c}", "inception{s+2}{m}.branch{i}.{c-1}"),
    ("auxiliary.inception_4a.conv", "aux1.conv"),
    ("auxiliary.inception_4d.conv", "aux2.conv"),
)
RULES: tuple[Rule, ...] = (
    *((f"{ours}.conv", f"{theirs}.conv") for ours, theirs in LAYERS),
    *((f"{ours}.norm", f"{theirs}.bn") for ours, theirs in LAYERS),
    ("auxiliary.inception_4a", "aux1"),
    ("auxiliary.inception_4d", "aux2"),
    ("head.fc", "fc"),
)
# fmt: on
TORCHVISION = KeyMap(
    names={
        "googlenet_bn": "googlenet(aux_logits=False, init_weights=False)",
        "googlenet_bn_aux": "googlenet(aux_logits=True, init_weights=False)",
    },
    rules=RULES,
    # The released weights have the auxiliary classifiers, whether the network does or not.
    ignored=("aux1", "aux2"),
    note="the released weights take images as (x - 0.5) / 0.5: torchvision rescales them inside",
)
