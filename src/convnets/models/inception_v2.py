"""Inception v2, or BN-Inception (Ioffe and Szegedy 2015, arXiv:1502.03167).

Batch normalisation keeps the distribution of every layer's input in place, so that a network
trains many times faster; here it is a GoogLeNet with two 3x3 convolutions for each 5x5.
``se_bn_inception`` adds squeeze-and-excitation to each module (Hu et al. 2017, arXiv:1709.01507,
Fig. 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import Convolution, SameConvolution, conv_bn, pooled_head
from convnets.layers.inception import (
    EPS,
    Branches,
    Conv,
    Fork,
    Step,
    average_pool,
    average_pool_padded,
    max_pool_same,
)
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.squeeze_excite import SqueezeExcite


@dataclass(frozen=True)
class Port:
    """How those who published weights write the network down.

    ``bias`` before batch normalisation, which undoes it; ``scale``, its gamma; ``same``, the
    padding of TensorFlow; ``separable``, the first convolution as 8 filters a channel and a 1x1.
    """

    bias: bool = False
    scale: bool = True
    same: bool = False
    separable: bool = False
    eps: float = EPS
    dropout: float = 0.0


# Differs: the statistics move by a tenth a step in all of them, as elsewhere in this package; those
# of slim take ten thousand steps to settle.
CAFFE = Port(bias=True, eps=1e-5)
SENET = Port(eps=1e-5)
SLIM = Port(scale=False, same=True, separable=True, dropout=0.2)
PLAIN = Port()


@dataclass(frozen=True)
class Module:
    """One row of Fig. 5: the maps of each branch, and of the 1x1 that reduces its input.

    Without maps behind its pooling, a module halves the map and hands the pooled input on.
    """

    one: int
    reduce_three: int
    three: int
    reduce_double: int
    double: int
    pool: Literal["avg", "max"]
    pooled: int

    def fork(self, *, padded: bool) -> Fork:
        """The four branches, or three in a module of stride 2; ``padded`` averages count zeros."""
        stride = 1 if self.pooled else 2
        pool: Step = average_pool_padded if padded else average_pool
        if self.pool == "max":
            pool = max_pool_same if self.pooled else Halve
        branches = (
            (Conv(self.reduce_three), Conv(self.three, 3, stride)),
            (Conv(self.reduce_double), Conv(self.double, 3), Conv(self.double, 3, stride)),
            (pool, Conv(self.pooled)) if self.pooled else (pool,),
        )
        return Fork((Conv(self.one),), *branches) if self.one else Fork(*branches)


# fmt: off
def figure_5(late: int) -> tuple[tuple[Module, ...], ...]:
    """The modules of each stage; ``late`` maps behind the pooling of 4c and 4d.

    The figure says 128 and its column of sizes 576, which 96 would give: Caffe ports took the
    first, the TensorFlow port the second.
    """
    return (
        (
            Module( 64,  64,  64,  64,  96, "avg", 32),
            Module( 64,  64,  96,  64,  96, "avg", 64),
        ),
        (
            Module(  0, 128, 160,  64,  96, "max", 0),
            Module(224,  64,  96,  96, 128, "avg", 128),
            Module(192,  96, 128,  96, 128, "avg", 128),
            Module(160, 128, 160, 128, 160, "avg", late),
            Module( 96, 128, 192, 160, 192, "avg", late),
        ),
        (
            Module(  0, 128, 192, 192, 256, "max", 0),
            Module(352, 192, 320, 160, 224, "avg", 128),
            Module(352, 192, 320, 192, 224, "max", 128),
        ),
    )


NAMES = (("3a", "3b"), ("3c", "4a", "4b", "4c", "4d"), ("4e", "5a", "5b"))
# fmt: on


@dataclass(frozen=True)
class Spec:
    """What varies: the modules, who wrote them down, and the reduction of squeeze-and-excitation.

    ``stem_maps`` are those after conv1 and conv2.
    """

    stages: tuple[tuple[Module, ...], ...] = figure_5(128)
    port: Port = PLAIN
    squeeze: int = 0
    stem_maps: tuple[int, int] = (64, 192)
    stem: Stem = "paper"


class Halve(nn.MaxPool2d):
    """Maximum over 3x3 with stride 2, to half of an even side and to the larger half of an odd one.

    So it fits the padded convolution of stride 2 beside it at any size.
    """

    def __init__(self) -> None:
        super().__init__(3, stride=2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        odd = (x.shape[-2] % 2, x.shape[-1] % 2)
        return F.max_pool2d(x, 3, stride=2, padding=odd, ceil_mode=True)


def convolution(
    port: Port,
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: int | None = None,
) -> nn.Module:
    """Convolution, batch normalisation and ReLU, as the port has them."""
    block = conv_bn(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=padding,
        bias=port.bias,
        eps=port.eps,
        convolution=SameConvolution if port.same else Convolution,
    )
    if not port.scale:
        # ReLU hands a scale on to the next convolution, which can take it in.
        block.get_submodule("norm").register_parameter("weight", None)
    return block


class Inception(nn.Module):
    """The branches of one module, and squeeze-and-excitation on what they give together."""

    def __init__(self, in_channels: int, row: Module, spec: Spec) -> None:
        super().__init__()
        fork = row.fork(padded=not spec.port.same)
        make = partial(convolution, spec.port)
        self.branches = Branches(in_channels, fork, convolution=make)
        self.out_channels = self.branches.out_channels
        hidden = self.out_channels // spec.squeeze if spec.squeeze else 0
        self.squeeze = SqueezeExcite(self.out_channels, hidden) if hidden else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.squeeze(self.branches(x))
        return out


def stem(in_chans: int, spec: Spec) -> nn.Sequential:
    """As in GoogLeNet; for small images conv1 is 3x3 of stride 1, without poolings."""
    small = spec.stem == "small"
    first, second = spec.stem_maps
    kernel, stride = (3, 1) if small else (7, 2)
    make = partial(convolution, spec.port)
    conv1 = make(in_chans, first, kernel, stride=stride)
    if spec.port.separable:
        depthwise = SameConvolution(
            in_chans, 8 * in_chans, kernel, stride=stride, groups=in_chans, bias=False
        )
        conv1 = stack(("depthwise", depthwise), ("pointwise", make(8 * in_chans, first, 1)))
    return stack(
        ("conv1", conv1),
        ("pool1", nn.Identity() if small else Halve()),
        ("reduce", make(first, first, 1)),
        ("conv2", make(first, second, 3)),
        ("pool2", nn.Identity() if small else Halve()),
    )


class InceptionV2(ConvNet):
    """The network of Fig. 5; a stage is its modules at one size of map."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        self.features = stack(("stem", stem(in_chans, spec)))
        channels = spec.stem_maps[1]
        for index, (rows, names) in enumerate(zip(spec.stages, NAMES, strict=True), start=1):
            stage = nn.Sequential()
            for row, name in zip(rows, names, strict=False):
                module = Inception(channels, row, spec)
                stage.add_module(f"inception_{name}", module)
                channels = module.out_channels
            self.features.add_module(f"stage{index}", stage)
        self.head = pooled_head(channels, num_classes, dropout=spec.port.dropout)
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
POCKET = (
    (Module(8, 4, 8, 4, 8, "avg", 8),),
    (Module(0, 4, 8, 4, 8, "max", 0),),
    (Module(8, 4, 8, 4, 8, "max", 8),),
)
FAMILY = Family(
    name="inception_v2", title="Inception v2", year=2015,
    paper="Batch Normalization: Accelerating Deep Network Training by Reducing Internal "
        "Covariate Shift",
    url="https://arxiv.org/abs/1502.03167",
    network=InceptionV2,
    pocket=Spec(POCKET, SLIM, squeeze=4, stem_maps=(8, 16), stem="small"),
    small_stem="conv1 is 3x3 of stride 1, no pooling before the first module",
    variants={
        "bn_inception": Variant(Spec(port=CAFFE), params=11_295_240, params_10=10_280_490,
            macs=2_032_600_064, counted_in="pytorchcv:bninception",
            published=Published(source="Figure 4, single crop", top1_error="25.2",
                top5_error="7.82"),
            note="as in Caffe: 10,016 biases before batch normalisation, which undoes them"),
        "inception_v2_slim": Variant(Spec(figure_5(96), SLIM), params=11_178_336,
            params_10=10_163_586, macs=1_934_857_216,
            counted_in="derived: tensorflow/models, slim inception_v2.py",
            published=Published(source="tensorflow/models, slim README", top1_error="26.1",
                top5_error="8.2"),
            note="separable first convolution, no gamma"),
        "inception_v2_plain_bn": Variant(Spec(figure_5(96), PLAIN), params=11_194_984,
            params_10=10_180_234, macs=2_018_851_840,
            counted_in="derived: slim's modules, a plain 7x7 and gamma",
            note="slim's modules with a plain first convolution and gamma"),
        "se_bn_inception": Variant(Spec(port=SENET, squeeze=16), params=11_931_622,
            params_10=10_916_872, macs=2_033_239_424,
            counted_in="derived: bn_inception without its biases, and 2 C^2/16 + C + C/16 a module",
            published=Published(source="hujie-frank/SENet README", top1_error="23.62",
                top5_error="7.04"),
            note="squeeze-and-excitation with biases after all ten modules, as in the authors' "
                "network"),
    },
)
# fmt: on
