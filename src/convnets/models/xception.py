"""Xception (Chollet 2016, arXiv:1610.02357).

An Inception module taken to its end is a depthwise separable convolution, which looks at space and
at channels one after the other; Xception is 36 such layers with residual connections.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from convnets.catalog import Family, Published, Stem, Variant
from convnets.layers.conv import conv_bn, pooled_head
from convnets.layers.initialise import initialise_he2015
from convnets.layers.network import ConvNet, stack
from convnets.layers.residual import projection
from convnets.layers.separable import separable_conv
from convnets.layers.squeeze_excite import squeeze_by
from convnets.layers.stochastic_depth import StochasticDepth, linear_decay


@dataclass(frozen=True)
class Spec:
    """What varies: the widths of Fig. 5, and how many blocks the middle flow has.

    ``exit`` is the width of the last block and of the two convolutions after it. A residual branch
    may have squeeze-and-excitation with the reduction ``squeeze``, and ``stochastic_depth`` is
    the probability of dropping the last block.
    """

    stem_widths: tuple[int, int] = (32, 64)
    entry: tuple[int, ...] = (128, 256, 728)
    middle: int = 8
    exit: tuple[int, int, int] = (1024, 1536, 2048)
    squeeze: int = 0
    stochastic_depth: float = 0.0
    stem: Stem = "paper"


class Block(nn.Module):
    """ReLU, separable convolution and batch normalisation for each of ``widths``, and a shortcut.

    With a stride, 3x3 maximum pooling follows the branch, and the shortcut is a 1x1 convolution.
    """

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, ...],
        *,
        stride: int = 1,
        squeeze: int,
        survival: float,
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential()
        channels = in_channels
        for index, width in enumerate(widths):
            unit = stack(
                # The first ReLU may not write over the input, which the shortcut needs. Fig. 5
                # leaves it out of the first block, whose input has passed one already.
                ("act", nn.ReLU(inplace=index > 0)),
                ("conv", separable_conv(channels, width, 3)),
                ("norm", nn.BatchNorm2d(width)),
            )
            self.branch.add_module(f"unit{index + 1}", unit)
            channels = width
        if stride > 1:
            # Differs: the author's code pads even sides to the right and below alone (SAME).
            self.branch.add_module("pool", nn.MaxPool2d(3, stride=stride, padding=1))
        self.squeeze = squeeze_by(squeeze, channels)
        self.drop = StochasticDepth(survival)
        self.shortcut = projection(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.drop(self.squeeze(self.branch(x))) + self.shortcut(x)
        return out


def stem(in_chans: int, widths: tuple[int, int], kind: Stem) -> nn.Sequential:
    """Two 3x3 convolutions without padding (Fig. 5); for small images padded and of stride 1."""
    stride, padding = (2, 0) if kind == "paper" else (1, None)
    first, second = widths
    return stack(
        ("conv1", conv_bn(in_chans, first, 3, stride=stride, padding=padding)),
        ("conv2", conv_bn(first, second, 3, padding=padding)),
    )


def separable_bn(in_channels: int, out_channels: int) -> nn.Sequential:
    """A separable convolution of the exit flow."""
    return stack(
        ("conv", separable_conv(in_channels, out_channels, 3)),
        ("norm", nn.BatchNorm2d(out_channels)),
        ("act", nn.ReLU(inplace=True)),
    )


class Xception(ConvNet):
    """The network of Fig. 5; the stages are its entry, middle and exit flow."""

    def __init__(self, spec: Spec, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        super().__init__(spec, in_chans=in_chans, num_classes=num_classes)
        wide = spec.entry[-1]
        last, *separable = spec.exit
        # Widths and stride of every block.
        flows: tuple[list[tuple[tuple[int, ...], int]], ...] = (
            [((width, width), 2) for width in spec.entry],
            [((wide, wide, wide), 1)] * spec.middle,
            [((wide, last), 2)],
        )
        survivals = iter(linear_decay(len(spec.entry) + spec.middle + 1, 1 - spec.stochastic_depth))
        self.features = stack(("stem", stem(in_chans, spec.stem_widths, spec.stem)))
        channels = spec.stem_widths[-1]
        for index, flow in enumerate(flows, start=1):
            stage = nn.Sequential()
            for number, (widths, stride) in enumerate(flow, start=1):
                block = Block(
                    channels,
                    widths,
                    stride=stride,
                    squeeze=spec.squeeze,
                    survival=next(survivals),
                )
                stage.add_module(f"block{number}", block)
                channels = widths[-1]
            self.features.add_module(f"stage{index}", stage)
        # The exit flow goes on without residual connections.
        for index, width in enumerate(separable, start=1):
            stage.add_module(f"separable{index}", separable_bn(channels, width))
            channels = width
        self.head = pooled_head(channels, num_classes, dropout=0.5)  # Section 4.3
        # The paper does not say how its weights start.
        initialise_he2015(self)


# fmt: off
FAMILY = Family(
    name="xception", title="Xception", year=2016,
    paper="Xception: Deep Learning with Depthwise Separable Convolutions",
    url="https://arxiv.org/abs/1610.02357",
    network=Xception,
    pocket=Spec(stem_widths=(8, 12), entry=(16, 24), middle=1, exit=(32, 40, 48), stem="small"),
    small_stem="first convolution of stride 1, both padded",
    variants={
        "xception": Variant(Spec(), params=22_855_952, params_10=20_827_442,
            macs=8_357_403_496, counted_in="timm:legacy_xception", input_size=299,
            published=Published(source="Tables 1 and 3", params="22,855,952", top1_error="21.0",
                top5_error="5.5"),
            note="timm's xception41, 65 and 71 are other networks"),
    },
)
# fmt: on
