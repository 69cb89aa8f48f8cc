"""RegNet's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap

# fmt: off
SIZES = ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")
TORCHVISION = KeyMap(
    names={
        **{f"regnet_x_{size}": f"regnet_x_{size}" for size in SIZES},
        **{f"regnet_y_{size}": f"regnet_y_{size}" for size in (*SIZES, "128gf")},
    },
    rules=(
        ("features.stem.conv", "stem.0"),
        ("features.stem.norm", "stem.1"),
        ("features.stage{s}.block{b}.conv1.conv", "trunk_output.block{s}.block{s}-{b-1}.f.a.0"),
        ("features.stage{s}.block{b}.conv1.norm", "trunk_output.block{s}.block{s}-{b-1}.f.a.1"),
        ("features.stage{s}.block{b}.conv2.conv", "trunk_output.block{s}.block{s}-{b-1}.f.b.0"),
        ("features.stage{s}.block{b}.conv2.norm", "trunk_output.block{s}.block{s}-{b-1}.f.b.1"),
        ("features.stage{s}.block{b}.conv3.conv", "trunk_output.block{s}.block{s}-{b-1}.f.c.0"),
        ("features.stage{s}.block{b}.conv3.norm", "trunk_output.block{s}.block{s}-{b-1}.f.c.1"),
        ("features.stage{s}.block{b}.gate.reduce", "trunk_output.block{s}.block{s}-{b-1}.f.se.fc1"),
        ("features.stage{s}.block{b}.gate.expand", "trunk_output.block{s}.block{s}-{b-1}.f.se.fc2"),
        ("features.stage{s}.block{b}.shortcut.conv", "trunk_output.block{s}.block{s}-{b-1}.proj.0"),
        ("features.stage{s}.block{b}.shortcut.norm", "trunk_output.block{s}.block{s}-{b-1}.proj.1"),
        ("head.fc", "fc"),
    ),
)
TIMM_SIZES = {
    "200mf": "002", "600mf": "006", "1_6gf": "016", "3_2gf": "032", "4_0gf": "040", "6_4gf": "064",
    "12gf": "120", "16gf": "160", "32gf": "320",
}
TIMM = KeyMap(
    names={
        **{f"regnet_x_{size}": f"regnetx_{number}" for size, number in TIMM_SIZES.items()},
        **{f"regnet_y_{size}": f"regnety_{number}" for size, number in TIMM_SIZES.items()},
        "regnet_x_400mf": "regnetx_004_tv", "regnet_x_400mf_paper": "regnetx_004",
        "regnet_x_800mf": "regnetx_008", "regnet_x_8gf": "regnetx_080",
        "regnet_y_400mf": "regnety_004",
        "regnet_y_800mf": "regnety_008_tv", "regnet_y_800mf_paper": "regnety_008",
        "regnet_y_8gf": "regnety_080_tv", "regnet_y_8gf_paper": "regnety_080",
        "regnet_y_128gf": "regnety_1280",
    },
    rules=(
        ("features.stem.conv", "stem.conv"),
        ("features.stem.norm", "stem.bn"),
        ("features.stage{s}.block{b}.conv{c}.conv", "s{s}.b{b}.conv{c}.conv"),
        ("features.stage{s}.block{b}.conv{c}.norm", "s{s}.b{b}.conv{c}.bn"),
        ("features.stage{s}.block{b}.gate.reduce", "s{s}.b{b}.se.fc1"),
        ("features.stage{s}.block{b}.gate.expand", "s{s}.b{b}.se.fc2"),
        ("features.stage{s}.block{b}.shortcut.conv", "s{s}.b{b}.downsample.conv"),
        ("features.stage{s}.block{b}.shortcut.norm", "s{s}.b{b}.downsample.bn"),
        ("head.fc", "head.fc"),
    ),
)
# fmt: on
