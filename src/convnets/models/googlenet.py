"""GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842) in its batch-normalised form.

Inception modules look at one map with several kernel sizes at once, behind 1x1 convolutions that
keep the cost in bounds. ``googlenet_bn`` is the form people run today: batch normalisation in
place of biases and local response normalisation, a 3x3 kernel where the paper has 5x5, and no
auxiliary heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.catalog import Family, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack

EPS = 1e-3  # of the TensorFlow port that this form goes back to


@dataclass(frozen=True)
class Module:
    """One row of Table 1: the maps of each branch, and of the 1x1 that reduces its input."""

    one: int
    reduce_three: int
    three: int
    reduce_five: int
    five: int
    pooled: int

    @property
    def maps(self) -> int:
        """Maps of the four branches together."""
        return self.one + self.three + self.five + self.pooled


# fmt: off
TABLE_1 = (
    (
        Module(64, 96, 128, 16, 32, 32),
        Module(128, 128, 192, 32, 96, 64),
    ),
    (
        Module(192, 96, 208, 16, 48, 64),
        Module(160, 112, 224, 24, 64, 64),
        Module(128, 128, 256, 24, 64, 64),
        Module(112, 144, 288, 32, 64, 64),
        Module(256, 160, 320, 32, 128, 128),
    ),
    (
        Module(256, 160, 320, 32, 128, 128),
        Module(384, 192, 384, 48, 128, 128),
    ),
)
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: the modules of each stage, and the stem's maps after conv1 and conv2."""

    stages: tuple[tuple[Module, ...], ...] = TABLE_1
    stem_maps: tuple[int, int] = (64, 192)
    stem: Stem = "paper"


class Inception(nn.Module):
    """Four branches side by side (Fig. 2b)."""

    def __init__(self, in_channels: int, row: Module) -> None:
        super().__init__()
        self.one = conv_bn(in_channels, row.one, 1, eps=EPS)
        self.three = stack(
            ("reduce", conv_bn(in_channels, row.reduce_three, 1, eps=EPS)),
            ("conv", conv_bn(row.reduce_three, row.three, 3, eps=EPS)),
        )
        self.five = stack(
            ("reduce", conv_bn(in_channels, row.reduce_five, 1, eps=EPS)),
            # Differs: 3x3 where the paper has 5x5, as in the TensorFlow port and torchvision.
            ("conv", conv_bn(row.reduce_five, row.five, 3, eps=EPS)),
        )
        self.pooled = stack(
            ("pool", nn.MaxPool2d(3, stride=1, padding=1)),
            ("conv", conv_bn(in_channels, row.pooled, 1, eps=EPS)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.one(x), self.three(x), self.five(x), self.pooled(x)), 1)


def halve(kernel: int) -> nn.MaxPool2d:
    """Max pooling of stride 2 that rounds an odd size up (112 -> 56 -> 28 -> 14 -> 7)."""
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def stem(in_chans: int, first: int, second: int, kind: Stem) -> nn.Sequential:
    """The first rows of Table 1; for small images conv1 is 3x3 of stride 1, without poolings."""
    small = kind == "small"
    conv1 = (
        conv_bn(in_chans, first, 3, eps=EPS)
        if small
        else conv_bn(in_chans, first, 7, stride=2, eps=EPS)
    )
    return stack(
        ("conv1", conv1),
        ("pool1", nn.Identity() if small else halve(3)),
        ("reduce", conv_bn(first, first, 1, eps=EPS)),
        ("conv2", conv_bn(first, second, 3, eps=EPS)),
        ("pool2", nn.Identity() if small else halve(3)),
    )


class GoogLeNet(ConvNet):
    """The network of Table 1; stages 1, 2 and 3 hold its modules 3a-3b, 4a-4e and 5a-5b."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        self.features = stack(("stem", stem(in_chans, *spec.stem_maps, spec.stem)))
        channels = spec.stem_maps[1]
        for index, rows in enumerate(spec.stages, start=1):
            stage = nn.Sequential()
            if index > 1:
                # Differs: the last pooling is 2x2 in torchvision, 3x3 in Table 1.
                stage.add_module("pool", halve(3 if index == 2 else 2))
            for letter, row in zip("abcdefgh", rows, strict=False):
                stage.add_module(f"inception_{letter}", Inception(channels, row))
                channels = row.maps
            self.features.add_module(f"stage{index}", stage)
        self.head = pooled_head(channels, num_classes, dropout=0.2)
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="googlenet", title="GoogLeNet", year=2014,
    paper="Going Deeper with Convolutions", url="https://arxiv.org/abs/1409.4842",
    network=GoogLeNet,
    pocket=Spec(((Module(8, 4, 8, 4, 4, 4),), (Module(8, 4, 8, 4, 4, 4),)), stem_maps=(8, 16)),
    small_stem="conv1 is 3x3 of stride 1, no pooling before the first module",
    variants={
        "googlenet_bn": Variant(Spec(), params=6_624_904, params_10=5_610_154,
            macs=1_498_376_192, counted_in="torchvision:googlenet(aux_logits=False)",
            note="batch normalisation; 3x3 where the paper has 5x5; no auxiliary heads"),
    },
)
# fmt: on
