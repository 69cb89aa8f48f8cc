"""ConvNeXt (Liu, Mao, Wu, Feichtenhofer, Darrell and Xie 2022, arXiv:2201.03545).

A ResNet rebuilt step by step with what Swin Transformers do, patches, wide depthwise kernels and
few norms, matches them with convolutions alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import Convolution
from convnets.layers.network import ConvNet, stack
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay

EPS = 1e-6
LAYER_SCALE = 1e-6


@dataclass(frozen=True)
class Spec:
    """What varies: depth and width of each stage, and how often the last block is dropped."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stochastic_depth: float
    stem: Stem = "paper"


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation across the channels of each pixel; maps are (batch, channels, h, w).

    The result lies in memory channels last, and so does every map after it: the two permutations
    move no data from the first norm on.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Depthwise 7x7, then at each pixel a norm and two linear layers, four times wider between.

    ``Linear`` on channels-last maps is the 1x1 convolution of Fig. 4, and faster.
    """

    def __init__(self, width: int, survival: float) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), LAYER_SCALE))
        self.depthwise = Convolution(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.expand = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.project = nn.Linear(4 * width, width)
        self.drop = StochasticDepth(survival)

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        branch = self.project(self.act(self.expand(pixels))).permute(0, 3, 1, 2)
        return torch.addcmul(x, self.drop(branch), self.layer_scale)


def patches(in_chans: int, width: int, side: int) -> nn.Sequential:
    """The stem: patches of ``side`` x ``side`` pixels that do not overlap, and a norm."""
    return stack(
        ("conv", nn.Conv2d(in_chans, width, side, stride=side)),
        ("norm", ChannelNorm(width, eps=EPS)),
    )


def downsample(in_channels: int, out_channels: int) -> nn.Sequential:
    """A norm and a 2x2 convolution of stride 2 between two stages (Section 2.6)."""
    return stack(
        ("norm", ChannelNorm(in_channels, eps=EPS)),
        ("conv", nn.Conv2d(in_channels, out_channels, 2, stride=2)),
    )


class ConvNeXt(ConvNet):
    """The network of Table 9; stages 2 to 4 begin with their ``downsample``."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        # Differs: the official code's survival starts from 1 at the first block; Eq. 4 of the
        # stochastic depth paper starts a step below.
        survivals = iter(linear_decay(sum(spec.depths), 1 - spec.stochastic_depth))
        channels = spec.widths[0]
        self.features = stack(
            ("stem", patches(in_chans, channels, 2 if spec.stem == "small" else 4))
        )
        for index, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True), start=1):
            stage = nn.Sequential()
            if index > 1:
                stage.add_module("downsample", downsample(channels, width))
            for block in range(depth):
                stage.add_module(f"block{block + 1}", Block(width, next(survivals)))
            self.features.add_module(f"stage{index}", stage)
            channels = width
        self.head = stack(
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("norm", ChannelNorm(channels, eps=EPS)),
            ("flatten", nn.Flatten(1)),
            ("fc", nn.Linear(channels, num_classes)),
        )
        initialise_convnext(self)


def initialise_convnext(network: nn.Module) -> None:
    """Truncated normal weights of deviation 0.02, biases 0, as the authors' code has it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


# fmt: off
README = "facebookresearch/ConvNeXt README, trained at 224"
FAMILY = Family(
    name="convnext", title="ConvNeXt", year=2022,
    paper="A ConvNet for the 2020s", url="https://arxiv.org/abs/2201.03545",
    network=ConvNeXt, pocket=Spec((1, 1), (16, 32), stochastic_depth=0.1, stem="small"),
    small_stem="patches of 2x2 pixels",
    variants={
        "convnext_tiny": Variant(Spec((3, 3, 9, 3), (96, 192, 384, 768), 0.1),
            params=28_589_128, params_10=27_827_818, macs=4_455_531_264,
            counted_in="torchvision:convnext_tiny",
            published=Published(source=README, params="28.6M", macs="4.5G", top1_error="17.9")),
        "convnext_small": Variant(Spec((3, 3, 27, 3), (96, 192, 384, 768), 0.4),
            params=50_223_688, params_10=49_462_378, macs=8_683_712_256,
            counted_in="torchvision:convnext_small",
            published=Published(source=README, params="50M", macs="8.7G", top1_error="16.9")),
        "convnext_base": Variant(Spec((3, 3, 27, 3), (128, 256, 512, 1024), 0.5),
            params=88_591_464, params_10=87_576_714, macs=15_354_729_472,
            counted_in="torchvision:convnext_base",
            published=Published(source=README, params="88.6M", macs="15.4G", top1_error="16.2")),
    },
)
# fmt: on
