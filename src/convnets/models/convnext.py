"""ConvNeXt (Liu, Mao, Wu, Feichtenhofer, Darrell and Xie 2022, arXiv:2201.03545).

A ResNet rebuilt step by step with what Swin Transformers do, patches, wide depthwise kernels and
few norms, matches them with convolutions alone. The steps themselves are in ``ladder``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import Convolution
from convnets.layers.initialise import initialise_truncated
from convnets.layers.network import ConvNet, stack
from convnets.layers.patchify import EPS, normed_head, patches, trunk
from convnets.layers.stochastic_depth import StochasticDepth

LAYER_SCALE = 1e-6


@dataclass(frozen=True)
class Spec:
    """What varies: depth and width of each stage, and how often the last block is dropped.

    ``isotropic`` is the form of Section 3.3, as a vision transformer has it: one resolution, from
    patches of 16 pixels that no norm follows, and no LayerScale.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stochastic_depth: float
    isotropic: bool = False
    stem: Stem = "paper"


class Block(nn.Module):
    """Depthwise 7x7, then at each pixel a norm and two linear layers, four times wider between.

    ``Linear`` on channels-last maps is the 1x1 convolution of Fig. 4, and faster.
    """

    def __init__(self, width: int, survival: float, *, scaled: bool = True) -> None:
        super().__init__()
        scale = nn.Parameter(torch.full((width, 1, 1), LAYER_SCALE))
        self.layer_scale = scale if scaled else None
        self.depthwise = Convolution(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.expand = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.project = nn.Linear(4 * width, width)
        self.drop = StochasticDepth(survival)

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        branch = self.project(self.act(self.expand(pixels))).permute(0, 3, 1, 2)
        kept: Tensor = self.drop(branch)
        return x + kept if self.layer_scale is None else torch.addcmul(x, kept, self.layer_scale)


class ConvNeXt(ConvNet):
    """The network of Table 9, or with ``isotropic`` that of Section 3.3."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        width = spec.widths[0]
        if spec.isotropic:
            side = 2 if spec.stem == "small" else 16
            stem = stack(("conv", nn.Conv2d(in_chans, width, side, stride=side)))
        else:
            stem = patches(in_chans, width, 2 if spec.stem == "small" else 4)
        block = partial(Block, scaled=not spec.isotropic)
        self.features = trunk(stem, spec.depths, spec.widths, spec.stochastic_depth, block)
        self.head = normed_head(spec.widths[-1], num_classes)
        initialise_truncated(self)


# fmt: off
README = "facebookresearch/ConvNeXt README, trained at 224"
IMAGENET_22K = "ConvNeXt README, pre-trained on ImageNet-22K"
# Stochastic depth is that of the repository's TRAINING.md: for XL the rate of its pre-training.
FAMILY = Family(
    name="convnext", title="ConvNeXt", year=2022,
    paper="A ConvNet for the 2020s", url="https://arxiv.org/abs/2201.03545",
    network=ConvNeXt, pocket=Spec((1, 1), (16, 32), stochastic_depth=0.1, stem="small"),
    small_stem="patches of 2x2 pixels",
    variants={
        "convnext_tiny": Variant(Spec((3, 3, 9, 3), (96, 192, 384, 768), 0.1),
            params=28_589_128, params_10=27_827_818, macs=4_455_531_264,
            counted_in="torchvision:convnext_tiny",
            published=Published(source=README, params="28M", macs="4.5G", top1_error="17.9")),
        "convnext_small": Variant(Spec((3, 3, 27, 3), (96, 192, 384, 768), 0.4),
            params=50_223_688, params_10=49_462_378, macs=8_683_712_256,
            counted_in="torchvision:convnext_small",
            published=Published(source=README, params="50M", macs="8.7G", top1_error="16.9")),
        "convnext_base": Variant(Spec((3, 3, 27, 3), (128, 256, 512, 1024), 0.5),
            params=88_591_464, params_10=87_576_714, macs=15_354_729_472,
            counted_in="torchvision:convnext_base",
            published=Published(source=README, params="89M", macs="15.4G", top1_error="16.2")),
        "convnext_large": Variant(Spec((3, 3, 27, 3), (192, 384, 768, 1536), 0.5),
            params=197_767_336, params_10=196_245_706, macs=34_361_433_600,
            counted_in="torchvision:convnext_large",
            published=Published(source=README, params="198M", macs="34.4G", top1_error="15.7")),
        "convnext_xlarge": Variant(Spec((3, 3, 27, 3), (256, 512, 1024, 2048), 0.2),
            params=350_196_968, params_10=348_168_458, macs=60_921_030_656,
            counted_in="timm:convnext_xlarge",
            published=Published(source=IMAGENET_22K, params="350M", macs="60.9G",
                top1_error="13.0")),
        "convnext_iso_small": Variant(Spec((18,), (384,), 0.1, isotropic=True),
            params=22_308_712, params_10=21_927_562, macs=4_286_367_744,
            counted_in="facebookresearch/ConvNeXt:convnext_isotropic_small",
            published=Published(source=README, params="22M", macs="4.3G", top1_error="21.3")),
        "convnext_iso_base": Variant(Spec((18,), (768,), 0.2, isotropic=True),
            params=87_083_752, params_10=86_322_442, macs=16_896_331_776,
            counted_in="facebookresearch/ConvNeXt:convnext_isotropic_base",
            published=Published(source=README, params="87M", macs="16.9G", top1_error="18.0")),
        "convnext_iso_large": Variant(Spec((36,), (1024,), 0.5, isotropic=True),
            params=305_905_640, params_10=304_890_890, macs=59_699_224_576,
            counted_in="facebookresearch/ConvNeXt:convnext_isotropic_large",
            published=Published(source=README, params="306M", macs="59.7G", top1_error="17.4"),
            note="as the authors' code builds it; TRAINING.md trains this one with LayerScale"),
    },
)
# fmt: on
