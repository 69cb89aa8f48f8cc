"""ShuffleNet (Zhang, Zhou, Lin and Sun 2017, arXiv:1707.01083).

The 1x1 convolutions, which cost most in a small network, work in groups too; a shuffle of the
channels lets the groups hear of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.channel_shuffle import ChannelShuffle
from convnets.layers.conv import conv_bn
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.squeeze_excite import SqueezeExcite
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay

TABLE_1_DEPTHS = (4, 8, 4)


@dataclass(frozen=True)
class Spec:
    """What varies: groups and width of stage 2 (Table 1), and the stem's width as it is scaled.

    ``squeeze`` is the reduction of squeeze-and-excitation (Table 5), 0 for none;
    ``stochastic_depth`` how often the last unit is dropped. ``bias`` is the classifier's: the paper
    says nothing of it, and the authors' later code, which has the rows by scale, has none.
    """

    groups: int
    width: int
    stem_width: int = 24
    depths: tuple[int, ...] = TABLE_1_DEPTHS
    bias: bool = True
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


class Unit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1, beside a shortcut (Fig. 2b and 2c).

    Where the stride is 2 the shortcut is pooled and joined as further channels, not added. The
    authors' later code joins it in front of the branch, and shuffles the other way round.
    """

    def __init__(
        self, in_channels: int, out_channels: int, spec: Spec, *, stride: int, survival: float
    ) -> None:
        super().__init__()
        hidden = out_channels // 4
        self.joins = stride == 2
        branch = out_channels - in_channels if self.joins else out_channels
        # The stem hands on too few channels to be split in groups (Section 3.3).
        first_groups = 1 if in_channels == spec.stem_width else spec.groups
        self.reduce = conv_bn(in_channels, hidden, 1, groups=first_groups)
        self.shuffle = ChannelShuffle(spec.groups)
        self.depthwise = conv_bn(hidden, hidden, 3, stride=stride, groups=hidden, act=None)
        self.expand = conv_bn(hidden, branch, 1, groups=spec.groups, act=None)
        self.squeeze = (
            SqueezeExcite(branch, branch // spec.squeeze) if spec.squeeze else nn.Identity()
        )
        self.drop = nn.Identity() if self.joins else StochasticDepth(survival)
        self.shortcut = nn.AvgPool2d(3, stride=2, padding=1) if self.joins else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.squeeze(self.expand(self.depthwise(self.shuffle(self.reduce(x)))))
        branch, shortcut = self.drop(branch), self.shortcut(x)
        out: Tensor = self.act(
            torch.cat((branch, shortcut), 1) if self.joins else branch + shortcut
        )
        return out


def stem(in_chans: int, width: int, kind: Stem) -> nn.Sequential:
    """3x3 stride 2 and 3x3 pooling (Table 1), or for small images the convolution alone."""
    if kind == "small":
        return stack(("conv", conv_bn(in_chans, width, 3)))
    return stack(
        ("conv", conv_bn(in_chans, width, 3, stride=2)),
        ("pool", nn.MaxPool2d(3, stride=2, padding=1)),
    )


class ShuffleNet(ConvNet):
    """The network of Table 1, whose stages 2 to 4 are ``stage1`` to ``stage3`` here."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        survivals = iter(linear_decay(sum(spec.depths), 1 - spec.stochastic_depth))
        self.features = stack(("stem", stem(in_chans, spec.stem_width, spec.stem)))
        channels = spec.stem_width
        for index, depth in enumerate(spec.depths):
            out_channels = spec.width * 2**index
            stage = nn.Sequential()
            for block in range(depth):
                unit = Unit(
                    channels,
                    out_channels,
                    spec,
                    stride=1 if block else 2,
                    survival=next(survivals),
                )
                stage.add_module(f"block{block + 1}", unit)
                channels = out_channels
            self.features.add_module(f"stage{index + 1}", stage)
        self.head = stack(
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten(1)),
            ("fc", nn.Linear(channels, num_classes, bias=spec.bias)),
        )
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
PAPER = "Tables 1 and 2"
README = "megvii-model/ShuffleNet-Series, ShuffleNetV1 README"
FAMILY = Family(
    name="shufflenet_v1", title="ShuffleNet", year=2017,
    paper="ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
    url="https://arxiv.org/abs/1707.01083",
    network=ShuffleNet,
    pocket=Spec(2, 16, stem_width=8, depths=(2, 1), squeeze=2, stochastic_depth=0.1, stem="small"),
    small_stem="3x3 convolution of stride 1, no pooling",
    variants={
        "shufflenet_v1_g1": Variant(Spec(1, 144), params=1_531_936, params_10=960_706,
            macs=143_078_976, counted_in="pytorchcv:shufflenet_g1_w1",
            published=Published(source=PAPER, macs="143M", top1_error="33.6")),
        "shufflenet_v1_g2": Variant(Spec(2, 200), params=1_733_848, params_10=940_858,
            macs=140_836_512, counted_in="pytorchcv:shufflenet_g2_w1",
            published=Published(source=PAPER, macs="140M", top1_error="32.7")),
        "shufflenet_v1_g3": Variant(Spec(3, 240), params=1_865_728, params_10=914_338,
            macs=137_460_672, counted_in="pytorchcv:shufflenet_g3_w1",
            published=Published(source=PAPER, macs="137M", top1_error="32.6")),
        "shufflenet_v1_g4": Variant(Spec(4, 272), params=1_968_344, params_10=890_234,
            macs=134_339_776, counted_in="pytorchcv:shufflenet_g4_w1",
            published=Published(source=PAPER, top1_error="32.8"),
            note="Table 1 prints 133M multiply-adds"),
        "shufflenet_v1_g8": Variant(Spec(8, 384), params=2_434_768, params_10=913_138,
            macs=138_365_952, counted_in="pytorchcv:shufflenet_g8_w1",
            published=Published(source=PAPER, top1_error="32.4"),
            note="Table 1 prints 137M multiply-adds"),
        "shufflenet_v1_g3_x0_5": Variant(Spec(3, 120, stem_width=12, bias=False), params=717_324,
            params_10=242_124, macs=37_589_856, counted_in="megvii-model:ShuffleNetV1 0.5x group 3",
            published=Published(source=README, params="0.7M", macs="38M", top1_error="42.7",
                top5_error="20.0")),
        "shufflenet_v1_g8_x0_5": Variant(Spec(8, 192, stem_width=16, bias=False), params=1_010_448,
            params_10=250_128, macs=40_469_760, counted_in="megvii-model:ShuffleNetV1 0.5x group 8",
            published=Published(source=README, params="1.0M", macs="40M", top1_error="41.2",
                top5_error="19.0")),
        "shufflenet_v1_g3_x1_5": Variant(Spec(3, 360, bias=False), params=3_441_168,
            params_10=2_015_568, macs=292_443_552,
            counted_in="megvii-model:ShuffleNetV1 1.5x group 3",
            published=Published(source=README, params="3.4M", macs="292M", top1_error="28.4",
                top5_error="9.8")),
        "shufflenet_v1_g8_x1_5": Variant(Spec(8, 576, bias=False), params=4_268_952,
            params_10=1_987_992, macs=290_188_800,
            counted_in="megvii-model:ShuffleNetV1 1.5x group 8",
            published=Published(source=README, params="4.3M", macs="290M", top1_error="29.0",
                top5_error="10.4")),
        "shufflenet_v1_g3_x2_0": Variant(Spec(3, 480, stem_width=48, bias=False), params=5_449_776,
            params_10=3_548_976, macs=524_045_184,
            counted_in="megvii-model:ShuffleNetV1 2.0x group 3",
            published=Published(source=README, params="5.4M", macs="524M", top1_error="25.9",
                top5_error="8.6")),
        "shufflenet_v1_g8_x2_0": Variant(Spec(8, 768, stem_width=48, bias=False), params=6_521_232,
            params_10=3_479_952, macs=521_942_016,
            counted_in="megvii-model:ShuffleNetV1 2.0x group 8",
            published=Published(source=README, params="6.5M", macs="522M", top1_error="27.1",
                top5_error="9.2")),
    },
)
# fmt: on
