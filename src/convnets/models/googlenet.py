"""GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842).

Inception modules look at one map with several kernel sizes at once, behind 1x1 convolutions that
keep the cost in bounds. ``googlenet`` is the network of 2014. ``googlenet_bn`` is the form people
run today: batch normalisation in place of biases and local response normalisation, and a 3x3
kernel where the paper has 5x5. The ``_aux`` rows have the two auxiliary classifiers of Section 5,
whose losses the paper adds to the network's own with a weight of 0.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from torch import nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.auxiliary import AuxiliaryConvNet, AuxiliaryPool
from convnets.layers.conv import conv_relu, pooled_head
from convnets.layers.inception import Branches, Conv, Fork, Steps, inception_conv, max_pool_same
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import stack
from convnets.layers.response_norm import ResponseNorm


@dataclass(frozen=True)
class Module:
    """One row of Table 1: the maps of each branch, and of the 1x1 that reduces its input.

    0 in place of a 1x1 leaves it out.
    """

    one: int
    reduce_three: int
    three: int
    reduce_five: int
    five: int
    pooled: int

    def fork(self, kernel_five: int) -> Fork:
        """The branches of Fig. 2b; without the 1x1 before, or after the pooling, of Fig. 2a."""
        return Fork(
            (Conv(self.one),),
            (*reduction(self.reduce_three), Conv(self.three, 3)),
            (*reduction(self.reduce_five), Conv(self.five, kernel_five)),
            (max_pool_same, *reduction(self.pooled)),
        )


def reduction(maps: int) -> Steps:
    """A 1x1 convolution, unless it has no maps."""
    return (Conv(maps),) if maps else ()


@dataclass(frozen=True)
class Form:
    """What the network of 2014 and its port do differently."""

    batch_norm: bool
    kernel_five: int
    last_pool: int
    dropout: float


PAPER = Form(batch_norm=False, kernel_five=5, last_pool=3, dropout=0.4)
# Differs: all four, as in the TensorFlow port and torchvision.
PORT = Form(batch_norm=True, kernel_five=3, last_pool=2, dropout=0.2)
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
    """What varies: the modules of each stage, the form, and the stem's maps after conv1 and conv2.

    ``auxiliary`` is the width of the auxiliary classifiers' hidden layer, 0 for none of them.
    """

    stages: tuple[tuple[Module, ...], ...] = TABLE_1
    form: Form = PAPER
    stem_maps: tuple[int, int] = (64, 192)
    auxiliary: int = 0
    stem: Stem = "paper"


# The network as Fig. 2a would have it, which Section 4 turns down: every module hands the maps of
# its input on beside its own, and the wide kernels see them all.
NAIVE = Spec(
    tuple(
        tuple(replace(row, reduce_three=0, reduce_five=0, pooled=0) for row in rows)
        for rows in TABLE_1
    )
)


def biased_conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, padding: int | None = None
) -> nn.Module:
    """Convolution with bias, and ReLU; padded to keep the size at stride 1."""
    padding = kernel // 2 if padding is None else padding
    return conv_relu(in_channels, out_channels, kernel, stride=stride, padding=padding)


def convolution(form: Form) -> Callable[..., nn.Module]:
    """What makes the convolutions of a form."""
    return inception_conv if form.batch_norm else biased_conv


def halve(kernel: int) -> nn.MaxPool2d:
    """Max pooling of stride 2 that rounds an odd size up (112 -> 56 -> 28 -> 14 -> 7)."""
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def local_norm(form: Form) -> nn.Module:
    """Local response normalisation (Fig. 3), which a batch-normalised network goes without."""
    if form.batch_norm:
        return nn.Identity()
    # The constants are Caffe's, which divides alpha by the size; the paper gives none.
    return ResponseNorm(5, alpha=1e-4 / 5, beta=0.75, k=1.0)


def stem(in_chans: int, spec: Spec) -> nn.Sequential:
    """The first rows of Table 1; for small images conv1 is 3x3 of stride 1, without poolings."""
    small = spec.stem == "small"
    first, second = spec.stem_maps
    kernel, stride = (3, 1) if small else (7, 2)
    make = convolution(spec.form)
    return stack(
        ("conv1", make(in_chans, first, kernel, stride=stride)),
        ("pool1", nn.Identity() if small else halve(3)),
        ("norm1", local_norm(spec.form)),
        ("reduce", make(first, first, 1)),
        ("conv2", make(first, second, 3)),
        ("norm2", local_norm(spec.form)),
        ("pool2", nn.Identity() if small else halve(3)),
    )


def auxiliary_head(in_channels: int, hidden: int, num_classes: int, *, form: Form) -> nn.Sequential:
    """4x4 averages, 128 maps, a hidden layer and a classifier (Section 5)."""
    # Differs: torchvision pools in equal parts also where the paper's windows fit.
    pool = nn.AdaptiveAvgPool2d(4) if form.batch_norm else AuxiliaryPool(4)
    return stack(
        ("pool", pool),
        ("conv", convolution(form)(in_channels, 128, 1)),
        ("flatten", nn.Flatten(1)),
        ("fc1", nn.Linear(128 * 4 * 4, hidden)),
        ("act", nn.ReLU(inplace=True)),
        ("dropout", nn.Dropout(0.7)),
        ("fc2", nn.Linear(hidden, num_classes)),
    )


class GoogLeNet(AuxiliaryConvNet):
    """The network of Table 1; stages 1, 2 and 3 hold its modules 3a-3b, 4a-4e and 5a-5b."""

    taps: ClassVar = {
        "inception_4a": "features.stage2.inception_a",
        "inception_4d": "features.stage2.inception_d",
    }

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        form = spec.form
        self.features = stack(("stem", stem(in_chans, spec)))
        channels = spec.stem_maps[1]
        widths: dict[str, int] = {}
        for index, rows in enumerate(spec.stages, start=1):
            stage = nn.Sequential()
            if index > 1:
                stage.add_module("pool", halve(3 if index == 2 else form.last_pool))
            for letter, row in zip("abcde", rows, strict=False):
                module = Branches(
                    channels, row.fork(form.kernel_five), convolution=convolution(form)
                )
                stage.add_module(f"inception_{letter}", module)
                channels = module.out_channels
                widths[f"features.stage{index}.inception_{letter}"] = channels
            self.features.add_module(f"stage{index}", stage)
        self.head = pooled_head(channels, num_classes, dropout=form.dropout)
        # The paper does not say how its weights start.
        initialise_he2015(self)
        if spec.auxiliary:
            make = partial(
                auxiliary_head, hidden=spec.auxiliary, num_classes=num_classes, form=form
            )
            self.add_auxiliary({name: make(widths[tap]) for name, tap in self.taps.items()})


# fmt: off
PUBLISHED = Published(source="Section 1; Table 3, 1 model and 1 crop", macs="1.5G",
    top5_error="10.07")
PORTED = Published(source="torchvision IMAGENET1K_V1", top1_error="30.222", top5_error="10.470")
FAMILY = Family(
    name="googlenet", title="GoogLeNet", year=2014,
    paper="Going Deeper with Convolutions", url="https://arxiv.org/abs/1409.4842",
    network=GoogLeNet,
    pocket=Spec(
        ((Module(8, 0, 8, 0, 4, 0),), (Module(8, 4, 8, 4, 4, 4),) * 4),
        PORT, stem_maps=(8, 16), auxiliary=32),
    small_stem="conv1 is 3x3 of stride 1, no pooling before the first module",
    variants={
        "googlenet": Variant(Spec(), params=6_998_552, params_10=5_983_802,
            macs=1_582_671_872, counted_in="derived: Table 1 with biases, as BVLC's Caffe model",
            published=PUBLISHED, note="the network of 2014, without the auxiliary classifiers"),
        "googlenet_aux": Variant(Spec(auxiliary=1024), params=13_378_280, params_10=10_334_030,
            macs=1_582_671_872, counted_in="derived: Table 1 with biases, as BVLC's Caffe model",
            published=PUBLISHED, note="multiply-adds are those of a prediction"),
        "googlenet_bn": Variant(Spec(form=PORT), params=6_624_904, params_10=5_610_154,
            macs=1_498_376_192, counted_in="torchvision:googlenet(aux_logits=False)",
            published=PORTED,
            note="batch normalisation; 3x3 where the paper has 5x5; no auxiliary classifiers"),
        "googlenet_bn_aux": Variant(Spec(form=PORT, auxiliary=1024), params=13_004_888,
            params_10=9_960_638, macs=1_498_376_192,
            counted_in="torchvision:googlenet(aux_logits=True)", published=PORTED,
            note="googlenet_bn with auxiliary classifiers; multiply-adds are those of a "
                "prediction"),
    },
)
# fmt: on
