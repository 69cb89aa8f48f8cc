"""The Swin Transformer's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

# torchvision counts the merging between two stages as a layer of its own.
STAGES = {1: 1, 2: 3, 3: 5, 4: 7}


# fmt: off
def stage_rules(
    ours: str, theirs: str, merging: str, expand: str, project: str
) -> tuple[Rule, ...]:
    """Rules of one stage's blocks and of the merging before them."""
    return (
        (f"{ours}.merging.norm", f"{merging}.norm"),
        (f"{ours}.merging.reduce", f"{merging}.reduction"),
        (f"{ours}.block{{b}}.norm{{i}}", f"{theirs}.{{b-1}}.norm{{i}}"),
        (f"{ours}.block{{b}}.attention.position_bias",
         f"{theirs}.{{b-1}}.attn.relative_position_bias_table"),
        (f"{ours}.block{{b}}.attention.attention.qkv", f"{theirs}.{{b-1}}.attn.qkv"),
        (f"{ours}.block{{b}}.attention.attention.project", f"{theirs}.{{b-1}}.attn.proj"),
        (f"{ours}.block{{b}}.feed_forward.expand", f"{theirs}.{{b-1}}.mlp.{expand}"),
        (f"{ours}.block{{b}}.feed_forward.project", f"{theirs}.{{b-1}}.mlp.{project}"),
    )


TORCHVISION = KeyMap(
    names={"swin_t": "swin_t", "swin_s": "swin_s", "swin_b": "swin_b"},
    rules=(
        ("features.stem.conv", "features.0.0"),
        ("features.stem.norm", "features.0.2"),
        *(
            rule
            for stage, place in STAGES.items()
            for rule in stage_rules(
                f"features.stage{stage}", f"features.{place}", f"features.{place - 1}", "0", "3"
            )
        ),
        ("head.norm", "norm"),
        ("head.fc", "head"),
    ),
    # An index that follows from the window alone.
    ignored=tuple(
        f"features.{place}.{block}.attn.relative_position_index"
        for place in STAGES.values() for block in range(18)
    ),
)
TIMM = KeyMap(
    names={
        "swin_t": "swin_tiny_patch4_window7_224",
        "swin_s": "swin_small_patch4_window7_224",
        "swin_b": "swin_base_patch4_window7_224",
        "swin_l": "swin_large_patch4_window7_224",
    },
    rules=(
        ("features.stem.conv", "patch_embed.proj"),
        ("features.stem.norm", "patch_embed.norm"),
        *stage_rules(
            "features.stage{s}", "layers.{s-1}.blocks", "layers.{s-1}.downsample", "fc1", "fc2"
        ),
        ("head.norm", "norm"),
        ("head.fc", "head.fc"),
    ),
)
# fmt: on
