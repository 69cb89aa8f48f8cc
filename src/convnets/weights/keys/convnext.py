"""ConvNeXt's tensors as torchvision and timm name them."""

from __future__ import annotations

from convnets.weights.keymap import KeyMap, Rule

STAGES = (1, 2, 3, 4)


def torchvision_rules(stage: int) -> tuple[Rule, ...]:
    """Stages and downsamplings alternate in one list that begins with the stem: 0, 1, 2, ..."""
    ours, theirs = f"features.stage{stage}", f"features.{2 * stage - 1}"
    downsample = f"features.{2 * stage - 2}"
    return (
        (f"{ours}.downsample.norm", f"{downsample}.0"),
        (f"{ours}.downsample.conv", f"{downsample}.1"),
        (f"{ours}.block{{b}}.layer_scale", f"{theirs}.{{b-1}}.layer_scale"),
        (f"{ours}.block{{b}}.depthwise", f"{theirs}.{{b-1}}.block.0"),
        (f"{ours}.block{{b}}.norm", f"{theirs}.{{b-1}}.block.2"),
        (f"{ours}.block{{b}}.expand", f"{theirs}.{{b-1}}.block.3"),
        (f"{ours}.block{{b}}.project", f"{theirs}.{{b-1}}.block.5"),
    )


# fmt: off
TORCHVISION = KeyMap(
    names={name: name for name in (
        "convnext_tiny", "convnext_small", "convnext_base", "convnext_large",
    )},
    rules=(
        ("features.stem.conv", "features.0.0"),
        ("features.stem.norm", "features.0.1"),
        *(rule for stage in STAGES for rule in torchvision_rules(stage)),
        ("head.norm", "classifier.0"),
        ("head.fc", "classifier.2"),
    ),
)
TIMM_RULES: tuple[Rule, ...] = (
    ("features.stem.conv", "stem.0"),
    ("features.stem.norm", "stem.1"),
    ("features.stage{s}.downsample.norm", "stages.{s-1}.downsample.0"),
    ("features.stage{s}.downsample.conv", "stages.{s-1}.downsample.1"),
    ("features.stage{s}.block{b}.layer_scale", "stages.{s-1}.blocks.{b-1}.gamma"),
    ("features.stage{s}.block{b}.depthwise", "stages.{s-1}.blocks.{b-1}.conv_dw"),
    ("features.stage{s}.block{b}.norm", "stages.{s-1}.blocks.{b-1}.norm"),
    ("features.stage{s}.block{b}.expand", "stages.{s-1}.blocks.{b-1}.mlp.fc1"),
    ("features.stage{s}.block{b}.project", "stages.{s-1}.blocks.{b-1}.mlp.fc2"),
    ("head.norm", "head.norm"),
    ("head.fc", "head.fc"),
)
TIMM = KeyMap(
    names={name: name for name in (
        "convnext_tiny", "convnext_small", "convnext_base", "convnext_large", "convnext_xlarge",
    )},
    rules=TIMM_RULES,
)
# fmt: on
