"""Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929): a comparator, no ConvNet.

An image is cut into patches, each patch is a word, and a plain transformer reads them; what a
convolution knows of neighbourhood is left to be learnt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.attention import Attention, feed_forward
from convnets.layers.initialise import initialise_truncated
from convnets.layers.network import ConvNet, stack
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay

EPS = 1e-6
HEAD_WIDTH = 64
IMAGE = 224
SMALL_IMAGE = 32
SMALL_PATCH = 4


@dataclass(frozen=True)
class Spec:
    """What varies: blocks, width of a token (Table 1), side of a patch in pixels."""

    depth: int
    width: int
    patch: int = 16
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


class Embedding(nn.Module):
    """Patches as tokens, a class token before them, and a learnt position added (Eq. 1).

    Returns (batch, 1 + patches, width). ``side`` is how many patches an image of the usual size
    has in a row; for other sizes the positions are interpolated (Section 3.2).
    """

    def __init__(self, in_chans: int, width: int, patch: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.patches = nn.Conv2d(in_chans, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.empty(1, 1 + side**2, width))
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patches(images)
        first = self.class_token.expand(images.shape[0], -1, -1)
        tokens = torch.cat((first, patches.flatten(2).transpose(1, 2)), 1)
        return tokens + self.positions(*patches.shape[-2:])

    def positions(self, rows: int, columns: int) -> Tensor:
        """The positions of a grid of patches, after the class token's; bicubic, antialiased."""
        if rows == columns == self.side:
            return self.position
        first, grid = self.position.tensor_split([1], dim=1)
        grid = grid.transpose(1, 2).reshape(1, -1, self.side, self.side)
        grid = F.interpolate(grid, (rows, columns), mode="bicubic", antialias=True)
        return torch.cat((first, grid.flatten(2).transpose(1, 2)), 1)


class Block(nn.Module):
    """Attention, then two linear layers on each token; each on a norm, beside a sum (Fig. 1)."""

    def __init__(self, width: int, survival: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attention = Attention(width, width // HEAD_WIDTH)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        # Differs: no dropout here or after the embedding, where the paper has 0.1 on ImageNet.
        self.feed_forward = feed_forward(width)
        self.drop = StochasticDepth(survival)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x)))
        out: Tensor = x + self.drop(self.feed_forward(self.norm2(x)))
        return out


class ClassToken(nn.Module):
    """Pick the first of the tokens (batch, tokens, width), which stands for the image."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


class VisionTransformer(ConvNet):
    """The network of Fig. 1: one stage, whose maps are tokens (batch, 1 + patches, width)."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        small = spec.stem == "small"
        patch, image = (SMALL_PATCH, SMALL_IMAGE) if small else (spec.patch, IMAGE)
        embedding = Embedding(in_chans, spec.width, patch, image // patch)
        stage = nn.Sequential()
        survivals = linear_decay(spec.depth, 1 - spec.stochastic_depth)
        for index, survival in enumerate(survivals, start=1):
            stage.add_module(f"block{index}", Block(spec.width, survival))
        self.features = stack(("stem", embedding), ("stage1", stage))
        self.head = stack(
            ("token", ClassToken()),
            ("norm", nn.LayerNorm(spec.width, eps=EPS)),
            ("fc", nn.Linear(spec.width, num_classes)),
        )
        # Differs: the paper's head starts at 0 where it is tuned on new data.
        initialise_truncated(self)


# fmt: off
TORCHVISION = "torchvision, IMAGENET1K_V1"
DEIT = "facebookresearch/deit README"
FAMILY = Family(
    name="vit", title="ViT", year=2020,
    paper="An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
    url="https://arxiv.org/abs/2010.11929",
    network=VisionTransformer, pocket=Spec(2, 64, stochastic_depth=0.1, stem="small"),
    small_stem="patches of 4x4 pixels, positions for 8x8 of them",
    variants={
        "vit_ti_16": Variant(Spec(12, 192), params=5_717_416, params_10=5_526_346,
            macs=1_253_683_200, counted_in="timm:vit_tiny_patch16_224",
            published=Published(source=DEIT, params="5M", top1_error="27.8", top5_error="8.9"),
            note="the shape is DeiT-Ti's (arXiv:2012.12877)"),
        "vit_s_16": Variant(Spec(12, 384), params=22_050_664, params_10=21_669_514,
            macs=4_598_882_304, counted_in="timm:vit_small_patch16_224",
            published=Published(source=DEIT, params="22M", top1_error="20.1", top5_error="5.0"),
            note="the shape is DeiT-S's (arXiv:2012.12877)"),
        "vit_b_16": Variant(Spec(12, 768), params=86_567_656, params_10=85_806_346,
            macs=17_563_828_224, counted_in="torchvision:vit_b_16",
            published=Published(source=TORCHVISION, params="86567656", macs="17.564G",
                top1_error="18.928", top5_error="4.682")),
        "vit_b_32": Variant(Spec(12, 768, 32), params=88_224_232, params_10=87_462_922,
            macs=4_409_186_304, counted_in="torchvision:vit_b_32",
            published=Published(source=TORCHVISION, params="88224232", macs="4.409G",
                top1_error="24.088", top5_error="7.534")),
        "vit_l_16": Variant(Spec(24, 1024), params=304_326_632, params_10=303_311_882,
            macs=61_554_712_576, counted_in="torchvision:vit_l_16",
            published=Published(source=TORCHVISION, params="304326632", macs="61.555G",
                top1_error="20.338", top5_error="5.362"),
            note="Table 1 prints 307M parameters"),
    },
)
# fmt: on
