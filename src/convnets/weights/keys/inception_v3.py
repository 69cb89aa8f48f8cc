"""Inception v3's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# Our convolutions of a module, and the name that theirs begin with.
# fmt: off
FIGURE_5 = {
    "branch1.conv1": "branch1x1",
    "branch2.conv{c}": "branch5x5_{c}",
    "branch3.conv{c}": "branch3x3dbl_{c}",
    "branch4.conv1": "branch_pool",
}
REDUCTION_35 = {
    "branch1.conv1": "branch3x3",
    "branch2.conv{c}": "branch3x3dbl_{c}",
}
FIGURE_6 = {
    "branch1.conv1": "branch1x1",
    "branch2.conv{c}": "branch7x7_{c}",
    "branch3.conv{c}": "branch7x7dbl_{c}",
    "branch4.conv1": "branch_pool",
}
REDUCTION_17 = {
    "branch1.conv{c}": "branch3x3_{c}",
    "branch2.conv{c}": "branch7x7x3_{c}",
}
FIGURE_7 = {
    "branch1.conv1": "branch1x1",
    "branch2.conv1": "branch3x3_1",
    "branch2.fork1.branch1.conv1": "branch3x3_2a",
    "branch2.fork1.branch2.conv1": "branch3x3_2b",
    "branch3.conv{c}": "branch3x3dbl_{c}",
    "branch3.fork1.branch1.conv1": "branch3x3dbl_3a",
    "branch3.fork1.branch2.conv1": "branch3x3dbl_3b",
    "branch4.conv1": "branch_pool",
}
MODULES = {
    "features.stage1.block1": ("Mixed_5b", FIGURE_5),
    "features.stage1.block2": ("Mixed_5c", FIGURE_5),
    "features.stage1.block3": ("Mixed_5d", FIGURE_5),
    "features.stage2.block1": ("Mixed_6a", REDUCTION_35),
    "features.stage2.block2": ("Mixed_6b", FIGURE_6),
    "features.stage2.block3": ("Mixed_6c", FIGURE_6),
    "features.stage2.block4": ("Mixed_6d", FIGURE_6),
    "features.stage2.block5": ("Mixed_6e", FIGURE_6),
    "features.stage3.block1": ("Mixed_7a", REDUCTION_17),
    "features.stage3.block2": ("Mixed_7b", FIGURE_7),
    "features.stage3.block3": ("Mixed_7c", FIGURE_7),
}
LAYERS = {
    "features.stem.conv1": "Conv2d_1a_3x3",
    "features.stem.conv2": "Conv2d_2a_3x3",
    "features.stem.conv3": "Conv2d_2b_3x3",
    "features.stem.conv4": "Conv2d_3b_1x1",
    "features.stem.conv5": "Conv2d_4a_3x3",
    "auxiliary.stage2.conv{c}": "AuxLogits.conv{c-1}",
} | {
    f"{ours}.{layer}": f"{theirs}.{their_layer}"
    for ours, (theirs, layers) in MODULES.items()
    for layer, their_layer in layers.items()
}
# fmt: on
RULES: tuple[Rule, ...] = (
    *((f"{ours}.conv", f"{theirs}.conv") for ours, theirs in LAYERS.items()),
    *((f"{ours}.norm", f"{theirs}.bn") for ours, theirs in LAYERS.items()),
    ("auxiliary.stage2.fc", "AuxLogits.fc"),
    ("head.fc", "fc"),
)
# The released weights have the auxiliary classifier, whether the network does or not.
IGNORED = ("AuxLogits",)
TORCHVISION = KeyMap(
    names={
        "inception_v3": "inception_v3(aux_logits=False, init_weights=False)",
        "inception_v3_aux": "inception_v3(init_weights=False)",
    },
    rules=RULES,
    ignored=IGNORED,
    note="the released weights take images as (x - 0.5) / 0.5: torchvision rescales them inside",
)
TIMM = KeyMap(names={"inception_v3": "inception_v3"}, rules=RULES, ignored=IGNORED)
