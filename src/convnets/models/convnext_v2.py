"""ConvNeXt V2 (Woo, Debnath, Hu, Chen, Liu, Kweon and Xie 2023, arXiv:2301.00808).

ConvNeXt learns well from masked images only if its channels are made to compete: global response
normalisation lifts the channels that answer strongly and takes the place of LayerScale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import Convolution
from convnets.layers.initialise import initialise_truncated
from convnets.layers.network import ConvNet
from convnets.layers.patchify import EPS, normed_head, patches, trunk
from convnets.layers.stochastic_depth import StochasticDepth


@dataclass(frozen=True)
class Spec:
    """What varies: depth and width of each stage, and how often the last block is dropped."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stochastic_depth: float
    stem: Stem = "paper"


class GlobalResponseNorm(nn.Module):
    """Scale each channel by its share in the response of all (Eq. 1 to 3, Algorithm 1).

    Takes and returns (batch, height, width, channels). It starts as the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        response = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        # Differs: Eq. 2 divides by the sum; Algorithm 1 and the authors' code by the mean.
        share = response / (response.mean(dim=-1, keepdim=True) + EPS)
        out: Tensor = self.gamma * (x * share) + self.beta + x
        return out


class Block(nn.Module):
    """The block of ConvNeXt with GRN between its two linear layers, and no LayerScale (Fig. 5)."""

    def __init__(self, width: int, survival: float) -> None:
        super().__init__()
        self.depthwise = Convolution(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.expand = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.response = GlobalResponseNorm(4 * width)
        self.project = nn.Linear(4 * width, width)
        self.drop = StochasticDepth(survival)

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        branch = self.project(self.response(self.act(self.expand(pixels))))
        out: Tensor = x + self.drop(branch.permute(0, 3, 1, 2))
        return out


class ConvNeXtV2(ConvNet):
    """The network of ConvNeXt with the new blocks."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        stem = patches(in_chans, spec.widths[0], 2 if spec.stem == "small" else 4)
        self.features = trunk(stem, spec.depths, spec.widths, spec.stochastic_depth, Block)
        self.head = normed_head(spec.widths[-1], num_classes)
        initialise_truncated(self)


# fmt: off
README = "facebookresearch/ConvNeXt-V2 README, fine-tuned at 224"
# Stochastic depth: TRAINING.md gives Atto 0.1, Tiny 0.2 and Base 0.1.
# Differs: it gives no rate for the other five, which have 0.1 here.
FAMILY = Family(
    name="convnext_v2", title="ConvNeXt V2", year=2023,
    paper="ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
    url="https://arxiv.org/abs/2301.00808",
    network=ConvNeXtV2, pocket=Spec((1, 1), (16, 32), stochastic_depth=0.1, stem="small"),
    small_stem="patches of 2x2 pixels",
    variants={
        "convnextv2_atto": Variant(Spec((2, 2, 6, 2), (40, 80, 160, 320), 0.1),
            params=3_708_400, params_10=3_390_610, macs=547_332_480,
            counted_in="timm:convnextv2_atto",
            published=Published(source=README, params="3.7M", macs="0.55G", top1_error="23.3")),
        "convnextv2_femto": Variant(Spec((2, 2, 6, 2), (48, 96, 192, 384), 0.1),
            params=5_233_240, params_10=4_852_090, macs=779_629_824,
            counted_in="timm:convnextv2_femto",
            published=Published(source=README, params="5.2M", macs="0.78G", top1_error="21.5")),
        "convnextv2_pico": Variant(Spec((2, 2, 6, 2), (64, 128, 256, 512), 0.1),
            params=9_066_280, params_10=8_558_410, macs=1_367_055_360,
            counted_in="timm:convnextv2_pico",
            published=Published(source=README, params="9.1M", macs="1.37G", top1_error="19.7")),
        "convnextv2_nano": Variant(Spec((2, 2, 8, 2), (80, 160, 320, 640), 0.1),
            params=15_623_800, params_10=14_989_210, macs=2_445_528_320,
            counted_in="timm:convnextv2_nano",
            published=Published(source=README, params="15.6M", macs="2.45G", top1_error="18.1")),
        "convnextv2_tiny": Variant(Spec((3, 3, 9, 3), (96, 192, 384, 768), 0.2),
            params=28_635_496, params_10=27_874_186, macs=4_455_531_264,
            counted_in="timm:convnextv2_tiny",
            published=Published(source=README, params="28.6M", top1_error="17.0"),
            note="the README prints 4.47G multiply-adds"),
        "convnextv2_base": Variant(Spec((3, 3, 27, 3), (128, 256, 512, 1024), 0.1),
            params=88_717_800, params_10=87_703_050, macs=15_354_729_472,
            counted_in="timm:convnextv2_base",
            published=Published(source=README, params="89M", macs="15.4G", top1_error="15.1")),
        "convnextv2_large": Variant(Spec((3, 3, 27, 3), (192, 384, 768, 1536), 0.1),
            params=197_956_840, params_10=196_435_210, macs=34_361_433_600,
            counted_in="timm:convnextv2_large",
            published=Published(source=README, params="198M", macs="34.4G", top1_error="14.2")),
        "convnextv2_huge": Variant(Spec((3, 3, 27, 3), (352, 704, 1408, 2816), 0.1),
            params=660_289_640, params_10=657_500_810, macs=114_922_100_480,
            counted_in="timm:convnextv2_huge",
            published=Published(source=README, params="660M", macs="115G", top1_error="13.7")),
    },
)
# fmt: on
