"""ResNet (He, Zhang, Ren and Sun 2015, arXiv:1512.03385).

Each block learns a residual that is added to its input, so that depth no longer hurts training.
These are the ImageNet networks of Table 1 in the form people run today ("v1.5"): the stride of a
bottleneck is in its 3x3 convolution, and shortcuts are projections where the shape changes
(option B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack


@dataclass(frozen=True)
class Spec:
    """What varies: the block, how many of them a stage has, the stem, and the first width."""

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    width: int = 64
    stem: Stem = "paper"


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (Fig. 5, left)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(in_channels, width, 3, stride=stride)
        self.conv2 = conv_bn(width, width, 3, act=None)
        self.shortcut = projection(in_channels, width, stride)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.conv2(self.conv1(x)) + self.shortcut(x))
        return out


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width (Fig. 5, right)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = conv_bn(in_channels, width, 1)
        # Differs: the paper strides conv1; libraries today stride conv2, which sees every pixel.
        self.conv2 = conv_bn(width, width, 3, stride=stride)
        self.conv3 = conv_bn(width, out_channels, 1, act=None)
        self.shortcut = projection(in_channels, out_channels, stride)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.conv3(self.conv2(self.conv1(x))) + self.shortcut(x))
        return out


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Option B: identity where the shape stays, else a 1x1 convolution (Section 3.3)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return conv_bn(in_channels, out_channels, 1, stride=stride, act=None)


def stem(in_chans: int, width: int, kind: Stem) -> nn.Sequential:
    """7x7 stride 2 and 3x3 pooling (Table 1), or for small images the 3x3 of Section 4.2."""
    if kind == "small":
        return stack(("conv", conv_bn(in_chans, width, 3)))
    return stack(
        ("conv", conv_bn(in_chans, width, 7, stride=2)),
        ("pool", nn.MaxPool2d(3, stride=2, padding=1)),
    )


class ResNet(ConvNet):
    """The network of Table 1."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        block = BLOCKS[spec.block]
        self.features = stack(("stem", stem(in_chans, spec.width, spec.stem)))
        channels = spec.width
        for stage, depth in enumerate(spec.depths):
            width = spec.width * 2**stage
            blocks = []
            for index in range(depth):
                stride = 2 if stage and not index else 1
                blocks.append((f"block{index + 1}", block(channels, width, stride)))
                channels = width * block.expansion
            self.features.add_module(f"stage{stage + 1}", stack(*blocks))
        self.head = pooled_head(channels, num_classes)
        initialise_he2015(self)


# fmt: off
ONE_CROP = "KaimingHe/deep-residual-networks, 1 crop"
FAMILY = Family(
    name="resnet", title="ResNet", year=2015,
    paper="Deep Residual Learning for Image Recognition", url="https://arxiv.org/abs/1512.03385",
    network=ResNet, pocket=Spec("basic", (1, 1), width=8, stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling (the paper's CIFAR stem, Section 4.2)",
    variants={
        "resnet18": Variant(Spec("basic", (2, 2, 2, 2)), params=11_689_512, params_10=11_181_642,
            macs=1_814_073_344, counted_in="torchvision:resnet18",
            published=Published(source="Table 1", macs="1.8G")),
        "resnet34": Variant(Spec("basic", (3, 4, 6, 3)), params=21_797_672, params_10=21_289_802,
            macs=3_663_761_408, counted_in="torchvision:resnet34",
            published=Published(source="Table 1", macs="3.6G")),
        "resnet50": Variant(Spec("bottleneck", (3, 4, 6, 3)), params=25_557_032,
            params_10=23_528_522, macs=4_089_184_256, counted_in="torchvision:resnet50",
            published=Published(source=ONE_CROP, top1_error="24.7", top5_error="7.8"),
            note="v1.5; the paper's 3.8e9 multiply-adds are those of the v1 form"),
        "resnet101": Variant(Spec("bottleneck", (3, 4, 23, 3)), params=44_549_160,
            params_10=42_520_650, macs=7_801_405_440, counted_in="torchvision:resnet101",
            published=Published(source=ONE_CROP, top1_error="23.6", top5_error="7.1"),
            note="v1.5; the paper's 7.6e9 multiply-adds are those of the v1 form"),
    },
)
# fmt: on
