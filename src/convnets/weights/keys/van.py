"""VAN's tensors as the authors' code names them; torchvision and timm have no VAN."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

BLOCK, THEIRS = "features.stage{s}.block{b}", "block{s}.{b-1}"
LKA = "attend.attention.attention"
# fmt: off
RULES: tuple[Rule, ...] = (
    ("features.stem.conv", "patch_embed1.proj"),
    ("features.stem.norm", "patch_embed1.norm"),
    ("features.stage{s}.downsample.conv", "patch_embed{s}.proj"),
    ("features.stage{s}.downsample.norm", "patch_embed{s}.norm"),
    (f"{BLOCK}.attend.norm", f"{THEIRS}.norm1"),
    (f"{BLOCK}.attend.attention.enter", f"{THEIRS}.attn.proj_1"),
    (f"{BLOCK}.{LKA}.local", f"{THEIRS}.attn.spatial_gating_unit.conv0"),
    (f"{BLOCK}.{LKA}.long_range", f"{THEIRS}.attn.spatial_gating_unit.conv_spatial"),
    (f"{BLOCK}.{LKA}.channel", f"{THEIRS}.attn.spatial_gating_unit.conv1"),
    (f"{BLOCK}.attend.attention.leave", f"{THEIRS}.attn.proj_2"),
    (f"{BLOCK}.attend.scale.scale", f"{THEIRS}.layer_scale_1"),
    (f"{BLOCK}.feed.norm", f"{THEIRS}.norm2"),
    (f"{BLOCK}.feed.feed_forward.expand", f"{THEIRS}.mlp.fc1"),
    (f"{BLOCK}.feed.feed_forward.depthwise", f"{THEIRS}.mlp.dwconv.dwconv"),
    (f"{BLOCK}.feed.feed_forward.project", f"{THEIRS}.mlp.fc2"),
    (f"{BLOCK}.feed.scale.scale", f"{THEIRS}.layer_scale_2"),
    ("features.stage{s}.norm", "norm{s}"),
    ("head.fc", "head"),
)
# fmt: on
# No library has these networks, so it names none.
AUTHORS = KeyMap(names={}, rules=RULES)
