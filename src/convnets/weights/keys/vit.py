"""The Vision Transformer's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap

BLOCK = "features.stage1.block{b}"
THEIRS = "encoder.layers.encoder_layer_{b-1}"
# fmt: off
TORCHVISION = KeyMap(
    names={name: name for name in ("vit_b_16", "vit_b_32", "vit_l_16")},
    rules=(
        ("features.stem.class_token", "class_token"),
        ("features.stem.patches", "conv_proj"),
        ("features.stem.position", "encoder.pos_embedding"),
        (f"{BLOCK}.norm1", f"{THEIRS}.ln_1"),
        (f"{BLOCK}.attention.qkv.weight", f"{THEIRS}.self_attention.in_proj_weight"),
        (f"{BLOCK}.attention.qkv.bias", f"{THEIRS}.self_attention.in_proj_bias"),
        (f"{BLOCK}.attention.project", f"{THEIRS}.self_attention.out_proj"),
        (f"{BLOCK}.norm2", f"{THEIRS}.ln_2"),
        (f"{BLOCK}.feed_forward.expand", f"{THEIRS}.mlp.0"),
        (f"{BLOCK}.feed_forward.project", f"{THEIRS}.mlp.3"),
        ("head.norm", "encoder.ln"),
        ("head.fc", "heads.head"),
    ),
)
TIMM = KeyMap(
    names={
        "vit_ti_16": "vit_tiny_patch16_224",
        "vit_s_16": "vit_small_patch16_224",
        "vit_b_16": "vit_base_patch16_224",
        "vit_b_32": "vit_base_patch32_224",
        "vit_l_16": "vit_large_patch16_224",
    },
    rules=(
        ("features.stem.class_token", "cls_token"),
        ("features.stem.patches", "patch_embed.proj"),
        ("features.stem.position", "pos_embed"),
        (f"{BLOCK}.norm{{i}}", "blocks.{b-1}.norm{i}"),
        (f"{BLOCK}.attention.qkv", "blocks.{b-1}.attn.qkv"),
        (f"{BLOCK}.attention.project", "blocks.{b-1}.attn.proj"),
        (f"{BLOCK}.feed_forward.expand", "blocks.{b-1}.mlp.fc1"),
        (f"{BLOCK}.feed_forward.project", "blocks.{b-1}.mlp.fc2"),
        ("head.norm", "norm"),
        ("head.fc", "head"),
    ),
)
# fmt: on
