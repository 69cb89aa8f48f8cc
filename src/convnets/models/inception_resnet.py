"""Inception-ResNet v1 and v2 (Szegedy, Ioffe, Vanhoucke and Alemi 2016, arXiv:1602.07261).

Inception modules as the branch of a residual block: cheaper modules, and training that is faster;
where they are wide, their output is scaled down before the sum, or training breaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.inception import (
    EPS,
    Branches,
    Conv,
    Fork,
    Steps,
    average_pool,
    first_convolutions,
    max_pool,
    max_pool_same,
    reduction_a,
    sequence,
)
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay


@dataclass(frozen=True)
class Spec:
    """What varies.

    The modules and stem of version 1 or 2, how often each module is repeated, the widths of a
    last convolution and of a layer before the classifier (0 for none), a multiplier of the
    modules' widths, and what a residual branch may have besides: squeeze-and-excitation with that
    reduction, and stochastic depth with that probability of dropping the last block.
    """

    version: Literal[1, 2]
    depths: tuple[int, int, int]
    final: int = 0
    embedding: int = 0
    width: float = 1.0
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


@dataclass(frozen=True)
class Version:
    """What the two versions do not share: the modules A, B and C, and the reductions to B and C."""

    modules: tuple[Fork, Fork, Fork]
    reductions: tuple[Fork, Fork]


# fmt: off
VERSIONS = {
    1: Version(
        modules=(
            Fork(  # Inception-ResNet-A (Fig. 10)
                (Conv(32),),
                (Conv(32), Conv(32, 3)),
                (Conv(32), Conv(32, 3), Conv(32, 3)),
            ),
            Fork((Conv(128),), (Conv(128), Conv(128, (1, 7)), Conv(128, (7, 1)))),  # B (Fig. 11)
            Fork((Conv(192),), (Conv(192), Conv(192, (1, 3)), Conv(192, (3, 1)))),  # C (Fig. 13)
        ),
        reductions=(
            reduction_a(192, 192, 256, 384),
            Fork(  # Reduction-B (Fig. 12)
                (Conv(256), Conv(384, 3, stride=2, valid=True)),
                (Conv(256), Conv(256, 3, stride=2, valid=True)),
                (Conv(256), Conv(256, 3), Conv(256, 3, stride=2, valid=True)),
                (max_pool,),
            ),
        ),
    ),
    2: Version(
        modules=(
            Fork(  # Inception-ResNet-A (Fig. 16)
                (Conv(32),),
                (Conv(32), Conv(32, 3)),
                (Conv(32), Conv(48, 3), Conv(64, 3)),
            ),
            Fork((Conv(192),), (Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1)))),  # B (Fig. 17)
            Fork((Conv(192),), (Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1)))),  # C (Fig. 19)
        ),
        reductions=(
            reduction_a(256, 256, 384, 384),
            Fork(  # Reduction-B (Fig. 18)
                (Conv(256), Conv(384, 3, stride=2, valid=True)),
                (Conv(256), Conv(288, 3, stride=2, valid=True)),
                (Conv(256), Conv(288, 3), Conv(320, 3, stride=2, valid=True)),
                (max_pool,),
            ),
        ),
    ),
}
# Differs: version 2 has the stem of Fig. 3 in the paper, with 384 maps. The authors' code, whose
# weights everybody uses, has that of Inception v3 and this module, with 320.
MIXED_5B = Fork(
    (Conv(96),),
    (Conv(48), Conv(64, 5)),
    (Conv(64), Conv(96, 3), Conv(96, 3)),
    (average_pool, Conv(64)),
)
# fmt: on
# The paper says between 0.1 and 0.3 (Section 3.3); these are of the authors' code.
SCALES = (0.17, 0.10, 0.20)


def stem(version: int, kind: Stem) -> Steps:
    """From 299x299 to 35x35 (Fig. 14); small images are padded, and halved once, at the end."""
    paper = kind == "paper"
    start = (
        *first_convolutions(kind),
        max_pool if paper else max_pool_same,
        Conv(80),
        Conv(192, 3, valid=paper),
    )
    if version == 1:
        return *start, Conv(256, 3, stride=2, valid=True)
    return *start, max_pool, MIXED_5B


class InceptionResidual(nn.Module):
    """An Inception module and a linear 1x1 back to the width of its input, added to that input.

    The 1x1 has a bias and no batch normalisation (Section 3.2); ``scale`` multiplies what it gives
    (Section 3.3, Fig. 20).
    """

    def __init__(
        self, channels: int, fork: Fork, spec: Spec, *, scale: float, survival: float, act: bool
    ) -> None:
        super().__init__()
        self.branches = Branches(channels, fork, spec.width)
        self.expand = nn.Conv2d(self.branches.out_channels, channels, 1)
        self.scale = scale
        self.squeeze = squeeze_by(spec.squeeze, channels)
        self.drop = StochasticDepth(survival)
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.squeeze(self.expand(self.branches(x)))
        out: Tensor = self.act(x + self.drop(self.scale * branch))
        return out


def head(channels: int, embedding: int, num_classes: int) -> nn.Sequential:
    """Global pooling, dropout (Fig. 15) and the classifier, behind an embedding if there is one."""
    if not embedding:
        return pooled_head(channels, num_classes, dropout=0.2)
    return stack(
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten(1)),
        ("dropout", nn.Dropout(0.2)),
        ("embedding", nn.Linear(channels, embedding, bias=False)),
        ("norm", nn.BatchNorm1d(embedding, eps=EPS)),
        ("fc", nn.Linear(embedding, num_classes)),
    )


class InceptionResNet(ConvNet):
    """The network of Fig. 15; a stage is its modules at one size of map, after the reduction."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        version = VERSIONS[spec.version]
        first, channels = sequence(in_chans, stem(spec.version, spec.stem), spec.width)
        self.features = stack(("stem", first))
        survivals = iter(linear_decay(sum(spec.depths), 1 - spec.stochastic_depth))
        for index, (depth, fork) in enumerate(zip(spec.depths, version.modules, strict=True)):
            stage = nn.Sequential()
            if index:
                reduction = Branches(channels, version.reductions[index - 1], spec.width)
                stage.add_module("reduction", reduction)
                channels = reduction.out_channels
            for block in range(1, depth + 1):
                # Differs: in the authors' code the last sum is of the plain branch, without ReLU.
                last = index == 2 and block == depth
                residual = InceptionResidual(
                    channels,
                    fork,
                    spec,
                    scale=1.0 if last else SCALES[index],
                    survival=next(survivals),
                    act=not last,
                )
                stage.add_module(f"block{block}", residual)
            self.features.add_module(f"stage{index + 1}", stage)
        if spec.final:
            self.features.add_module("final", conv_bn(channels, spec.final, 1, eps=EPS))
        self.head = head(spec.final or channels, spec.embedding, num_classes)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="inception_resnet", title="Inception-ResNet", year=2016,
    paper="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    url="https://arxiv.org/abs/1602.07261",
    network=InceptionResNet,
    pocket=Spec(2, (1, 1, 2), final=32, embedding=16, width=0.125, stem="small"),
    small_stem="all convolutions padded, the first two halvings of stride 1",
    variants={
        "inception_resnet_v1": Variant(Spec(1, (5, 10, 6), embedding=512), params=23_995_624,
            params_10=23_487_754, macs=6_308_235_360,
            counted_in="pytorchcv:inceptionresnetv1", input_size=299,
            note="as in FaceNet's code: six modules C where Fig. 15 has five, and 512 features "
                "before the classifier"),
        "inception_resnet_v2": Variant(Spec(2, (10, 20, 10), final=1536), params=55_843_464,
            params_10=54_321_834, macs=13_155_794_016, counted_in="timm:inception_resnet_v2",
            input_size=299,
            published=Published(source="tensorflow/models, slim README; counts: arXiv:1802.01548, "
                "Table 2", params="55.8M", macs="13.2G", top1_error="19.6", top5_error="4.7"),
            note="as in the authors' code: 10, 20 and 10 modules where Fig. 15 has 5, 10 and 5"),
    },
)
# fmt: on
