"""How torchvision and timm name the parts of inverted residual blocks and what surrounds them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from convnets.layers.network import ConvNet
from convnets.weights.keymap import Rule

# fmt: off
TIMM_STEM: tuple[Rule, ...] = (
    ("features.stem.conv", "conv_stem"),
    ("features.stem.norm", "bn1"),
)
# timm has another block where nothing is expanded, as in all first stages.
TIMM_FIRST_STAGE: tuple[Rule, ...] = (
    ("features.stage1.block{b}.depthwise.conv", "blocks.0.{b-1}.conv_dw"),
    ("features.stage1.block{b}.depthwise.norm", "blocks.0.{b-1}.bn1"),
    ("features.stage1.block{b}.project.conv", "blocks.0.{b-1}.conv_pw"),
    ("features.stage1.block{b}.project.norm", "blocks.0.{b-1}.bn2"),
)
TIMM_BLOCKS: tuple[Rule, ...] = (
    ("features.stage{s}.block{b}.expand.conv", "blocks.{s-1}.{b-1}.conv_pw"),
    ("features.stage{s}.block{b}.expand.norm", "blocks.{s-1}.{b-1}.bn1"),
    ("features.stage{s}.block{b}.depthwise.conv", "blocks.{s-1}.{b-1}.conv_dw"),
    ("features.stage{s}.block{b}.depthwise.norm", "blocks.{s-1}.{b-1}.bn2"),
    ("features.stage{s}.block{b}.squeeze.reduce", "blocks.{s-1}.{b-1}.se.conv_reduce"),
    ("features.stage{s}.block{b}.squeeze.expand", "blocks.{s-1}.{b-1}.se.conv_expand"),
    ("features.stage{s}.block{b}.project.conv", "blocks.{s-1}.{b-1}.conv_pwl"),
    ("features.stage{s}.block{b}.project.norm", "blocks.{s-1}.{b-1}.bn3"),
)
TIMM_HEAD: tuple[Rule, ...] = (
    ("features.final.conv", "conv_head"),
    ("features.final.norm", "bn2"),
    ("head.fc", "classifier"),
)
# fmt: on
TIMM: tuple[Rule, ...] = (*TIMM_STEM, *TIMM_FIRST_STAGE, *TIMM_BLOCKS, *TIMM_HEAD)


def numbered(ours: str, theirs: str) -> tuple[Rule, ...]:
    """A convolution and its norm, which torchvision calls 0 and 1."""
    return ((f"{ours}.conv", f"{theirs}.0"), (f"{ours}.norm", f"{theirs}.1"))


def torchvision_blocks(network: ConvNet, their_block: str) -> Iterator[Rule]:
    """Yield rules for blocks of torchvision, which number the parts that a block has.

    In ``their_block``, ``{s}`` and ``{b}`` are the numbers of our stage from 1 and of its block
    from 0; what else a rule may hold stays for the key map.
    """
    for stage, blocks in enumerate(network.features.children()):
        for index, (name, block) in enumerate(blocks.named_children()):
            theirs = their_block.replace("{s}", str(stage)).replace("{b}", str(index))
            if name.startswith("block"):
                yield from _torchvision_parts(f"features.stage{stage}.{name}", theirs, block)


def _torchvision_parts(ours: str, theirs: str, block: nn.Module) -> Iterator[Rule]:
    parts = [part for part, module in block.named_children() if module.state_dict()]
    for number, part in enumerate(parts):
        if part == "squeeze":
            yield f"{ours}.squeeze.reduce", f"{theirs}.block.{number}.fc1"
            yield f"{ours}.squeeze.expand", f"{theirs}.block.{number}.fc2"
        else:
            yield from numbered(f"{ours}.{part}", f"{theirs}.block.{number}")
