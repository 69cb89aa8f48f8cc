"""ConvNeXt V2's tensors as timm names them; torchvision has none."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule
from convnets.weights.keys import convnext

RESPONSE = "features.stage{s}.block{b}.response"
GRN = "stages.{s-1}.blocks.{b-1}.mlp.grn"
# fmt: off
RULES: tuple[Rule, ...] = (
    (f"{RESPONSE}.gamma", f"{GRN}.weight"),
    (f"{RESPONSE}.beta", f"{GRN}.bias"),
    *convnext.TIMM_RULES,
)
TIMM = KeyMap(
    names={name: name for name in (
        "convnextv2_atto", "convnextv2_femto", "convnextv2_pico", "convnextv2_nano",
        "convnextv2_tiny", "convnextv2_base", "convnextv2_large", "convnextv2_huge",
    )},
    rules=RULES,
)
# fmt: on
